"""From the candidates of each row to its nearest: careful distances of as few of them as decide."""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from graphreid.kernels.candidates import Held, value
from graphreid.kernels.pair_distances import Rows, distance

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Mask = NDArray[np.bool_]


@njit(cache=True)
def walk(column: I32, size: I32, k: int) -> I32:
    """An order of the rows in which near rows follow each other, so that vectors are still in the
    cache: depth first.
    """
    n = column.shape[0]
    order = np.empty(n, np.int32)
    seen = np.zeros(n, np.bool_)
    waiting = np.empty(n * k + 1, np.int32)
    done = 0
    for start in range(n):
        depth = 1
        waiting[0] = start
        while depth:
            depth -= 1
            i = waiting[depth]
            if seen[i]:
                continue
            seen[i] = True
            order[done] = i
            done += 1
            for e in range(min(k, size[i]) - 1, -1, -1):
                if not seen[column[i, e]]:
                    waiting[depth] = column[i, e]
                    depth += 1
    return order


@njit(cache=True, parallel=True)
def first_distances(
    left: Rows,
    right: Rows,
    euclidean: bool,
    top: Held,
    lost: Mask,
    order: I32,
    place: I32,
    out: F32,
) -> None:
    """Distances of the first k candidates of each row, into float32 [m, k].

    order: the rows as they are to be taken. place: where each row stands in it if the set is
    searched against itself, then a
    pair that both hold is measured once; empty otherwise.
    """
    k = out.shape[1]
    for r in prange(order.shape[0]):
        i = order[r]
        for e in range(0 if lost[i] else k):
            j = top.column[i, e]
            back = -1
            if place.shape[0] and not lost[j]:
                for b in range(k):
                    if top.column[j, b] == i:
                        back = b
                        break
            if back < 0 or r < place[j]:
                out[i, e] = distance(left, i, right, j, euclidean)
                if back >= 0:
                    out[j, back] = out[i, e]


@njit(cache=True)
def _extreme(key: int, slack: float, shift: int) -> float:
    """The largest that the true value of an entry of this key may be."""
    most = value(key, shift)
    if shift == 15:
        most = (most + value(key + 1, shift)) / 2
    return most + slack / 2


@njit(cache=True)
def _distance_at(score: float, euclidean: bool) -> np.float32:
    if euclidean:
        return np.float32(math.sqrt(max(0.0, -2.0 * score)))
    return np.float32(max(0.0, 1.0 - score))


@njit(cache=True)
def _packed(distance: np.float32, column: int) -> Any:
    """A number that orders by distance (it is not negative), then by column."""
    return np.int64(np.float32(distance).view(np.int32)) << 32 | np.int64(column)


@njit(cache=True)
def _settle(
    left: Rows,
    i: int,
    right: Rows,
    euclidean: bool,
    top: Held,
    first: F32,
    index: I32,
    near: F32,
    shift: int,
) -> None:
    """The nearest of row i, into its row of `index` and `near`; `first` is its row of distances."""
    k = first.shape[0]
    best = np.empty(k, np.int64)
    for e in range(k):
        best[e] = _packed(first[e], top.column[i, e])
    best.sort()
    for e in range(k, top.size[i]):
        # the candidates come by key: once none can be near enough, none that follows can
        last = np.int32(best[k - 1] >> 32).view(np.float32)
        if _distance_at(_extreme(top.key[i, e], top.slack[i], shift), euclidean) > last:
            break
        fresh = _packed(distance(left, i, right, top.column[i, e], euclidean), top.column[i, e])
        at = k
        while at > 0 and best[at - 1] > fresh:
            if at < k:
                best[at] = best[at - 1]
            at -= 1
        if at < k:
            best[at] = fresh
    for e in range(k):
        index[e] = np.int32(best[e] & 0x7FFFFFFF)
        near[e] = np.int32(best[e] >> 32).view(np.float32)


@njit(cache=True)
def _farthest(
    left: Rows, i: int, right: Rows, euclidean: bool, low: Held, shift: int
) -> np.float32:
    far = np.float32(0)
    for e in range(low.size[i]):
        if e > 0 and _distance_at(-_extreme(low.key[i, e], low.slack[i], shift), euclidean) <= far:
            break
        far = max(far, distance(left, i, right, low.column[i, e], euclidean))
    return far


@njit(cache=True, parallel=True)
def settle(
    left: Rows,
    right: Rows,
    euclidean: bool,
    top: Held,
    low: Held,
    lost: Mask,
    first: F32,
    index: I32,
    near: F32,
    far: F32,
) -> None:
    """The k nearest of each row by distance, then column, and its largest distance; rows that are
    lost are left alone.

    first: float32 [m, k], distances of the first k candidates. Into index int32 [m, k], near
    float32 [m, k], far float32 [m].
    """
    shift = 8 * top.key.itemsize - 1
    for i in prange(first.shape[0]):
        if not lost[i]:
            _settle(left, i, right, euclidean, top, first[i], index[i], near[i], shift)
            far[i] = _farthest(left, i, right, euclidean, low, shift)
