#!/usr/bin/env python3
"""factor.py: golden losses of scikit-learn and tensorly on tensors given by formulas -> factor.json

A[i,j] = 1 + sin(3 i + 5 j + i j / 7), 15 x 11; W[i,r] = 0.5 + ((i + 2 r) mod 5) / 5, H[r,j] = 0.4 + ((3 j + r) mod 4) / 4;
X[i,j,k] = 1 + sin(i + 2 j + 3 k + i j k / 11), 9 x 8 x 7.
"""
import json
import os
import warnings

import numpy as np
import sklearn
import tensorly
from sklearn.decomposition import NMF
from sklearn.decomposition._nmf import _initialize_nmf, non_negative_factorization
from tensorly.decomposition import non_negative_parafac_hals, parafac, tucker

warnings.simplefilter("ignore")
i, j = np.meshgrid(np.arange(15), np.arange(11), indexing="ij")
A = 1 + np.sin(3 * i + 5 * j + i * j / 7)
W = np.array([[0.5 + ((a + 2 * r) % 5) / 5 for r in range(4)] for a in range(15)])
H = np.array([[0.4 + ((3 * b + r) % 4) / 4 for b in range(11)] for r in range(4)])
i, j, k = np.meshgrid(np.arange(9), np.arange(8), np.arange(7), indexing="ij")
X = 1 + np.sin(i + 2 * j + 3 * k + i * j * k / 11)

mu = []
for n in (1, 10, 200):
    w, h, _ = non_negative_factorization(A, W=W.copy(), H=H.copy(), n_components=4, init="custom", solver="mu", tol=0, max_iter=n)
    mu.append(float(np.sum((A - w @ h) ** 2)))
cd = NMF(4, init="nndsvd", solver="cd", tol=0, max_iter=3000).fit(A)
w, h = _initialize_nmf(A, 4, init="nndsvd", random_state=0)
best = lambda fit: min(float(np.sum((X - fit(s)) ** 2)) for s in range(5))
golden = {
    "versions": {"scikit-learn": sklearn.__version__, "tensorly": tensorly.__version__, "numpy": np.__version__},
    "mu_losses": mu,
    "nndsvd_loss": float(np.sum((A - w @ h) ** 2)),
    "cd_loss": float(cd.reconstruction_err_**2),
    "ntf_loss": best(lambda s: tensorly.cp_to_tensor(non_negative_parafac_hals(X, 3, init="random", n_iter_max=2000, tol=0, random_state=s))),
    "cp_loss": best(lambda s: tensorly.cp_to_tensor(parafac(X, 3, init="random", n_iter_max=2000, tol=0, random_state=s))),
    "tucker_loss": best(lambda s: tensorly.tucker_to_tensor(tucker(X, [3, 2, 4], init="svd", n_iter_max=500, tol=0))),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "factor.json"), "w") as f:
    json.dump(golden, f, indent=1)
    f.write("\n")
