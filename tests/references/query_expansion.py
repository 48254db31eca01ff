"""Radenovic et al., TPAMI 2019, alpha query expansion, one image at a time, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def expanded(x: F64, others: F64, n: int, alpha: float) -> F64:
    """x (d,) and others (m, d) of unit length -> (d,)."""
    cosine = others @ x
    total = x.copy()
    for j in np.argsort(-cosine, kind="stable")[:n]:
        total += max(0.0, cosine[j]) ** alpha * others[j]
    return total / np.linalg.norm(total)
