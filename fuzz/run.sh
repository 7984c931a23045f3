#!/bin/sh
# run.sh [SECONDS] [NOUN…] - builds the fuzz targets and runs each, one after the other. See README.md.
set -eu
seconds=${1:-600}
[ $# -gt 0 ] && shift
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/fuzz
cmake -S "$root" --preset fuzz >/dev/null
if [ $# -eq 0 ]; then
    for source in "$root"/fuzz/fuzz_*.c; do
        noun=${source##*/fuzz_}
        set -- "$@" "${noun%.c}"
    done
fi
mkdir -p "$build/crashes"
for noun in "$@"; do
    cmake --build "$build" --target "fuzz_$noun" >/dev/null
    mkdir -p "$build/corpus/$noun"
    echo "== fuzz_$noun, $seconds s"
    UBSAN_OPTIONS=print_stacktrace=1 "$build/fuzz/fuzz_$noun" -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -artifact_prefix="$build/crashes/$noun-" \
        "$build/corpus/$noun" "$root/fuzz/corpus/$noun" 2>"$build/$noun.log" || {
        tail -40 "$build/$noun.log"
        exit 1
    }
    grep -E 'stat::number_of_executed_units|stat::new_units_added|stat::peak_rss' "$build/$noun.log"
done
