"""Chen et al., CVPR 2024, as published, with sets as Python sets, all N x N distances, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def ranked(cosine: F64, i: int, allowed: list[int]) -> list[int]:
    """The images allowed, nearest to i first; equal distances by index."""
    return sorted(allowed, key=lambda j: (cosine[i, j], j))


def all_lists(cosine: F64, camera: NDArray[np.int64]) -> tuple[list[list[int]], list[list[int]]]:
    n = len(cosine)
    intra = [
        [i, *ranked(cosine, i, [j for j in range(n) if j != i and camera[j] == camera[i]])]
        for i in range(n)
    ]
    inter = [ranked(cosine, i, [j for j in range(n) if camera[j] != camera[i]]) for i in range(n)]
    return intra, inter


def rows(cosine: F64, intra: list[list[int]], inter: list[list[int]], k1: tuple[int, int]) -> F64:
    n = len(cosine)
    intra, inter = [each[: k1[0] + 1] for each in intra], [each[: k1[1] + 1] for each in inter]
    v = np.zeros((n, n))
    for i in range(n):
        members = sorted({j for lists in (intra, inter) for j in lists[i] if i in lists[j]})
        v[i, members] = np.exp(-2 * cosine[i, members])
        v[i] /= v[i].sum()
    return v


def transductive(
    cosine: F64,
    camera: NDArray[np.int64],
    queries: int,
    k1: tuple[int, int],
    k2: tuple[int, int],
    lam: float,
) -> F64:
    """cosine: (N, N) cosine distances, queries first -> (queries, N - queries)."""
    intra, inter = all_lists(cosine, camera)
    v = rows(cosine, intra, inter, k1)
    v = np.stack([v[intra[i][: k2[0]] + inter[i][: k2[1]]].mean(axis=0) for i in range(len(v))])
    original = cosine / cosine.max(axis=1, keepdims=True)
    return blend(v[:queries], v[queries:], original[:queries, queries:], lam)


def online(
    cosine: F64, camera: NDArray[np.int64], k1: tuple[int, int], k2: tuple[int, int], lam: float
) -> F64:
    """cosine: (1 + G, 1 + G), the query first. The gallery's side never sees the query -> (G,)."""
    own, query = cosine[1:, 1:], cosine[0, 1:]
    g = len(own)
    intra, inter = all_lists(own, camera[1:])
    v = rows(own, intra, inter, k1)
    same = ranked(cosine, 0, [j for j in range(1, g + 1) if camera[j] == camera[0]])
    others = ranked(cosine, 0, [j for j in range(1, g + 1) if camera[j] != camera[0]])

    def hears(j: int, lists: list[list[int]], full: int) -> bool:
        return len(lists[j]) < full or query[j] <= own[j, lists[j][full - 1]]

    members = [j - 1 for j in same[: k1[0]] if hears(j - 1, intra, k1[0] + 1)]
    members += [j - 1 for j in others[: k1[1] + 1] if hears(j - 1, inter, k1[1] + 1)]
    mine = np.zeros(g)
    mine[members] = np.exp(-2 * query[members])
    mine /= mine.sum() + 1  # the query itself, exp(0)
    near = [j - 1 for j in same[: k2[0] - 1] + others[: k2[1]]]
    mine = np.concatenate([mine[None], v[near]]).mean(axis=0)
    v = np.stack([v[intra[i][: k2[0]] + inter[i][: k2[1]]].mean(axis=0) for i in range(g)])
    return blend(mine[None], v, (query / query.max())[None], lam)[0]


def blend(queries: F64, gallery: F64, original: F64, lam: float) -> F64:
    shared = np.minimum(queries[:, None], gallery[None]).sum(axis=2)
    return (1 - lam) * (1 - shared / (2 - shared)) + lam * original
