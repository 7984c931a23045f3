#!/usr/bin/env python3
"""Fisher-weighted SVD by numpy: what tests/test_fwsvd.c compares with.

    python3 fwsvd.py          # writes fwsvd.safetensors beside this script

Needs numpy and safetensors. For each shape "OxI" the file holds, all F64:
  OxI.w   (O, I)  a weight with a decaying spectrum
  OxI.f   (O, I)  a Fisher diagonal, spread over several decades
  OxI.row (O, I)  its best approximation of rank r in sum_oi f_i (W - W')_oi^2, f_i = sum_o f_oi:
                  np.linalg.svd(W * sqrt(f_i)), truncated, divided by sqrt(f_i)
  OxI.sep (O, I)  the same with sum_oi f_o f_i (W - W')_oi^2, f_o = sum_i f_oi
  OxI.tail (2)    the two attained sums
and metadata "OxI.rank". A softmax layer: "softmax.x" (S, T, I), "softmax.w" (O, I), "softmax.y" (S, T) labels as F64,
"softmax.g" (S, T, O) gradients of each sample's mean cross entropy to the logits, and the squares of the gradients to
the weight, averaged over samples: "softmax.sample" (O, I); with every token a sample of the same scale: "softmax.token".
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(18)
out, meta = {}, {}


def truncated(m, r):
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    return (u[:, :r] * s[:r]) @ vt[:r], float(np.sum(s[r:] ** 2))


for o, i, r in ((24, 40, 9), (40, 24, 9), (31, 31, 12), (7, 33, 3)):
    w = rng.standard_normal((o, i)) @ np.diag(np.exp(-np.arange(i) / 10)) @ rng.standard_normal((i, i))
    f = np.exp(rng.standard_normal((o, i)) + 2 * rng.standard_normal(i) + rng.standard_normal((o, 1)))
    fi, fo = np.sqrt(f.sum(axis=0)), np.sqrt(f.sum(axis=1))
    row, tail_row = truncated(w * fi, r)
    sep, tail_sep = truncated(fo[:, None] * w * fi, r)
    key = f"{o}x{i}"
    out |= {f"{key}.w": w, f"{key}.f": f, f"{key}.row": row / fi, f"{key}.sep": sep / fo[:, None] / fi,
            f"{key}.tail": np.array([tail_row, tail_sep])}
    meta[f"{key}.rank"] = str(r)

S, T, I, O = 6, 5, 8, 4
x = rng.standard_normal((S, T, I)).astype(np.float32).astype(np.float64)
w = rng.standard_normal((O, I))
y = rng.integers(0, O, (S, T))
z = x @ w.T
p = np.exp(z - z.max(axis=-1, keepdims=True))
p /= p.sum(axis=-1, keepdims=True)
g = ((p - np.eye(O)[y]) / T).astype(np.float32).astype(np.float64)
d = np.einsum("sto,sti->soi", g, x)
out |= {"softmax.x": x, "softmax.w": w, "softmax.y": y.astype(np.float64), "softmax.g": g,
        "softmax.sample": (d ** 2).mean(axis=0),
        "softmax.token": np.einsum("sto,sti->soi", g ** 2, x ** 2).mean(axis=0)}
save_file({k: np.ascontiguousarray(v, dtype=np.float64) for k, v in out.items()},
          pathlib.Path(__file__).with_name("fwsvd.safetensors"), metadata=meta)
