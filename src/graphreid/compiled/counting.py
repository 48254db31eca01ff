"""Ranks of the right images, counted on unsorted distances: a comparison an image and positive, never a sort of the gallery."""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@njit(cache=True, inline="always")
def _before(row: F32, value: np.float32, column: int) -> int:
    """Images nearer than `value`, or as near and of a smaller column."""
    count = np.int32(0)
    for j in range(column):
        count += row[j] <= value
    for j in range(column + 1, row.shape[0]):
        count += row[j] < value
    return int(count)


@njit(cache=True, inline="always")
def _among(row: F32, columns: I64, value: np.float32, column: int) -> int:
    count = 0
    for e in range(columns.shape[0]):
        other = columns[e]
        if row[other] < value or (row[other] == value and other < column):
            count += 1
    return count


@njit(cache=True, parallel=True)
def ranks(
    distance: F32, positives: I64, positive_start: I64, removed: I64, removed_start: I64, junk: I64
) -> tuple[I64, NDArray[np.bool_]]:
    """The 1-based rank of each positive among the images that count, best first for each probe.

    distance float32 [b, g]; positives and removed: gallery columns of probe i at start[i] .. start[i+1]; removed and junk
    (columns for every probe) do not count, and no column stands twice. Returns ranks in the places of `positives`, and
    which rows hold a NaN.
    """
    b, g = distance.shape
    out = np.empty(positives.shape[0], np.int64)
    bad = np.zeros(b, np.bool_)
    for i in prange(b):
        row = distance[i]
        nans = np.int32(0)
        for j in range(g):
            nans += row[j] != row[j]
        bad[i] = nans > 0
        begin, end = positive_start[i], positive_start[i + 1]
        for e in range(begin, end):
            column = positives[e]
            value = row[column]
            dropped = _among(row, removed[removed_start[i] : removed_start[i + 1]], value, column)
            dropped += _among(row, junk, value, column)
            out[e] = 1 + _before(row, value, column) - dropped
        out[begin:end].sort()
    return out, bad
