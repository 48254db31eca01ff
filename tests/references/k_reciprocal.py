"""Zhong et al., CVPR 2017, literally: sets as Python sets, all N x N distances, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def order(distance: F64) -> NDArray[np.intp]:
    """Ranked lists with the image itself first; equal distances by index."""
    first = distance.copy()
    np.fill_diagonal(first, -1)
    return np.argsort(first, axis=1, kind="stable")


def reciprocal(ranked: NDArray[np.intp], i: int, k: int) -> set[int]:
    return {int(j) for j in ranked[i, : k + 1] if i in ranked[j, : k + 1]}


def expanded(ranked: NDArray[np.intp], i: int, k: int) -> set[int]:
    first = reciprocal(ranked, i, k)
    out = set(first)
    for j in first:
        half = reciprocal(ranked, j, int(np.around(k / 2)))
        if len(half & first) > 2 / 3 * len(half):
            out |= half
    return out


def transductive(
    cosine: F64, queries: int, k1: int, k2: int, lam: float, farthest: F64 | None = None
) -> F64:
    """cosine: (N, N) cosine distances, queries first -> (queries, N - queries). farthest: (N,), the
    rows' maxima if None.
    """
    n = len(cosine)
    original = cosine / (cosine.max(axis=1) if farthest is None else farthest)[:, None]
    ranked = order(cosine)
    v = np.zeros((n, n))
    for i in range(n):
        members = sorted(expanded(ranked, i, k1))
        v[i, members] = np.exp(-original[i, members])
        v[i] /= v[i].sum()
    if k2 > 1:
        v = np.stack([v[ranked[i, :k2]].mean(axis=0) for i in range(n)])
    return blend(v[:queries], v[queries:], original[:queries, queries:], lam)


def online(cosine: F64, k1: int, k2: int, lam: float) -> F64:
    """cosine: (1 + G, 1 + G), the query first. The gallery's side never sees the query -> (G,)."""
    g = len(cosine) - 1
    own, query = cosine[1:, 1:], cosine[0, 1:]
    ranked = order(own)
    half = int(np.around(k1 / 2))
    original = own / own.max(axis=1, keepdims=True)
    v = np.zeros((g, g))
    for i in range(g):
        members = sorted(expanded(ranked, i, k1))
        v[i, members] = np.exp(-original[i, members])
        v[i] /= v[i].sum()
    near = np.argsort(query, kind="stable")
    reach = [own[j, ranked[j, k1]] if k1 < g else np.inf for j in range(g)]
    mutual = {int(j) for j in near[:k1] if query[j] <= reach[j]}
    members = set(mutual)
    for j in mutual:
        others = reciprocal(ranked, j, half)
        if len(others & mutual) > 2 / 3 * len(others):
            members |= others
    mine = np.zeros(g)
    chosen = sorted(members)
    mine[chosen] = np.exp(-query[chosen] / query.max())
    mine /= mine.sum() + 1  # the query itself, exp(0)
    if k2 > 1:
        mine = np.concatenate([mine[None], v[near[: k2 - 1]]]).mean(axis=0)
        v = np.stack([v[ranked[i, :k2]].mean(axis=0) for i in range(g)])
    return blend(mine[None], v, (query / query.max())[None], lam)[0]


def blend(queries: F64, gallery: F64, original: F64, lam: float) -> F64:
    shared = np.minimum(queries[:, None], gallery[None]).sum(axis=2)
    return (1 - lam) * (1 - shared / (2 - shared)) + lam * original
