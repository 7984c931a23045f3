"""Ten steps of each optimiser on one small problem, in f64: tests/golden/optimizers.json.

PyTorch's optimisers; Muon and Lion, which it computes in bf16 or does not have, in NumPy from their formulas.
    python optimizers.py > optimizers.json
"""
import json

import numpy as np
import torch

STEPS = 10
A0 = np.sin(np.arange(12.0)).reshape(4, 3)
B0 = np.cos(np.arange(5.0))


def gradient(w, t):
    index = np.arange(w.size, dtype=np.float64).reshape(w.shape)
    return np.sin(0.7 * t + index) + 0.3 * w


def with_torch(make, clip=None, value=None):
    ws = [torch.nn.Parameter(torch.tensor(x)) for x in (A0, B0)]
    opt = make(ws)
    for t in range(STEPS):
        for w in ws:
            w.grad = torch.tensor(gradient(w.detach().numpy(), t))
        if value:
            torch.nn.utils.clip_grad_value_(ws, value)
        if clip:
            torch.nn.utils.clip_grad_norm_(ws, clip)
        opt.step()
    return [w.detach().numpy().ravel().tolist() for w in ws]


def lion(lr=0.01, decay=0.1, b1=0.9, b2=0.99):
    ws = [A0.copy(), B0.copy()]
    ms = [np.zeros_like(w) for w in ws]
    for t in range(STEPS):
        for w, m in zip(ws, ms):
            g = gradient(w, t)
            u = np.sign(b1 * m + (1 - b1) * g)
            w -= lr * (u + decay * w)
            m[...] = b2 * m + (1 - b2) * g
    return [w.ravel().tolist() for w in ws]


def muon(lr=0.02, decay=0.1, mu=0.95, nesterov=True):
    a, m = A0.copy(), np.zeros_like(A0)
    for t in range(STEPS):
        g = gradient(a, t)
        m = mu * m + (1 - mu) * g
        x = (1 - mu) * g + mu * m if nesterov else m
        x = x / (np.linalg.norm(x) + 1e-7)
        x = x.T  # 4 x 3: fewer columns than rows
        for _ in range(5):
            s = x @ x.T
            x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x
        a = (1 - lr * decay) * a - lr * np.sqrt(max(1, 4 / 3)) * x.T
    b = torch.nn.Parameter(torch.tensor(B0))
    opt = torch.optim.AdamW([b], lr=lr * 0.015, betas=(0.9, 0.999), weight_decay=decay)
    for t in range(STEPS):
        b.grad = torch.tensor(gradient(b.detach().numpy(), t))
        opt.step()
    return [a.ravel().tolist(), b.detach().numpy().tolist()]


O = torch.optim
print(json.dumps({
    "sgd": with_torch(lambda p: O.SGD(p, lr=0.1, weight_decay=0.01)),
    "momentum": with_torch(lambda p: O.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)),
    "nesterov": with_torch(lambda p: O.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "adam": with_torch(lambda p: O.Adam(p, lr=0.01, weight_decay=0.1)),
    "adamw": with_torch(lambda p: O.AdamW(p, lr=0.01, weight_decay=0.1)),
    "clip_norm": with_torch(lambda p: O.AdamW(p, lr=0.01, weight_decay=0.1, eps=0.1), clip=0.5),
    "clip_value": with_torch(lambda p: O.AdamW(p, lr=0.01, weight_decay=0.1, eps=0.1), value=0.3),
    "adafactor": with_torch(lambda p: O.Adafactor(p, lr=0.01, weight_decay=0.1)),
    "lion": lion(),
    "muon": muon(),
}, indent=1))
