#!/usr/bin/env python3
"""sklearn_regress.py: Lasso, elastic net, ridge and OMP of scikit-learn on two small designs.

Writes sklearn_regress.safetensors: per design D (plain: 40 x 12, flat: 30 x 50 with a common factor) the rows D.x, the
target D.y, and on columns that are centred and divided by their standard deviation (divisor n), target centred:
D.lambda (5), D.lasso (5, d), D.enet (5, d; l1_ratio 0.3), D.ridge (5, d; alpha = n lambda), D.omp (4, d; k = 1 ... 4).

    python3 tests/golden/sklearn_regress.py        # made with scikit-learn 1.9.1, numpy, safetensors
"""
import os

import numpy
from safetensors.numpy import save_file
from sklearn.linear_model import ElasticNet, Lasso, OrthogonalMatchingPursuit, Ridge


def design(n, d, common, seed):
    r = numpy.random.default_rng(seed)
    x = common * r.standard_normal((n, 1)) + (1 - common) * r.standard_normal((n, d)) + r.standard_normal(d)
    w = numpy.zeros(d)
    w[[1, d // 2, d - 2]] = 2, -1.5, 1
    return x, x @ w + 0.3 * r.standard_normal(n)


def main():
    out = {}
    for name, (n, d, common, seed) in {"plain": (40, 12, 0, 1), "flat": (30, 50, 0.6, 2)}.items():
        x, y = design(n, d, common, seed)
        z, t = (x - x.mean(0)) / x.std(0), y - y.mean()
        lambdas = abs(z.T @ t).max() / n * numpy.array([0.9, 0.5, 0.2, 0.05, 0.01])
        free = {"fit_intercept": False}
        exact = {"tol": 1e-13, "max_iter": 10**6, **free}
        out[f"{name}.x"], out[f"{name}.y"], out[f"{name}.lambda"] = x, y, lambdas
        out[f"{name}.lasso"] = numpy.stack([Lasso(alpha=a, **exact).fit(z, t).coef_ for a in lambdas])
        out[f"{name}.enet"] = numpy.stack([ElasticNet(alpha=a, l1_ratio=0.3, **exact).fit(z, t).coef_ for a in lambdas])
        out[f"{name}.ridge"] = numpy.stack([Ridge(alpha=n * a, **free).fit(z, t).coef_ for a in lambdas])
        out[f"{name}.omp"] = numpy.stack(
            [OrthogonalMatchingPursuit(n_nonzero_coefs=k, **free).fit(z, t).coef_ for k in range(1, 5)]
        )
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sklearn_regress.safetensors")
    save_file({key: numpy.ascontiguousarray(value, "float64") for key, value in out.items()}, where)


if __name__ == "__main__":
    main()
