"""Writes io/sparse_*.npz as scipy.sparse.save_npz does (made with scipy 1.17.1, numpy 2.4): python3 sparse_npz.py"""
import os

import numpy as np
import scipy.sparse as sp

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "io")
a = np.array([[0, 1.5, 0, 0], [-2, 0, 0, 3], [0, 0, 0, 1e-3]])
for kind in ("csr", "csc", "coo"):
    sp.save_npz(os.path.join(here, f"sparse_{kind}.npz"), sp.csr_matrix(a).asformat(kind), compressed=kind != "coo")
sp.save_npz(os.path.join(here, "sparse_bsr.npz"), sp.bsr_matrix(a, blocksize=(1, 2)))
# indptr that goes back
np.savez(os.path.join(here, "sparse_broken.npz"), format=np.bytes_("csr"), shape=np.array([2, 2]),
         data=np.array([1.0, 2.0]), indices=np.array([0, 1]), indptr=np.array([0, 5, 2]))
