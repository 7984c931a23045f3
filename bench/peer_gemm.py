#!/usr/bin/env python3
"""peer_gemm.py THREADS REPEAT: the f32 product of two 1024 x 1024 matrices in PyTorch and NumPy."""
import os
import sys

from peer_common import answer, fastest

SIDE = 1024


def main():
    threads, repeat = int(sys.argv[1]), int(sys.argv[2])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    peers, missing = [], []
    gflop = 2 * SIDE**3 * 1e-9
    try:
        import torch

        torch.set_num_threads(threads)
        a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
        peers.append({"peer": "PyTorch", "version": torch.__version__, "rate": gflop / fastest(repeat, lambda: a @ b.T)})
    except ImportError:
        missing.append("torch")
    try:
        import numpy

        x, y = (numpy.random.rand(SIDE, SIDE).astype("float32") for _ in range(2))
        peers.append({"peer": "NumPy", "version": numpy.__version__, "rate": gflop / fastest(repeat, lambda: x @ y.T)})
    except ImportError:
        missing.append("numpy")
    answer(peers, missing)


if __name__ == "__main__":
    main()
