#!/usr/bin/env bash
# Builds the fuzz targets under address and undefined-behaviour sanitizers and runs each for a while.
# Usage: scripts/fuzz.sh [seconds per target, default 600] [targets…]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-600}"
[ $# -gt 0 ] && shift
cmake --preset fuzz >/dev/null
cmake --build build/fuzz
[ $# -gt 0 ] || set -- $(cd fuzz && ls fuzz_*.c | sed 's/\.c$//')
for target in "$@"; do
    noun="${target#fuzz_}"
    mkdir -p "build/fuzz/found/$noun"
    dictionary=()
    [ ! -f "fuzz/$noun.dict" ] || dictionary=(-dict="fuzz/$noun.dict")
    echo "$target: $seconds s"
    "build/fuzz/fuzz/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/found/$noun-" "${dictionary[@]}" "build/fuzz/found/$noun" "fuzz/corpus/$noun" \
        >"build/fuzz/$target.log" 2>&1 || { tail -40 "build/fuzz/$target.log"; exit 1; }
    grep -E 'stat::number_of_executed_units' "build/fuzz/$target.log"
done
