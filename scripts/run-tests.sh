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
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" "$@"
