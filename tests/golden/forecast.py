#!/usr/bin/env python3
"""Linear forecasters by numpy, scikit-learn and PyTorch: what tests/test_forecast_golden.c compares with.

    python3 forecast.py          # writes forecast.safetensors beside this script

Needs numpy, scikit-learn, torch and safetensors. All F64:
  series (400, 2)      a daily wave, a slow one and noise; 280 rows train (70 %), 40 validate, 80 test
  ridge.linear, ridge.nlinear (80 - 8 + 1, 2, 8)  forecasts of the test windows, look-back 30, horizon 8, by
                       sklearn.linear_model.Ridge on unfolded windows of both channels; alpha = rho * mean diagonal of
                       X^T X, rho = 0.01
  mix.x (3, 36), mix.y (3, 20)  windows and what MixLinear (period 4, alpha 0.6, 5 bins, rank 2) makes of them, written
                       as in the published code: conv1d, linear layers, torch.fft; weights under their official names,
                       complex ones with a last axis (re, im)
  sparse.y (3, 20)     SparseTSF of mix.x with sparse.linear (5, 9) and mix's filter
  fits.x (3, 40), fits.y (3, 24)  FITS with 9 bins: rfft, a complex layer, irfft; fits.weight, fits.bias (re, im)
"""
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from sklearn.linear_model import Ridge

rng = np.random.default_rng(12)
torch.manual_seed(12)
torch.set_default_dtype(torch.float64)
out = {}

t = np.arange(400)
series = np.stack([np.sin(2 * np.pi * (t + 3 * c) / 12) + 0.4 * np.cos(t / 31) + 0.3 * rng.standard_normal(400) + 5 * c
                   for c in range(2)], 1)
out["series"] = series
z = (series - series[:280].mean(0)) / series[:280].std(0)
L, H = 30, 8


def windows(first, last):
    """All windows that start in [first, last], channel after channel."""
    return np.stack([z[a:a + L + H, c] for c in range(2) for a in range(first, last + 1)])


train, test = windows(0, 280 - L - H), windows(320 - L, 400 - L - H)
for name, level in (("linear", lambda v: 0 * v[:, L - 1:L]), ("nlinear", lambda v: v[:, L - 1:L])):
    v = train - level(train)
    x, y = v[:, :L], v[:, L:]
    model = Ridge(alpha=0.01 * np.mean(np.sum(x * x, 0))).fit(x, y)
    pred = model.predict((test - level(test))[:, :L]) + level(test)
    out["ridge." + name] = np.ascontiguousarray(pred.reshape(2, -1, H).transpose(1, 0, 2))

P, L, H, bins, rank, alpha = 4, 36, 20, 5, 2, 0.6
nx, ny, sx, sy = 9, 5, 3, 3
x = torch.randn(3, L)
conv = torch.randn(1, 1, P + 1) * 0.3
t1, t2 = torch.randn(sy, sx), torch.randn(sy, sx)
f1, f2 = torch.randn(rank, bins, dtype=torch.cdouble), torch.randn(ny, rank, dtype=torch.cdouble)
w = torch.randn(ny, nx)
m = x.mean(1, keepdim=True)
d = (x - m)[:, None]
phases = (torch.nn.functional.conv1d(d, conv, padding=P // 2) + d).reshape(-1, nx, P).transpose(1, 2)
s = phases.reshape(-1, P, sx, sx)
s = torch.nn.functional.linear(s, t1).transpose(2, 3)
time = torch.nn.functional.linear(s, t2).transpose(2, 3).reshape(-1, P, sy * sy)[..., :ny]
freq = torch.fft.ifft(torch.nn.functional.linear(torch.nn.functional.linear(torch.fft.fft(phases)[..., :bins], f1), f2)).real
y = (alpha * time + (1 - alpha) * freq).transpose(1, 2).reshape(-1, ny * P)[:, :H] + m
sparse = torch.nn.functional.linear(phases, w).transpose(1, 2).reshape(-1, ny * P)[:, :H] + m
out.update({"mix.x": x, "mix.y": y, "conv1d.weight": conv, "TLinear1.weight": t1, "TLinear2.weight": t2,
            "FLinear1.weight": torch.view_as_real(f1), "FLinear2.weight": torch.view_as_real(f2),
            "sparse.y": sparse, "sparse.linear": w})

L, H, c = 40, 24, 9
x = torch.randn(3, L).cumsum(1)
r = (L + H) / L
o = int(c * r)
weight, bias = torch.randn(o, c, dtype=torch.cdouble), torch.randn(o, dtype=torch.cdouble)
m = x.mean(1, keepdim=True)
d = x - m
v = torch.var(d, dim=1, keepdim=True) + 1e-5
d = d / torch.sqrt(v)
low = torch.nn.functional.linear(torch.fft.rfft(d)[:, :c], weight, bias)
full = torch.zeros(3, (L + H) // 2 + 1, dtype=torch.cdouble)
full[:, :o] = low
y = torch.fft.irfft(full) * r * torch.sqrt(v) + m
out.update({"fits.x": x, "fits.y": y[:, -H:], "fits.weight": torch.view_as_real(weight),
            "fits.bias": torch.view_as_real(bias)})

save_file({k: np.ascontiguousarray(np.asarray(a)) for k, a in out.items()},
          pathlib.Path(__file__).with_suffix(".safetensors"))
