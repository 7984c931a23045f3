#!/usr/bin/env python3
"""check_links.py [--self-test] [ROOT] - what the pages point at is there.

In every Markdown file of the tree: a relative link leads to a file, its #fragment to a heading of that page; a path in
backticks that begins with a folder of the tree exists (`*` and `{a,b}` are patterns, `<noun>` any name), and `test_noun`
or `fuzz_noun` is a source file. In sources and scripts: a page named as docs/….md exists. Addresses on the network are
not asked. --self-test checks the checker on a page with known mistakes first.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

FOLDERS = ("src", "include", "tools", "tests", "docs", "fuzz", "bench", "examples", "scripts", "cmake", "reproduce")
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.M | re.S)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.M)
PAGE = re.compile(r"(?<![\w/.-])docs/[\w./-]+\.md\b")


def anchors(text):
    """Fragments of the headings, as code hosts make them: lower case, punctuation dropped, spaces to hyphens."""
    found = {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        n = found.get(name, 0)
        found[name] = n + 1
        if n:
            found["%s-%d" % (name, n)] = 1
    return set(found)


def exists(root, path):
    """Whether a path of the tree, perhaps with patterns in it, names anything."""
    m = re.search(r"\{([^{}]*,[^{}]*)\}", path)
    if m:
        return all(exists(root, path[:m.start()] + part + path[m.end():]) for part in m.group(1).split(","))
    return bool(glob.glob(os.path.join(root, re.sub(r"<[^>]*>", "*", path))))


def check_page(root, page):
    """(line, complaint) for one Markdown file."""
    full = os.path.join(root, page)
    with open(full, encoding="utf-8") as f:
        text = f.read()
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    prose = FENCE.sub(blank, text)
    line = lambda at: text.count("\n", 0, at) + 1
    for m in LINK.finditer(CODE.sub(blank, prose)):
        target, _, fragment = m.group(1).partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        to = os.path.normpath(os.path.join(os.path.dirname(full), target)) if target else full
        if not os.path.exists(to):
            yield line(m.start()), "link to '%s', which is not there" % m.group(1)
        elif fragment and to.endswith(".md"):
            with open(to, encoding="utf-8") as f:
                if fragment not in anchors(f.read()):
                    yield line(m.start()), "link to '%s': no such heading" % m.group(1)
    for m in CODE.finditer(prose):
        word = m.group(1)
        if re.fullmatch(r"(%s)/[^\s$…()]*" % "|".join(FOLDERS), word) and not exists(root, word.rstrip("/")):
            yield line(m.start()), "'%s' is not there" % word
        kind = re.fullmatch(r"(test|fuzz)_[a-z0-9_]+", word)
        if kind and not word.endswith("_emulated"):
            folder = "tests" if kind.group(1) == "test" else "fuzz"
            if not os.path.exists(os.path.join(root, folder, word + ".c")):
                yield line(m.start()), "'%s' is no file of %s/" % (word, folder)


def check_source(root, path):
    """(line, complaint) for pages named in a file that is not Markdown."""
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        for number, text in enumerate(f, 1):
            for m in PAGE.finditer(text):
                if not os.path.exists(os.path.join(root, m.group(0))):
                    yield number, "names '%s', which is not there" % m.group(0)


def files(root):
    """Files of the tree; outside of a checkout all that lie there but build/."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True,
                             check=True, text=True)
        names = out.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs]
    return sorted(n for n in names if not n.startswith(("build/", ".git/")) and os.path.isfile(os.path.join(root, n)))


def check(root):
    complaints = []
    for name in files(root):
        if name.endswith(".md"):
            found = check_page(root, name)
        elif name.endswith((".c", ".h", ".py", ".sh", ".cmake", ".txt", ".test")) and name != "tests/check_links.py":
            found = check_source(root, name)
        else:
            continue
        complaints += ["%s:%d: %s" % (name, line, what) for line, what in found]
    return complaints


def self_test():
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(root + "/docs")
        os.makedirs(root + "/src")
        with open(root + "/docs/b.md", "w", encoding="utf-8") as f:
            f.write("# One two: `x`\n## Same\n## Same\n")
        with open(root + "/a.md", "w", encoding="utf-8") as f:
            f.write("[ok](docs/b.md) [ok](docs/b.md#one-two-x) [ok](docs/b.md#same-1) [ok](https://example.org/x)\n"
                    "[no](docs/c.md)\n[no](docs/b.md#three)\n`src/x.c` `docs/*.md` `src/x y`\n`docs/{b,c}.md`\n"
                    "```\n[in a fence](nowhere)\n```\n`[code](nowhere)` `test_nothing`\n")
        with open(root + "/src/y.c", "w", encoding="utf-8") as f:
            f.write("/* docs/b.md\n * docs/z.md */\n")
        got = [c.split(": ")[0] for c in check(root)]
        want = ["a.md:2", "a.md:3", "a.md:4", "a.md:5", "a.md:9", "src/y.c:2"]
        if got != want:
            sys.exit("check_links.py: self-test found %s, expected %s" % (got, want))


def main():
    args = [a for a in sys.argv[1:] if a != "--self-test"]
    if "--self-test" in sys.argv[1:]:
        self_test()
    root = args[0] if args else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    complaints = check(root)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
