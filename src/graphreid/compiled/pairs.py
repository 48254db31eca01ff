"""Distances of listed pairs, accumulated in float64 in a fixed order: the same bits alone, in company, and on any device."""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, inline="always")
def _dot(a: F32, b: F32) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, inline="always")
def _squared(a: F32, b: F32) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        step = np.float64(a[i]) - np.float64(b[i])
        total += step * step
    return total


@njit(cache=True, parallel=True)
def listed(left: F32, right: F32, columns: I32, euclidean: bool) -> F32:
    """Distances of row i of `left` to the rows `columns[i]` of `right`; +inf where the column is -1.

    left float32 [m, d], right float32 [n, d], columns int32 [m, k] -> float32 [m, k].
    """
    m, k = columns.shape
    out = np.empty((m, k), np.float32)
    for i in prange(m):
        for j in range(k):
            column = columns[i, j]
            if column < 0:
                out[i, j] = np.inf
            elif euclidean:
                out[i, j] = math.sqrt(_squared(left[i], right[column]))
            else:
                out[i, j] = max(0.0, 1.0 - _dot(left[i], right[column]))
    return out


@njit(cache=True, parallel=True)
def flat(left: F32, rows: I32, right: F32, columns: I32, euclidean: bool) -> F32:
    """Distances of `left[rows[e]]` to `right[columns[e]]` -> float32 [e]."""
    out = np.empty(rows.shape[0], np.float32)
    for e in prange(rows.shape[0]):
        if euclidean:
            out[e] = math.sqrt(_squared(left[rows[e]], right[columns[e]]))
        else:
            out[e] = max(0.0, 1.0 - _dot(left[rows[e]], right[columns[e]]))
    return out
