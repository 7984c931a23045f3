#!/usr/bin/env bash
# Runs the test suite of a build directory with the test models fetched. A test that lacks a model or a data set is
# skipped with its reason; with LINNET_NO_SKIP=1 (as in CI) it fails.
# Usage: scripts/run-tests.sh BUILD_DIR [ctest options]
set -euo pipefail
cd "$(dirname "$0")/.."
build="$1"
shift
if models="$(scripts/fetch-models.sh smollm2 minilm llama2-tokenizer)"; then
    export LINNET_MODELS="$models"
else
    echo "linnet: the test models could not be fetched; tests that need them will be skipped" >&2
fi
jobs="$(nproc)"
if grep -q '^LINNET_SANITIZE:[A-Z]*=thread$' "$build/CMakeCache.txt"; then
    # The OpenMP runtime's own synchronisation is told to the sanitizer by Archer; BLAS is not instrumented.
    for archer in /usr/lib/llvm-*/lib/libarcher.so; do
        export OMP_TOOL_LIBRARIES="$archer"
    done
    export TSAN_OPTIONS="ignore_noninstrumented_modules=1 ${TSAN_OPTIONS:-}"
    # Two threads find what more would; a barrier costs a time slice when its threads do not all run: one test at a time.
    export OMP_NUM_THREADS=2
    jobs=1
fi
ctest --test-dir "$build" --output-on-failure -j "$jobs" "$@"
