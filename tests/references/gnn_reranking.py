"""Zhang et al. 2020 as published, literally: dense N x N matrices, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def order(distance: F64) -> NDArray[np.intp]:
    """Ranked lists with the image itself first; equal distances by index."""
    first = distance.copy()
    np.fill_diagonal(first, -1)
    return np.argsort(first, axis=1, kind="stable")


def binary(ranked: NDArray[np.intp], k1: int) -> F64:
    a = np.zeros((len(ranked), len(ranked)))
    np.put_along_axis(a, ranked[:, :k1], 1, axis=1)
    return a


def weight(cosine: F64, i: int, j: int, alpha: float) -> float:
    return 1.0 if i == j else abs(1 - cosine[i, j]) ** alpha


def spread(symmetric: F64, ranked: NDArray[np.intp], cosine: F64, k2: int, alpha: float) -> F64:
    rows = [
        sum(weight(cosine, i, j, alpha) * symmetric[j] for j in ranked[i, :k2])
        for i in range(len(ranked))
    ]
    stacked = np.stack(rows)
    return stacked / np.sqrt((stacked**2).sum(axis=1, keepdims=True))


def transductive(
    cosine: F64, queries: int, k1: int, k2: int, layers: int, alpha: float, lam: float
) -> F64:
    """cosine: (N, N) cosine distances, queries first -> similarity (queries, N - queries)."""
    ranked = order(cosine)
    a = binary(ranked, k1)
    for _ in range(layers if k2 > 1 else 0):
        a = spread(a + a.T, ranked, cosine, k2, alpha)
    return (1 - lam) * a[:queries] @ a[queries:].T + lam * (1 - cosine[:queries, queries:])


def online(cosine: F64, k1: int, k2: int, layers: int, alpha: float, lam: float) -> F64:
    """cosine: (1 + G, 1 + G), the query first. The gallery's side never sees the query ->
    similarity (G,).
    """
    own, query = cosine[1:, 1:], cosine[0, 1:]
    g = len(own)
    ranked, near = order(own), np.argsort(query, kind="stable")
    a = binary(ranked, k1)
    mine = np.zeros(g + 1)  # the last is the query itself
    mine[[*near[: k1 - 1], g]] = 1
    reach = [own[j, ranked[j, k1 - 1]] if 1 < k1 <= g else np.inf for j in range(g)]
    heard = np.array([query[j] <= reach[j] for j in range(g)] + [True]) * mine
    for _ in range(layers if k2 > 1 else 0):
        row = mine + heard
        for j in near[: k2 - 1]:
            row[:g] += abs(1 - query[j]) ** alpha * (a + a.T)[j]
        mine = row / np.linalg.norm(row)
        heard = mine
        a = spread(a + a.T, ranked, own, k2, alpha)
    return (1 - lam) * a @ mine[:g] + lam * (1 - query)
