#!/usr/bin/env bash
# Layout, static analysis and house rules. Prints what is wrong; exit 1 if anything is.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
sources=$(git ls-files '*.c' '*.h')

echo "clang-format"
# shellcheck disable=SC2086
clang-format --dry-run -Werror $sources || failed=1

echo "include directions"
python3 tests/check_includes.py || failed=1

echo "function length and complexity"
python3 tests/check_complexity.py || failed=1

echo "links"
python3 tests/check_links.py || failed=1

echo "cppcheck"
# shellcheck disable=SC2046
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem \
    --suppress=unknownMacro -Iinclude -Isrc -Itools -Ifuzz -j "$(nproc)" src tools reproduce fuzz || failed=1

echo "clang warnings (whole build)"
cmake --preset clang >/dev/null && cmake --build build/clang >/dev/null || failed=1

echo "clang-tidy" # one file a process: several share the analyzer's state of va_lists
git ls-files 'src/*.c' 'tools/*.c' 'reproduce/*.c' | grep -v -e '_tmpl\.c$' -e '/x86/' |
    xargs -P "$(nproc)" -n 1 clang-tidy -p build/clang --quiet 2>/dev/null || failed=1

[ "$failed" = 0 ] && echo "lint: clean"
exit $failed
