"""Diffusion from each node of a sparse graph, on the nodes that a walk from it reaches first, by
conjugate gradients.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@njit(cache=True, inline="always")
def _reach(start: I64, column: I32, node: int, room: int, place: I32, members: I32) -> int:
    """The first `room` nodes of a breadth-first walk from `node`, in its order: their number, and
    in `place` their places.
    """
    members[0] = node
    place[node] = 0
    count = 1
    at = 0
    while at < count < room:
        for e in range(start[members[at]], start[members[at] + 1]):
            other = column[e]
            if place[other] < 0 and count < room:
                place[other] = count
                members[count] = other
                count += 1
        at += 1
    return count


@njit(cache=True, parallel=True)
def reached(start: I64, column: I32, room: int, chunks: int) -> I64:
    """How many nodes, at most `room`, a walk from each node reaches, itself counted."""
    n = start.shape[0] - 1
    out = np.empty(n, np.int64)
    step = (n + chunks - 1) // chunks
    for chunk in prange(chunks):
        place = np.full(n, -1, np.int32)
        members = np.empty(room, np.int32)
        for i in range(chunk * step, min((chunk + 1) * step, n)):
            out[i] = _reach(start, column, i, room, place, members)
            for a in range(out[i]):
                place[members[a]] = -1
    return out


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _solve(
    start: I32,
    column: I32,
    value: F64,
    alpha: float,
    iterations: int,
    tolerance: float,
    room: F64,
    count: int,
) -> None:
    """(I - alpha S) x = e_0 by conjugate gradients from 0, S the local matrix; x is room[0], the
    other rows are scratch.
    """
    x, r, p, q = room[0], room[1], room[2], room[3]
    for a in range(count):
        x[a], r[a], p[a] = 0.0, 0.0, 0.0
    r[0], p[0] = 1.0, 1.0
    square = 1.0
    for _ in range(iterations):
        curve = 0.0
        for a in range(count):
            total = 0.0
            for e in range(start[a], start[a + 1]):
                total += value[e] * p[column[e]]
            q[a] = p[a] - alpha * total
            curve += p[a] * q[a]
        length = square / curve
        after = 0.0
        for a in range(count):
            x[a] += length * p[a]
            r[a] -= length * q[a]
            after += r[a] * r[a]
        if math.sqrt(after) <= tolerance:
            break
        back = after / square
        for a in range(count):
            p[a] = r[a] + back * p[a]
        square = after


@njit(cache=True, parallel=True)
def inverse_rows(
    start: I64,
    column: I32,
    value: F64,
    begin: I64,
    most: int,
    alpha: float,
    iterations: int,
    tolerance: float,
    out_column: I32,
    out_value: F32,
    chunks: int,
) -> None:
    """Row i of (I - alpha S)^-1, S cut to the begin[i + 1] - begin[i] nodes that a walk from i
    reaches first.

    S symmetric (start, column, value) with at most `most` entries a row. The rows are written to
    out_column and out_value.
    """
    n = start.shape[0] - 1
    step = (n + chunks - 1) // chunks
    widest = np.int64(0)
    for i in range(n):
        widest = max(widest, begin[i + 1] - begin[i])
    for chunk in prange(chunks):
        place = np.full(n, -1, np.int32)
        members = np.empty(widest, np.int32)
        room = np.empty((4, widest), np.float64)
        local_start = np.empty(widest + 1, np.int32)
        local_column = np.empty(widest * most, np.int32)
        local_value = np.empty(widest * most, np.float64)
        for i in range(chunk * step, min((chunk + 1) * step, n)):
            count = _reach(start, column, i, begin[i + 1] - begin[i], place, members)
            size = 0
            for a in range(count):
                local_start[a] = size
                for e in range(start[members[a]], start[members[a] + 1]):
                    if place[column[e]] >= 0:
                        local_column[size] = place[column[e]]
                        local_value[size] = value[e]
                        size += 1
            local_start[count] = size
            _solve(
                local_start, local_column, local_value, alpha, iterations, tolerance, room, count
            )
            for a in range(count):
                out_column[begin[i] + a] = members[a]
                out_value[begin[i] + a] = room[0, a]
                place[members[a]] = -1
