"""Sarfraz et al., CVPR 2018, literally: a mean over listed pairs of distances, all N x N distances,
float64.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def order(distance: F64) -> NDArray[np.intp]:
    """Ranked lists with the image itself first; equal distances by index."""
    first = distance.copy()
    np.fill_diagonal(first, -1)
    return np.argsort(first, axis=1, kind="stable")


def weights(ranked: NDArray[np.intp], k: int) -> F64:
    """max(0, k - position) of every image in every list."""
    out = np.zeros((len(ranked), ranked.max() + 1))
    for row, images in enumerate(ranked):
        out[row, images[:k]] = k - np.arange(len(images[:k]))
    return out


def expanded(first: NDArray[np.intp], ranked: NDArray[np.intp], t: int, q: int) -> list[int]:
    """The t nearest of a list (without the image itself), and the q nearest of each."""
    out = [int(j) for j in first[:t]]
    for j in first[:t]:
        out += [int(i) for i in ranked[j, 1 : q + 1]]
    return out


def transductive(cosine: F64, queries: int, k: int, t: int, q: int, by_rank: bool) -> F64:
    """cosine: (N, N) cosine distances, queries first -> (queries, N - queries)."""
    ranked = order(cosine)
    w = weights(ranked, k)
    d = -w @ w.T if by_rank else cosine
    near = [expanded(ranked[i, 1:], ranked, t, q) for i in range(len(cosine))]
    out = np.empty((queries, len(cosine) - queries))
    for p in range(queries):
        for g in range(queries, len(cosine)):
            out[p, g - queries] = np.mean([d[n, g] for n in near[p]] + [d[n, p] for n in near[g]])
    return np.where(out == 0, cosine[:queries, queries:], out)


def transductive_of_rows(distance: F64, queries: int, k: int, t: int, q: int, by_rank: bool) -> F64:
    """The same for distances that are not symmetric, an anchor a row: d(n, g) is read in n's row,
    d(p, n) in the query's.
    """
    ranked = order(distance)
    w = weights(ranked, k)
    d = -w @ w.T if by_rank else distance
    near = [expanded(ranked[i, 1:], ranked, t, q) for i in range(len(distance))]
    out = np.empty((queries, len(distance) - queries))
    for p in range(queries):
        for g in range(queries, len(distance)):
            out[p, g - queries] = np.mean([d[n, g] for n in near[p]] + [d[p, n] for n in near[g]])
    return np.where(out == 0, distance[:queries, queries:], out)


def online(cosine: F64, k: int, t: int, q: int, by_rank: bool) -> F64:
    """cosine: (1 + G, 1 + G), the query first. The gallery's side never sees the query -> (G,)."""
    own, query = cosine[1:, 1:], cosine[0, 1:]
    ranked = order(own)
    near = np.argsort(query, kind="stable")
    w = weights(ranked, k)
    mine = np.zeros(len(query))
    mine[near[: k - 1]] = k - 1 - np.arange(len(near[: k - 1]))
    among = -w @ w.T if by_rank else own
    to_query = -w @ mine if by_rank else query
    e = expanded(near, ranked, t, q)
    out = [
        np.mean(
            [among[n, g] for n in e] + [to_query[n] for n in expanded(ranked[g, 1:], ranked, t, q)]
        )
        for g in range(len(own))
    ]
    return np.where(np.array(out) == 0, query, out)
