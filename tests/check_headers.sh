#!/bin/sh
# check_headers.sh INCLUDE_DIR [C_COMPILER [CXX_COMPILER]] - every public header compiles alone, twice in one file, in
# C17 and in C++17, under flags stricter than the project's own. A missing C++ compiler skips that half.
set -eu
include=$1
cc=${2:-cc}
cxx=${3:-c++}
strict="-fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v "$cxx" >/dev/null 2>&1 || cxx=
failed=0
count=0

# A header must bring what it needs, survive being included twice, and have C linkage in C++.
check() {
    if ! "$@" >"$work/log" 2>&1; then
        echo "linnet/$name does not compile alone: $*"
        cat "$work/log"
        failed=1
    fi
}

for header in "$include"/linnet/*.h; do
    name=${header##*/}
    count=$((count + 1))
    printf '#include <linnet/%s>\n#include <linnet/%s>\nint main(void) { return 0; }\n' "$name" "$name" >"$work/alone.c"
    check "$cc" -std=c17 $strict -Wstrict-prototypes -Wmissing-prototypes -I "$include" "$work/alone.c"
    [ -z "$cxx" ] && continue
    cp "$work/alone.c" "$work/alone.cpp"
    check "$cxx" -std=c++17 $strict -Wold-style-cast -I "$include" "$work/alone.cpp"
    # Every function it declares must not have a mangled name, or C++ programs could not link.
    if grep -q 'LN_API' "$header" && ! grep -q 'extern "C"' "$header"; then
        echo "linnet/$name declares functions outside extern \"C\""
        failed=1
    fi
done

# The umbrella includes all the others.
for header in "$include"/linnet/*.h; do
    name=${header##*/}
    [ "$name" = linnet.h ] && continue
    if ! printf '#include <linnet/linnet.h>\n' | "$cc" -std=c17 -M -I "$include" -x c - | grep -q "linnet/$name"; then
        echo "linnet/linnet.h does not include linnet/$name"
        failed=1
    fi
done

[ "$count" -gt 0 ] || { echo "no headers in $include/linnet"; exit 1; }
[ "$failed" -eq 0 ] && echo "$count headers compile alone${cxx:+, in C++ too}"
exit "$failed"
