"""Iscen et al., CVPR 2017, by dense inverses, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def inverse(cosine: F64, kd: int, gamma: float, alpha: float) -> F64:
    """cosine: (N, N) distances -> (I - alpha S)^-1 of the mutual neighbour graph."""
    n = len(cosine)
    first = cosine.copy()
    np.fill_diagonal(first, -1)
    near = np.argsort(first, axis=1, kind="stable")[:, :kd]
    a = np.zeros((n, n))
    for i in range(n):
        for j in near[i]:
            if i != j and i in near[j]:
                a[i, j] = max(0.0, 1 - cosine[i, j]) ** gamma
    degree = a.sum(axis=1) + 1e-12
    return np.linalg.inv(np.eye(n) - alpha * a / np.sqrt(degree[:, None] * degree[None]))


def online(cosine: F64, queries: int, kq: int, kd: int, gamma: float, alpha: float) -> F64:
    """cosine: (N, N), queries first -> scores (queries, N - queries); larger is closer."""
    spread = inverse(cosine[queries:, queries:], kd, gamma, alpha)
    y = np.zeros((queries, len(spread)))
    for p in range(queries):
        for j in np.argsort(cosine[p, queries:], kind="stable")[:kq]:
            y[p, j] = max(0.0, 1 - cosine[p, queries + j]) ** gamma
    return (1 - alpha) * y @ spread


def joint(cosine: F64, queries: int, kd: int, gamma: float, alpha: float) -> F64:
    """The same on one graph of queries and gallery: the cosine of the two rows."""
    spread = inverse(cosine, kd, gamma, alpha)
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    return spread[:queries] @ spread[queries:].T
