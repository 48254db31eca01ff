"""Distances of listed pairs, accumulated in float64 in a fixed order: the same bits alone, in
company, and on any device.

A set of vectors is a pair of arrays, `Rows`: the second holds the rows that follow those of the
first.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Rows = tuple[F32, F32]


# not inlined by numba: a loop that it inlines loses its fastmath, and with it eight tenths of its
# speed
@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _dot(a: F32, b: F32) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _squared(a: F32, b: F32) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        step = np.float64(a[i]) - np.float64(b[i])
        total += step * step
    return total


@njit(cache=True)
def _row(rows: Rows, i: int) -> F32:
    first = rows[0].shape[0]
    return rows[0][i] if i < first else rows[1][i - first]


@njit(cache=True)
def distance(left: Rows, i: int, right: Rows, j: int, euclidean: bool) -> np.float32:
    """The distance of row i of `left` to row j of `right`."""
    a, b = _row(left, i), _row(right, j)
    if euclidean:
        return np.float32(math.sqrt(_squared(a, b)))
    return np.float32(max(0.0, 1.0 - _dot(a, b)))


@njit(cache=True, parallel=True)
def listed(left: Rows, right: Rows, columns: I32, euclidean: bool) -> F32:
    """Distances of row i of `left` to the rows `columns[i]` of `right`; +inf where the column is
    -1.

    Vectors float32 [m, d] and [n, d], columns int32 [m, k] -> float32 [m, k].
    """
    m, k = columns.shape
    out = np.empty((m, k), np.float32)
    for i in prange(m):
        for j in range(k):
            out[i, j] = (
                np.inf if columns[i, j] < 0 else distance(left, i, right, columns[i, j], euclidean)
            )
    return out


@njit(cache=True, parallel=True)
def flat(left: Rows, rows: I32, right: Rows, columns: I32, euclidean: bool) -> F32:
    """Distances of row `rows[e]` of `left` to row `columns[e]` of `right` -> float32 [e]."""
    out = np.empty(rows.shape[0], np.float32)
    for e in prange(rows.shape[0]):
        out[e] = distance(left, rows[e], right, columns[e], euclidean)
    return out
