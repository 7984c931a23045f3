#!/usr/bin/env python3
"""peer_forecast.py ETTh1.csv THREADS [EPOCHS]: MixLinear (alpha 0.95, one bin, look-back 720, horizon 96) trained in
PyTorch on the CPU as its paper does: batches of 256 windows of all channels, Adam at 0.03, 30 epochs at most, patience
10, rate times 0.8 an epoch from the fourth on; then the error on all test windows. Rate: such runs a second."""
import csv
import sys
import time

from peer_common import answer


def read(path):
    with open(path, encoding="utf-8") as f:
        rows = list(csv.reader(f))[1:]
    return [[float(x) for x in r[1:]] for r in rows]


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 30
    try:
        import numpy as np
        import torch
    except ImportError as e:
        answer([], [e.name])
        return
    torch.set_num_threads(threads)
    torch.manual_seed(2023)
    L, H, P, alpha, bins, rank, batch = 720, 96, 24, 0.95, 1, 2, 256
    nx, ny = L // P, H // P
    sx, sy = int(np.ceil(np.sqrt(nx))), int(np.ceil(np.sqrt(ny)))
    start = time.perf_counter()
    x = np.array(read(path))
    x = torch.tensor((x - x[:8640].mean(0)) / x[:8640].std(0), dtype=torch.float32).T.contiguous()
    C = x.shape[0]
    nn = torch.nn
    conv = nn.Conv1d(1, 1, P + 1, padding=P // 2, bias=False)
    t1, t2 = nn.Linear(sx, sy, bias=False), nn.Linear(sx, sy, bias=False)
    f1 = nn.Linear(bins, rank, bias=False).to(torch.cfloat)
    f2 = nn.Linear(rank, ny, bias=False).to(torch.cfloat)
    params = [p for m in (conv, t1, t2, f1, f2) for p in m.parameters()]

    def forward(w):  # (B, C, L)
        B = w.shape[0]
        m = w.mean(-1, keepdim=True)
        z = (w - m).reshape(B * C, 1, L)
        z = (conv(z) + z).reshape(B * C, nx, P).transpose(1, 2)
        s = nn.functional.pad(z, (0, sx * sx - nx)).reshape(B * C, P, sx, sx)
        yt = t2(t1(s).transpose(2, 3)).transpose(2, 3).reshape(B * C, P, sy * sy)[..., :ny]
        yf = torch.fft.ifft(f2(f1(torch.fft.fft(z)[..., :bins]))).real
        y = (alpha * yt + (1 - alpha) * yf).transpose(1, 2).reshape(B, C, ny * P)[..., :H]
        return y + m

    windows = x.unfold(1, L + H, 1).transpose(0, 1)  # (starts, C, L + H), a view
    train = windows[: 8640 - L - H + 1]
    valid = windows[8640 - L: 11520 - L - H + 1]
    test = windows[11520 - L: 14400 - L - H + 1]

    def error(part):
        with torch.no_grad():
            total = 0.0
            for i in range(0, len(part), batch):
                w = part[i:i + batch]
                total += float(((forward(w[..., :L]) - w[..., L:]) ** 2).sum())
        return total / (len(part) * C * H)

    opt = torch.optim.Adam(params, lr=0.03)
    best, bad, keep = float("inf"), 0, None
    ran = 0
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(train))
        for i in range(0, len(train) - batch + 1, batch):
            w = train[order[i:i + batch]]
            opt.zero_grad()
            ((forward(w[..., :L]) - w[..., L:]) ** 2).mean().backward()
            opt.step()
        ran = epoch
        score = error(valid)
        if score < best:
            best, bad, keep = score, 0, [p.detach().clone() for p in params]
        else:
            bad += 1
        if bad >= 10:
            break
        for g in opt.param_groups:
            g["lr"] = 0.03 if epoch < 3 else 0.03 * 0.8 ** (epoch - 3)
    with torch.no_grad():
        for p, k in zip(params, keep):
            p.copy_(k)
    mse = error(test)
    seconds = time.perf_counter() - start
    print(f"# {ran} epochs, {seconds:.1f} s, test MSE {mse:.4f}", file=sys.stderr)
    answer([{"peer": "PyTorch", "version": torch.__version__, "rate": 1 / seconds, "mse": mse, "epochs": ran}], [])


main()
