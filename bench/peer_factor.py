#!/usr/bin/env python3
"""peer_factor.py KIND FILE RANK TARGET THREADS: fits of FILE per second until |X - model|^2 <= TARGET |X|^2.

nmf: scikit-learn, both solvers; ntf: tensorly's HALS; seminmf: the published rule (Ding, Li and Jordan 2010, in the order
of Shafran et al. 2025) in NumPy, since neither package has one. Losses are computed outside the clock, from the factors
after every few iterations, which are continued where they stopped. A peer that has not got there after LIMIT seconds is
rated by that time, an upper bound of its rate, and its name says so.
"""
import os
import sys
import time

from peer_common import answer

LIMIT = 60.0


def until(target, loss, steps):
    """Seconds that `steps` (a generator, one batch of iterations each) takes to a loss below the target."""
    spent = 0.0
    while True:
        start = time.perf_counter()
        state = next(steps)
        spent += time.perf_counter() - start
        if loss(state) <= target:
            return spent, True
        if spent > LIMIT:
            return spent, False


def nmf_steps(x, rank, solver, batch):
    from sklearn.decomposition import non_negative_factorization as fit

    w = h = None
    while True:
        init = "random" if w is None else "custom"
        w, h, _ = fit(x, W=w, H=h, n_components=rank, init=init, solver=solver, tol=0, max_iter=batch, random_state=0)
        yield w, h


def seminmf_steps(a, rank, batch, np):
    g = np.maximum(np.random.default_rng(0).random((a.shape[1], rank)), 1e-6)
    eye = 1e-6 * np.eye(rank)
    eps = 1e-6 * np.mean(a * a)
    while True:
        for _ in range(batch):
            f = np.linalg.solve(g.T @ g + eye, (a @ g).T).T
            norm = np.maximum(np.linalg.norm(g, axis=0), 1e-8)
            g, f = g / norm, f * norm
            p, q = a.T @ f, f.T @ f
            up = np.maximum(p, 0) + g @ np.maximum(-q, 0)
            down = np.maximum(-p, 0) + g @ np.maximum(q, 0) + eps
            g = g * np.sqrt(up / down)
        yield f, g.T


def cp_steps(x, rank, batch, fit):

    cp = "random"
    while True:
        extra = {"random_state": 0} if isinstance(cp, str) else {}
        cp = fit(x, rank, init=cp, n_iter_max=batch, tol=0, **extra)
        yield cp


def main():
    kind, path, rank, target, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = threads
    import warnings

    warnings.simplefilter("ignore")
    peers, missing, jobs = [], [], []
    try:
        import numpy as np
    except ImportError:
        return answer([], ["numpy"])
    x = np.load(path)
    goal = target * float(np.sum(x * x))
    product = lambda state: float(np.sum((x - state[0] @ state[1]) ** 2))
    if kind == "nmf":
        try:
            import sklearn

            for solver in ("cd", "mu"):
                jobs.append((f"scikit-learn {solver}", sklearn.__version__, nmf_steps(x, rank, solver, 10), product))
        except ImportError:
            missing.append("scikit-learn")
    elif kind == "seminmf":
        jobs.append(("the published rule in NumPy", np.__version__, seminmf_steps(x, rank, 10, np), product))
    else:
        try:
            import tensorly
            from tensorly.decomposition import non_negative_parafac_hals, parafac

            name, fit = ("tensorly ALS", parafac) if kind == "cp" else ("tensorly HALS", non_negative_parafac_hals)
            loss = lambda cp: float(np.sum((x - tensorly.cp_to_tensor(cp)) ** 2))
            jobs.append((name, tensorly.__version__, cp_steps(x, rank, 10, fit), loss))
        except ImportError:
            missing.append("tensorly")
    for name, version, steps, loss in jobs:
        seconds, reached = until(goal, loss, steps)
        peers.append({"peer": name if reached else name + " (loss not reached)", "version": version, "rate": 1 / seconds})
    answer(peers, missing)


if __name__ == "__main__":
    main()
