"""Sets of neighbours as compressed rows: reciprocal sets, sparse means, and the min-sum of two rows
by inverted lists.

A compressed matrix is (start int64 [n + 1], column int32 [e], value float32 [e]); columns ascend
within a row.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Rows = tuple[I64, I32]
Matrix = tuple[I64, I32, F32]


@njit(cache=True, parallel=True)
def back_rank(lists: I32) -> I32:
    """For j = lists[i, a]: the place of i in the list of j, or k where it is not there. int32 [n,
    k].
    """
    n, k = lists.shape
    out = np.full((n, k), k, np.int32)
    for i in prange(n):
        for a in range(k):
            other = lists[lists[i, a]]
            for b in range(k):
                if other[b] == i:
                    out[i, a] = b
                    break
    return out


@njit(cache=True, inline="always")
def _half(lists: I32, back: I32, half: int, row: int, out: I32) -> int:
    """The reciprocal set of `row` at `half` neighbours, itself first; returns its size."""
    out[0] = row
    size = 1
    for a in range(min(half, lists.shape[1])):
        if back[row, a] < half:
            out[size] = lists[row, a]
            size += 1
    return size


@njit(cache=True, inline="always")
def _expand(
    lists: I32, back: I32, half: int, members: I32, count: int, stamp: I32, mark: int, scratch: I32
) -> int:
    """Grow `members` (the reciprocal set, `count` long) by the half sets that overlap it by more
    than two thirds.
    """
    for a in range(count):
        stamp[members[a]] = mark
    size = count
    for a in range(count):
        small = _half(lists, back, half, members[a], scratch)
        common = 0
        for b in range(small):
            common += stamp[scratch[b]] == mark
        if 3 * common > 2 * small:
            for b in range(small):
                # mark + 1: in the expanded set, and not in the one that overlaps are judged against
                if stamp[scratch[b]] < mark:
                    stamp[scratch[b]] = mark + 1
                    members[size] = scratch[b]
                    size += 1
    return size


@njit(cache=True, parallel=True)
def expanded_sets(
    lists: I32,
    back: I32,
    half: int,
    mutual: NDArray[np.bool_],
    anchors: I32,
    anchor_lists: I32,
    chunks: int,
) -> Rows:
    """Expanded k-reciprocal sets of some anchors (Zhong et al. 2017, Eqs. 2-5), columns ascending,
    the anchor among them.

    lists and back [n, k]: of the nodes that sets are made of. For anchor i, itself node anchors[i]
    (or -1, where it is no node and its set holds only others), anchor_lists[i] are its neighbours,
    and mutual[i] says which of them it is a neighbour of.
    """
    m, k = anchor_lists.shape
    n = lists.shape[0]
    room = (1 + k) * (2 + min(half, k))
    sizes = np.zeros(m + 1, np.int64)
    step = (m + chunks - 1) // chunks
    for chunk in prange(chunks):
        stamp = np.zeros(n, np.int32)
        members = np.empty(room, np.int32)
        scratch = np.empty(2 + min(half, k), np.int32)
        mark = -1
        for i in range(chunk * step, min((chunk + 1) * step, m)):
            mark += 2
            sizes[i + 1] = _set_of(
                lists,
                back,
                half,
                mutual[i],
                anchors[i],
                anchor_lists[i],
                members,
                stamp,
                mark,
                scratch,
            )
    start = np.cumsum(sizes)
    column = np.empty(start[m], np.int32)
    for chunk in prange(chunks):
        stamp = np.zeros(n, np.int32)
        members = np.empty(room, np.int32)
        scratch = np.empty(2 + min(half, k), np.int32)
        mark = -1
        for i in range(chunk * step, min((chunk + 1) * step, m)):
            mark += 2
            size = _set_of(
                lists,
                back,
                half,
                mutual[i],
                anchors[i],
                anchor_lists[i],
                members,
                stamp,
                mark,
                scratch,
            )
            column[start[i] : start[i + 1]] = np.sort(members[:size])
    return start, column


@njit(cache=True, inline="always")
def _set_of(
    lists: I32,
    back: I32,
    half: int,
    mutual: NDArray[np.bool_],
    anchor: int,
    near: I32,
    members: I32,
    stamp: I32,
    mark: int,
    scratch: I32,
) -> int:
    size = 0
    if anchor >= 0:
        members[0] = anchor
        size = 1
    for a in range(near.shape[0]):
        if mutual[a]:
            members[size] = near[a]
            size += 1
    return _expand(lists, back, half, members, size, stamp, mark, scratch)


@njit(cache=True, parallel=True)
def known_values(start: I64, column: I32, lists: I32, values: F32) -> F32:
    """The value that row i's own list has at each of its columns, NaN where the list does not have
    it. float32 [e].
    """
    out = np.full(column.shape[0], np.nan, np.float32)
    for i in prange(lists.shape[0]):
        for e in range(start[i], start[i + 1]):
            for a in range(lists.shape[1]):
                if lists[i, a] == column[e]:
                    out[e] = values[i, a]
                    break
    return out


@njit(cache=True, parallel=True)
def mean_rows(start: I64, column: I32, value: F32, lists: I32, width: int, chunks: int) -> Matrix:
    """Row i of the result is the mean of the rows lists[i] (-1 is left out of the sum, not of the
    count). Columns < width.
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
                    for e in range(start[row], start[row + 1]):
                        if stamp[column[e]] != i:
                            stamp[column[e]] = i
                            total[column[e]] = 0.0
                            columns[place] = column[e]
                            place += 1
                        total[column[e]] += value[e]
            columns[begin[i] : begin[i + 1]] = np.sort(columns[begin[i] : begin[i + 1]])
            for e in range(begin[i], begin[i + 1]):
                values[e] = total[columns[e]] / k
    return begin, columns, values


@njit(cache=True)
def inverted(start: I64, column: I32, value: F32, rows: int, width: int) -> Matrix:
    """The transpose of the first `rows` rows: for each column, which rows hold it, ascending, and
    with what value.
    """
    sizes = np.zeros(width + 1, np.int64)
    for e in range(start[rows]):
        sizes[column[e] + 1] += 1
    begin = np.cumsum(sizes)
    place = begin[:-1].copy()
    row_of = np.empty(start[rows], np.int32)
    values = np.empty(start[rows], np.float32)
    for i in range(rows):
        for e in range(start[i], start[i + 1]):
            at = place[column[e]]
            row_of[at] = i
            values[at] = value[e]
            place[column[e]] += 1
    return begin, row_of, values


@njit(cache=True, parallel=True)
def blend_jaccard(
    start: I64,
    column: I32,
    value: F32,
    queries: I64,
    by_start: I64,
    by_row: I32,
    by_value: F32,
    lam: float,
    base: F32,
    scale: F32,
) -> None:
    """base[i] <- (1 - lam) (1 - s / (2 - s)) + lam base[i] scale[i], s the min-sum of row
    queries[i] with every inverted row.

    base float32 [b, g], changed in place (Zhong et al. 2017, Eqs. 10 and 12).
    """
    b, g = base.shape
    for i in prange(b):
        shared = np.zeros(g, np.float32)
        for e in range(start[queries[i]], start[queries[i] + 1]):
            c = column[e]
            for f in range(by_start[c], by_start[c + 1]):
                shared[by_row[f]] += min(value[e], by_value[f])
        weight = np.float32(lam * scale[i])
        rest = np.float32(1 - lam)
        for j in range(g):
            s = shared[j]
            base[i, j] = rest * (np.float32(1) - s / (np.float32(2) - s)) + weight * base[i, j]
