"""Shen et al., CVPR 2018, Eq. 7, one query at a time, by an inverse, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def online(cosine: F64, k: int, alpha: float, temperature: float) -> F64:
    """cosine: (1 + G, 1 + G) distances, the query first -> (G,)."""
    own, query = 1 - cosine[1:, 1:], 1 - cosine[0, 1:]
    near = np.argsort(-query, kind="stable")[:k]
    if len(near) == 1:
        return 1 - query
    w = np.exp(own[np.ix_(near, near)] / temperature)
    np.fill_diagonal(w, 0)
    w /= w.sum(axis=1, keepdims=True)
    score = query.copy()
    score[near] = (1 - alpha) * np.linalg.inv(np.eye(len(near)) - alpha * w) @ query[near]
    return 1 - score
