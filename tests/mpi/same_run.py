#!/usr/bin/env python3
"""same_run.py DIR DIR TOLERANCE - are two runs of `linnet train` the same to rounding?

Every loss, metric and gradient norm of log.jsonl and every weight of model.safetensors; prints "same" or what differs.
"""
import json
import os
import struct
import sys


def weights(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        raw = f.read()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + size])
    out = {}
    for name, entry in head.items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", entry
            begin, end = (8 + size + at for at in entry["data_offsets"])
            out[name] = struct.unpack(f"<{(end - begin) // 4}f", raw[begin:end])
    return out


def lines(folder):
    with open(os.path.join(folder, "log.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def main():
    one, two, tolerance = sys.argv[1], sys.argv[2], float(sys.argv[3])
    a, b = weights(one), weights(two)
    if a.keys() != b.keys() or not a:
        sys.exit("other tensors")
    for name in a:
        worst = max(abs(x - y) for x, y in zip(a[name], b[name], strict=True))
        if not worst <= tolerance:
            sys.exit(f"{name}: weights differ by {worst}")
    a, b = lines(one), lines(two)
    if [(e["step"], "metric" in e) for e in a] != [(e["step"], "metric" in e) for e in b] or not a:
        sys.exit("other steps")
    for x, y in zip(a, b):
        for key in ("loss", "smooth", "metric", "norm"):
            if key in x and not abs(x[key] - y[key]) <= 10 * tolerance:
                sys.exit(f"step {x['step']}: {key} {x[key]} and {y[key]}")
    print("same")


if __name__ == "__main__":
    main()
