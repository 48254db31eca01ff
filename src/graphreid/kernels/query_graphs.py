"""Graphs of neighbours' neighbours, a graph a query: which images are nodes, and which nodes are
joined.

`lists` int32 [n, w] holds every gallery image's nearest others, nearest first; where a query is in
the gallery (own >= 0) it is passed over there, so that w = second + 1 columns give every image its
`second` nearest others without the query.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@njit(cache=True, parallel=True)
def two_hops(near: I32, lists: I32, own: I64, second: int, k: int, chunks: int) -> I32:
    """The first k of `near[i]`, then of the `second` nearest others of each of its images in turn,
    none twice.

    near int32 [q, k1]: images of query i; own int64 [q]: the image that query i itself is, or -1.
    int32 [q, k], -1 where two hops give fewer.
    """
    q, k1 = near.shape
    out = np.full((q, k), -1, np.int32)
    step = (q + chunks - 1) // chunks
    for chunk in prange(chunks):
        stamp = np.full(lists.shape[0], -1, np.int32)
        for i in range(chunk * step, min((chunk + 1) * step, q)):
            if own[i] >= 0:
                stamp[own[i]] = i
            size = min(k1, k)
            for a in range(size):
                out[i, a] = near[i, a]
                stamp[near[i, a]] = i
            a = 0
            while a < k1 and size < k:
                size = _append(lists[near[i, a]], own[i], second, stamp, i, out[i], size)
                a += 1
    return out


@njit(cache=True, inline="always")
def _append(near: I32, own: int, second: int, stamp: I32, mark: int, out: I32, size: int) -> int:
    """Add the first `second` of a list, less the query and what is marked; returns the new size."""
    taken = 0
    for b in range(near.shape[0]):
        other = near[b]
        if other != own and taken < second and size < out.shape[0]:
            taken += 1
            if stamp[other] != mark:
                stamp[other] = mark
                out[size] = other
                size += 1
    return size


@njit(cache=True, parallel=True)
def links(
    nodes: I32, lists: I32, own: I64, second: int, wanted: int, hops: int, chunks: int
) -> I32:
    """The first `wanted` neighbours of each node that are nodes of the same graph, by their places
    in it.

    A node's neighbours are its `second` nearest others in order and, with hops = 2, then theirs in
    turn. nodes int32 [q, k], -1 where there is none -> int32 [q, k, wanted], -1 where there are
    fewer.
    """
    q, k = nodes.shape
    out = np.full((q, k, wanted), -1, np.int32)
    step = (q + chunks - 1) // chunks
    for chunk in prange(chunks):
        place = np.full(lists.shape[0], -1, np.int32)
        seen = np.zeros(lists.shape[0], np.int32)
        mark = np.int32(0)
        for i in range(chunk * step, min((chunk + 1) * step, q)):
            for a in range(k):
                if nodes[i, a] >= 0:
                    place[nodes[i, a]] = a
            for a in range(k):
                node = nodes[i, a]
                if node >= 0:
                    mark = np.int32(mark + 1)
                    seen[node] = mark
                    count = _join(lists[node], own[i], second, place, seen, mark, out[i, a], 0)
                    taken = 0
                    b = 0
                    while hops == 2 and b < lists.shape[1] and taken < second and count < wanted:
                        if lists[node, b] != own[i]:
                            taken += 1
                            count = _join(
                                lists[lists[node, b]],
                                own[i],
                                second,
                                place,
                                seen,
                                mark,
                                out[i, a],
                                count,
                            )
                        b += 1
            for a in range(k):
                if nodes[i, a] >= 0:
                    place[nodes[i, a]] = -1
    return out


@njit(cache=True, inline="always")
def _join(
    near: I32, own: int, second: int, place: I32, seen: I32, mark: np.int32, out: I32, count: int
) -> int:
    """Add the places of the first `second` of a list that are nodes and not seen yet; returns the
    new count.
    """
    taken = 0
    for b in range(near.shape[0]):
        other = near[b]
        if other != own and taken < second:
            taken += 1
            if seen[other] != mark and count < out.shape[0]:
                seen[other] = mark
                if place[other] >= 0:
                    out[count] = place[other]
                    count += 1
    return count
