#!/usr/bin/env python3
"""Runs the command-line cases of *.test files and compares exit code, standard output and standard error.

A file holds cases like this one:

    == a model that is not there
    $ linnet info nothing.gguf
    = 3
    ! linnet: nothing.gguf: *

`$` lines are a shell script; `= N` is the exit code of its last command (0 when left out); `>` lines are standard
output, `!` lines standard error, line by line. In an expected line `*` stands for any text, and a line `> ...` or
`! ...` for any number of lines. A stream without expected lines must be empty; write `> ...` to allow anything.
`need VARIABLE file` skips the case when $VARIABLE/file is missing, unless LINNET_NO_SKIP is set: then it fails.

Every case runs in an empty directory of its own. $GOLDEN is tests/golden, $CASES this directory; both appear in the
output by these names. `--rewrite` replaces the expectations that do not hold by what came out.

usage: run.py LINNET [--rewrite] [FILE.test ...]
"""
import os
import re
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(os.path.dirname(HERE), "golden")


class Case:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.script, self.out, self.err, self.needs, self.notes = [], [], [], [], []
        self.code = 0


def read_cases(path):
    """The cases of a file, and the comment lines before the first."""
    head, cases = [], []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line.startswith("== "):
                cases.append(Case(line[3:], number))
            elif not cases:
                head.append(line)
            elif line.startswith("$ "):
                cases[-1].script.append(line[2:])
            elif line.startswith("= "):
                cases[-1].code = int(line[2:])
            elif line.startswith(">"):
                cases[-1].out.append(line[2:])
            elif line.startswith("!"):
                cases[-1].err.append(line[2:])
            elif line.startswith("need "):
                cases[-1].needs.append(line.split()[1:])
            elif line.startswith("#"):
                cases[-1].notes.append(line)
            elif line:
                sys.exit(f"{path}:{number}: what is this line?")
    return head, cases


def write_cases(path, head, cases):
    while head and not head[-1]:
        head.pop()
    blocks = ["\n".join(head)] if head else []
    for c in cases:
        lines = ["== " + c.name] + c.notes + ["need " + " ".join(n) for n in c.needs]
        lines += ["$ " + s for s in c.script]
        lines += [f"= {c.code}"] if c.code else []
        lines += [("> " + s).rstrip(" ") for s in c.out] + [("! " + s).rstrip(" ") for s in c.err]
        blocks.append("\n".join(lines))
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n\n".join(blocks) + "\n")


def line_matches(want, got):
    pattern = ".*".join(re.escape(part) for part in want.split("*"))
    return re.fullmatch(pattern, got) is not None


def lines_match(want, got):
    """Does the list `want`, with its globs, describe the list `got`?"""
    reach = {0}  # how many lines of `got` may be used up
    for w in want:
        if w == "...":
            reach = set(range(min(reach), len(got) + 1)) if reach else reach
        else:
            reach = {i + 1 for i in reach if i < len(got) and line_matches(w, got[i])}
    return len(got) in reach


def missing(case):
    for variable, name in case.needs:
        root = os.environ.get(variable)
        if not root or not os.path.exists(os.path.join(root, name)):
            return f"${variable}/{name} is not there"
    return None


def run_case(case, linnet):
    env = dict(os.environ, GOLDEN=GOLDEN, CASES=HERE, LC_ALL="C.UTF-8", TERM="dumb", OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as box, tempfile.TemporaryDirectory() as tools:
        os.symlink(linnet, os.path.join(tools, "linnet"))
        env.update(PATH=tools + ":" + env["PATH"], LINNET_CACHE=os.path.join(tools, "cache"))
        done = subprocess.run(["sh", "-c", "\n".join(case.script)], cwd=box, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=300,
                              preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL))
        def lines(raw):
            text = raw.decode("utf-8", "replace")
            for path, name in ((GOLDEN, "$GOLDEN"), (HERE, "$CASES"), (box, "$BOX")):
                text = text.replace(path, name)
            return text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else []
        return done.returncode, lines(done.stdout), lines(done.stderr)


def complain(path, case, what, want, got):
    print(f"FAIL {os.path.basename(path)}:{case.line}: {case.name}: {what}")
    for sign, side in (("-", want), ("+", got)):
        for line in side[:60]:
            print(f"  {sign} {line}")


def check(path, case, linnet, rewrite):
    """True when the case holds."""
    code, out, err = run_case(case, linnet)
    holds = True
    if code != case.code:
        complain(path, case, "exit code", [str(case.code)], [str(code)] + err)
        case.code, holds = (code if rewrite else case.code), False
    for what, got in (("out", out), ("err", err)):
        want = getattr(case, what)
        if not lines_match(want, got):
            complain(path, case, "standard " + {"out": "output", "err": "error"}[what], want, got)
            holds = False
            if rewrite:
                setattr(case, what, got)
    return holds


def main():
    arguments = [a for a in sys.argv[1:] if a != "--rewrite"]
    rewrite = "--rewrite" in sys.argv
    if not arguments:
        sys.exit(__doc__)
    linnet = os.path.abspath(arguments[0])
    paths = arguments[1:] or sorted(os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".test"))
    ran = failed = skipped = 0
    for path in paths:
        head, cases = read_cases(path)
        for case in cases:
            why = missing(case)
            if why and not os.environ.get("LINNET_NO_SKIP"):
                print(f"skip {os.path.basename(path)}:{case.line}: {case.name}: {why}")
                skipped += 1
                continue
            if why:
                print(f"FAIL {os.path.basename(path)}:{case.line}: {case.name}: {why}")
                failed += 1
                continue
            ran += 1
            failed += not check(path, case, linnet, rewrite)
        if rewrite:
            write_cases(path, head, cases)
    print(f"{ran} cases, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0 if ran else 77)


if __name__ == "__main__":
    main()
