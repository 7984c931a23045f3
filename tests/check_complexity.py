#!/usr/bin/env python3
"""check_complexity.py [-v] [ROOT] - length and cyclomatic complexity of every function of the library, the
command and the tests.

Complexity is 1 + the number of if, for, while, case, &&, || and ? in the body (McCabe; a switch counts its cases).
Length counts lines from the function's name to its closing brace. Reported above 60 lines or complexity 25; fails at
120 lines, complexity 50, or a file above 600 lines. Files that say "generated" in their first line are left out.
--self-test checks the counter on functions whose numbers are known.
"""
import os
import re
import sys

REPORT_LINES, FAIL_LINES = 60, 120
REPORT_COMPLEXITY, FAIL_COMPLEXITY = 25, 50
FAIL_FILE_LINES = 600
FOLDERS = ("src", "tools", "include", "tests", "reproduce", "fuzz", "bench", "examples")

TOKEN = re.compile(r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<sign>&&|\|\||\S)
""", re.X | re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M | re.S)
BRANCHES = {"if", "for", "while", "case", "&&", "||", "?"}


def tokens(text):
    """(token, line) without comments and preprocessor lines. Only the first branch of an #if keeps its text, since
    both branches together need not have matching braces."""
    blank = lambda s: re.sub(r"[^\n]", " ", s)
    # comments first, so that a '#' or quote in one means nothing
    text = re.sub(r'("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|//[^\n]*|/\*.*?\*/',
                  lambda m: m.group(1) if m.group(1) else blank(m.group(0)), text, flags=re.S)
    kept, position, stack = [], 0, []
    for m in DIRECTIVE.finditer(text):
        piece = text[position:m.start()]
        kept.append(blank(piece) if any(stack) else piece)
        word = re.match(r"\s*#\s*(\w*)", m.group(0)).group(1)
        if word in ("if", "ifdef", "ifndef"):
            stack.append(False)
        elif word in ("else", "elif") and stack:
            stack[-1] = True
        elif word == "endif" and stack:
            stack.pop()
        kept.append(blank(m.group(0)))
        position = m.end()
    kept.append(text[position:])
    line = 1
    text = "".join(kept)
    at = 0
    for m in TOKEN.finditer(text):
        line += text.count("\n", at, m.start())
        at = m.start()
        if m.lastgroup != "comment":
            yield (m.group(0) if m.lastgroup != "text" else '""'), line


def function_name(head):
    """Name and line of the function whose tokens before '{' are `head`, or None for structs, tables and the like."""
    depth, candidate, previous = 0, None, (None, 0)
    for token, line in head:
        if depth == 0 and token == "=":
            return None
        if token == "(":
            if depth == 0 and previous[0] and re.match(r"[A-Za-z_]\w*$", previous[0]) and candidate is None \
                    and previous[0] not in ("__attribute__", "_Alignas", "_Atomic", "_Static_assert"):
                candidate = previous
            depth += 1
        elif token == ")":
            depth -= 1
        previous = (token, line)
    return candidate if head and head[-1][0] == ")" else None


def functions(text):
    """(name, first line, lines, complexity) of each function in a C file."""
    head, depth, current = [], 0, None
    for token, line in tokens(text):
        if depth == 0:
            if token == "{":
                if len(head) >= 2 and head[-2][0] == "extern":
                    head = []
                    continue
                found = function_name(head)
                current = [found[0], found[1], 1] if found else None
                depth = 1
            elif token in (";", "}"):
                head = []
            else:
                head.append((token, line))
            continue
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0:
                if current:
                    yield current[0], current[1], line - current[1] + 1, current[2]
                head, current = [], None
        elif current and token in BRANCHES:
            current[2] += 1


SELF_TEST = r'''
/* if (a) { a comment */
#define LOOP(x) if (x) { while (x) ;
static const int table[] = { 1, 2, 3 };
struct s { int a; };
extern "C" {
int one(void) { return 1; }
}
__attribute__((noinline)) static int five(int a,
                                          int b)
{
    const char *s = "if && { }";
    char c = '{';
    if (a && b || s)
        return c ? 1 : 2;
    return 0;
}
static int (*pointer)(int) = 0;
int *switches(int a)
{
#ifdef A
    if (a) {
#else
    if (!a && table[0]) {
#endif
        switch (a) {
        case 1:
        case 2:
            do a--; while (a);
        default:
            for (;;) ;
        }
    }
    return 0;
}
'''
WANT = [("one", 7, 1, 1), ("five", 9, 9, 5), ("switches", 19, 17, 6)]


def self_test():
    got = list(functions(SELF_TEST))
    if got != WANT:
        raise SystemExit(f"self-test: expected {WANT}, found {got}")


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--self-test" in sys.argv:
        self_test()
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    failed, reported, count = [], [], 0
    for folder in FOLDERS:
        for where, _, names in sorted(os.walk(os.path.join(root, folder))):
            for name in sorted(n for n in names if n.endswith((".c", ".h"))):
                path = os.path.join(where, name)
                with open(path, encoding="utf-8") as f:
                    text = f.read()
                if "generated" in text.split("\n", 1)[0]:
                    continue
                label = os.path.relpath(path, root)
                lines = text.count("\n")
                if lines > FAIL_FILE_LINES:
                    failed.append(f"{label}: {lines} lines, at most {FAIL_FILE_LINES}")
                for function, first, length, complexity in functions(text):
                    count += 1
                    said = f"{label}:{first}: {function}: {length} lines, complexity {complexity}"
                    if length >= FAIL_LINES or complexity >= FAIL_COMPLEXITY:
                        failed.append(said + f" (fails at {FAIL_LINES} and {FAIL_COMPLEXITY})")
                    elif length > REPORT_LINES or complexity > REPORT_COMPLEXITY:
                        reported.append(said)
    if count == 0:
        raise SystemExit(f"{root}: no functions found")
    if reported:
        print(f"above {REPORT_LINES} lines or complexity {REPORT_COMPLEXITY}:")
        print("\n".join("  " + r for r in reported))
    print("\n".join(failed) if failed else f"{count} functions, none too long or too complex")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
