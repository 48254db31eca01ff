"""Compressed rows added, scaled and multiplied.

A compressed matrix is (start int64 [n + 1], column int32 [e], value float32 [e]); here columns
stand in the order met. Where a column is cast to uint32 it is known not to be negative, and the
loop need not look.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Matrix = tuple[I64, I32, F32]


@njit(cache=True, parallel=True)
def sum_rows(
    start: I64, column: I32, value: F32, lists: I32, weights: F32, width: int, chunks: int
) -> Matrix:
    """Row i of the result is the sum of weights[i, a] times row lists[i, a] (none where -1).
    Columns < width.
    """
    m, k = lists.shape
    sizes = np.zeros(m + 1, np.int64)
    step = (m + chunks - 1) // chunks
    for chunk in prange(chunks):
        stamp = np.full(width, -1, np.int32)
        for i in range(chunk * step, min((chunk + 1) * step, m)):
            count = 0
            for a in range(k):
                row = lists[i, a]
                if row >= 0:
                    for e in range(start[row], start[row + 1]):
                        if stamp[column[e]] != i:
                            stamp[column[e]] = i
                            count += 1
            sizes[i + 1] = count
    begin = np.cumsum(sizes)
    columns = np.empty(begin[m], np.int32)
    values = np.empty(begin[m], np.float32)
    for chunk in prange(chunks):
        stamp = np.full(width, -1, np.int32)
        total = np.zeros(width, np.float64)
        for i in range(chunk * step, min((chunk + 1) * step, m)):
            place = begin[i]
            for a in range(k):
                row = lists[i, a]
                if row >= 0:
                    weight = np.float64(weights[i, a])
                    for e in range(start[row], start[row + 1]):
                        if stamp[column[e]] != i:
                            stamp[column[e]] = i
                            total[column[e]] = 0.0
                            columns[place] = column[e]
                            place += 1
                        total[column[e]] += weight * value[e]
            for e in range(begin[i], begin[i + 1]):
                values[e] = total[columns[e]]
    return begin, columns, values


@njit(cache=True, parallel=True)
def to_unit_length(start: I64, value: F32) -> None:
    """Each row divided by its Euclidean length, in place; a row of zeros stays."""
    for i in prange(start.shape[0] - 1):
        square = 0.0
        for e in range(start[i], start[i + 1]):
            square += np.float64(value[e]) * value[e]
        if square > 0:
            scale = np.float32(1 / math.sqrt(square))
            for e in range(start[i], start[i + 1]):
                value[e] *= scale


@njit(cache=True, parallel=True)
def add_product(
    start: I64,
    column: I32,
    value: F32,
    rows: I64,
    by_start: I64,
    by_column: I32,
    by_value: F32,
    out: F32,
) -> None:
    """out[i] += (row rows[i] of the left matrix) times the right matrix, out float32 [b, g]
    dense.
    """
    for i in prange(out.shape[0]):
        target = out[i]
        for e in range(start[rows[i]], start[rows[i] + 1]):
            v = value[e]
            for f in range(by_start[column[e]], by_start[column[e] + 1]):
                target[np.uint32(by_column[f])] += v * by_value[f]


@njit(cache=True, parallel=True)
def summed_lengths(
    start: I64, column: I32, value: F32, lists: I32, weights: F32, width: int, chunks: int
) -> F32:
    """The Euclidean length of each row that `sum_rows` would give, without the rows. float32
    [m].
    """
    m, k = lists.shape
    out = np.empty(m, np.float32)
    step = (m + chunks - 1) // chunks
    for chunk in prange(chunks):
        total = np.zeros(width, np.float64)
        for i in range(chunk * step, min((chunk + 1) * step, m)):
            square = 0.0
            for a in range(k):
                row = lists[i, a]
                if row >= 0:
                    weight = np.float64(weights[i, a])
                    for e in range(start[row], start[row + 1]):
                        before = total[column[e]]
                        more = weight * value[e]
                        square += more * (2 * before + more)
                        total[column[e]] = before + more
            for a in range(k):
                row = lists[i, a]
                if row >= 0:
                    for e in range(start[row], start[row + 1]):
                        total[column[e]] = 0.0
            out[i] = math.sqrt(max(square, 0.0))
    return out


@njit(cache=True, parallel=True)
def add_summed_product(
    start: I64,
    column: I32,
    value: F32,
    rows: I64,
    by_start: I64,
    by_column: I32,
    by_value: F32,
    lists: I32,
    weights: F32,
    out: F32,
) -> None:
    """out[i, g] += the sum over a of weights[g, a] times (row rows[i] of the left matrix) . (row
    lists[g, a] of the right one).

    The right matrix is square and symmetric: its rows are its columns. out float32 [b, g], lists
    int32 [g, k].
    """
    b, g = out.shape
    k = lists.shape[1]
    for i in prange(b):
        product = np.zeros(by_start.shape[0] - 1, np.float32)
        for e in range(start[rows[i]], start[rows[i] + 1]):
            v = value[e]
            for f in range(by_start[column[e]], by_start[column[e] + 1]):
                product[np.uint32(by_column[f])] += v * by_value[f]
        for j in range(g):
            total = np.float32(0)
            for a in range(k):
                total += weights[j, a] * product[np.uint32(lists[j, a])]
            out[i, j] += total
