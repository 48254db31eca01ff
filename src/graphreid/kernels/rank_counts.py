"""Ranks of the right images, counted on unsorted distances: a comparison an image and positive,
never a sort of the gallery.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


STRIP = 4096
"""Columns that are compared with all positives of a query before the next: they stay in the nearest
cache.
"""


# the counters are cast back to int32 at each step: numba would widen them to int64, and half of the
# lanes with them
@njit(cache=True)
def _nearer(strip: F32, value: np.float32) -> int:
    count = np.int32(0)
    for j in range(strip.shape[0]):
        count = np.int32(count + np.int32(strip[j] < value))
    return int(count)


@njit(cache=True)
def _as_near(strip: F32, value: np.float32) -> int:
    count = np.int32(0)
    for j in range(strip.shape[0]):
        count = np.int32(count + np.int32(strip[j] <= value))
    return int(count)


@njit(cache=True)
def _holds_nan(row: F32) -> bool:
    count = np.int32(0)
    for j in range(row.shape[0]):
        count = np.int32(count + np.int32(row[j] != row[j]))
    return bool(count > 0)


@njit(cache=True)
def _before(row: F32, columns: I64, out: I64) -> None:
    """For each of `columns`: 1 + the images that are nearer than it, or as near and of a smaller
    column, into `out`.
    """
    out[:] = 1
    for start in range(0, row.shape[0], STRIP):
        strip = row[start : start + STRIP]
        for e in range(columns.shape[0]):
            value, at = np.float32(row[columns[e]]), columns[e] - start
            if at < 0:
                out[e] += _nearer(strip, value)
            elif at >= strip.shape[0]:
                out[e] += _as_near(strip, value)
            else:
                out[e] += _as_near(strip[:at], value) + _nearer(strip[at + 1 :], value)


@njit(cache=True)
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
    """The 1-based rank of each positive among the images that count, best first for each query.

    distance float32 [b, g]; positives and removed: gallery columns of query i at start[i] ..
    start[i+1]; removed and junk (columns for every query) do not count, and no column stands twice.
    Returns ranks in the places of `positives`, and which rows hold a NaN.
    """
    b = distance.shape[0]
    out = np.empty(positives.shape[0], np.int64)
    bad = np.zeros(b, np.bool_)
    for i in prange(b):
        row = distance[i]
        bad[i] = _holds_nan(row)
        begin, end = positive_start[i], positive_start[i + 1]
        columns, mine = positives[begin:end], out[begin:end]
        _before(row, columns, mine)
        for e in range(end - begin):
            mine[e] -= _among(
                row, removed[removed_start[i] : removed_start[i + 1]], row[columns[e]], columns[e]
            )
            mine[e] -= _among(row, junk, row[columns[e]], columns[e])
        mine.sort()
    return out, bad
