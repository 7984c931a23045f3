#!/usr/bin/env bash
# A real language model made smaller, end to end: SmolLM2-135M-Instruct, a public-domain novel, ROCKET at 20 %.
# Usage: scripts/demo.sh LINNET [work directory, default build/demo]
set -euo pipefail
cd "$(dirname "$0")/.."
linnet="$(realpath "$1")"
work="${2:-build/demo}"
models="$(scripts/fetch-models.sh smollm2)"
model="$models/smollm2.gguf"
mkdir -p "$work"

# First half of the novel to calibrate, second half to evaluate, cut at a paragraph end.
python3 - examples/data/helen.txt "$work" <<'PY'
import sys
text = open(sys.argv[1], "rb").read()
cut = text.index(b"\n", len(text) // 2) + 1
open(sys.argv[2] + "/calibrate.txt", "wb").write(text[:cut])
open(sys.argv[2] + "/evaluate.txt", "wb").write(text[cut:])
PY

value() { # file key format
    python3 -c 'import json,sys; print(format(json.load(open(sys.argv[1]))["results"][sys.argv[2]], sys.argv[3]))' "$@"
}
prompt="The old house by the river had been empty for years, and"
paragraph() { # model result: a fixed seed, so that every run shows the same two paragraphs
    "$linnet" generate "$1" --prompt "$prompt" --tokens 60 --temperature 0.7 --top-p 0.9 --seed 1 --quiet --json "$2" >/dev/null
}

echo "== The model"
"$linnet" info "$model" | sed -n '1,11p'

echo; echo "== Before"
"$linnet" eval "$model" --text "$work/evaluate.txt" --context 512 --max-tokens 16384 --quiet --json "$work/before.json" >/dev/null
paragraph "$model" "$work/before-text.json"
echo "perplexity $(value "$work/before.json" perplexity .2f) on the second half of the novel"
echo "decodes $(value "$work/before-text.json" decode_tokens_per_second .0f) tokens/s"

echo; echo "== Compression: 20 % of the linear layers' parameters"
"$linnet" compress rocket "$model" --calib "$work/calibrate.txt" --calib-tokens 16384 --remove 0.2 --force \
    --cache "$work/grams" -o "$work/small" --report "$work/small.html" --json "$work/small.json" >/dev/null

echo; echo "== After"
"$linnet" eval "$work/small" --text "$work/evaluate.txt" --context 512 --max-tokens 16384 --quiet --json "$work/after.json" >/dev/null
paragraph "$work/small" "$work/after-text.json"

python3 - "$work" "$prompt" <<'PY'
import json, sys
work = sys.argv[1]
load = lambda name: json.load(open(f"{work}/{name}.json"))["results"]
before, after, small, t0, t1 = (load(n) for n in ("before", "after", "small", "before-text", "after-text"))
mb = lambda b: f"{b / 1e6:.0f} MB"
print(f"{'':24}{'before':>14}{'after':>14}")
print(f"{'parameters':24}{small['parameters_before']:>14,}{small['parameters_after']:>14,}")
print(f"{'size at 16 bits':24}{mb(small['bytes_before_same_width']):>14}{mb(small['bytes_after']):>14}")
print(f"{'perplexity':24}{before['perplexity']:>14.2f}{after['perplexity']:>14.2f}")
print(f"{'decode, tokens/s':24}{t0['decode_tokens_per_second']:>14.0f}{t1['decode_tokens_per_second']:>14.0f}")
print()
print("The file it came from stores 4-bit weights "
      f"({mb(small['bytes_before'])}), the result 16-bit ones: sizes compare at equal width only.")
print()
print(f"How each goes on from \"{sys.argv[2]}\" (temperature 0.7, top-p 0.9, seed 1):")
print()
print("before: " + t0["text"].strip().replace("\n", " "))
print()
print("after:  " + t1["text"].strip().replace("\n", " "))
print()
print(f"Report: {work}/small.html")
PY
