"""Sparse matrices over many images as compressed rows, and what is done with them in bounded
memory.

The loops are compiled and run on the CPU, whatever the device of the products around them: they are
O(n k²).
"""

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

Matrix = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""Compressed rows: row i has the entries start[i] .. start[i + 1] of column and value."""

CHUNKS = 16
"""Parts that a loop with room per thread is cut into: enough to keep any laptop's cores busy."""


def listed(lists: Int32[np.ndarray, "n k"], values: Float32[np.ndarray, "n k"]) -> Matrix:
    """The matrix with values[i, a] at (i, lists[i, a]); nothing where -1."""
    there = lists >= 0
    start = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(there.sum(axis=1), out=start[1:])
    return start, lists[there], values[there]


def empty(n: int) -> Matrix:
    """n rows without entries."""
    return np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)


def identity(n: int) -> Matrix:
    """The identity of n rows."""
    return np.arange(n + 1), np.arange(n, dtype=np.int32), np.ones(n, np.float32)


def with_self(lists: Int32[np.ndarray, "n k"]) -> Int32[np.ndarray, "n k+1"]:
    """Neighbour lists with the image itself first."""
    return np.concatenate([np.arange(len(lists), dtype=np.int32)[:, None], lists], axis=1)


def stacked(above: Matrix, below: Matrix) -> Matrix:
    """The rows of one matrix and then those of the other."""
    start = np.concatenate([above[0], above[0][-1] + below[0][1:]])
    return start, np.concatenate([above[1], below[1]]), np.concatenate([above[2], below[2]])


def taken(matrix: Matrix, chosen: Int64[np.ndarray, " m"] | Int32[np.ndarray, " m"]) -> Matrix:
    """Some rows of a matrix, in the order given."""
    start, column, value = matrix
    count = start[chosen + 1] - start[chosen]
    begin = np.zeros(len(chosen) + 1, np.int64)
    np.cumsum(count, out=begin[1:])
    entry = np.arange(begin[-1]) + np.repeat(start[chosen] - begin[:-1], count)
    return begin, column[entry], value[entry]


def inserted(
    matrix: Matrix, own: Matrix, lists: Int32[np.ndarray, "m k"]
) -> tuple[Matrix, Int32[np.ndarray, "m k+1"]]:
    """What sums over some images' own rows and the rows of `matrix` in their lists need: these rows
    alone, and lists of them.

    Returns:
        The rows that the lists name, then the rows `own`; and each list with the own row first. -1
        stays.
    """
    wanted, place = np.unique(lists[lists >= 0], return_inverse=True)
    itself = len(wanted) + np.arange(len(lists), dtype=np.int32)[:, None]
    renamed = np.full(lists.shape, -1, np.int32)
    renamed[lists >= 0] = place
    return stacked(taken(matrix, wanted), own), np.concatenate([itself, renamed], axis=1)


def transposed(matrix: Matrix, width: int, *, rows: int | None = None) -> Matrix:
    """The transpose of the first `rows` rows (all if None) of a matrix of `width` columns."""
    from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415  # heavy, and not for the GPU path

    return jaccard.inverted(*matrix, len(matrix[0]) - 1 if rows is None else rows, width)


def summed(
    matrix: Matrix,
    lists: Int32[np.ndarray, "m k"],
    weights: Float32[np.ndarray, "m k"] | None = None,
    *,
    width: int,
) -> Matrix:
    """Row i is the sum of weights[i, a] (1 if None) times row lists[i, a] of a matrix of `width`
    columns; -1 adds nothing.
    """
    from graphreid.kernels import sparse_rows as sparse  # noqa: PLC0415

    weights = np.ones(lists.shape, np.float32) if weights is None else weights
    chunks = min(CHUNKS, max(len(lists), 1))
    return sparse.sum_rows(
        *matrix, np.ascontiguousarray(lists), np.ascontiguousarray(weights), width, chunks
    )


def summed_lengths(
    matrix: Matrix,
    lists: Int32[np.ndarray, "m k"],
    weights: Float32[np.ndarray, "m k"],
    *,
    width: int,
) -> Float32[np.ndarray, " m"]:
    """Euclidean lengths of the rows that `summed` gives, which are not held."""
    from graphreid.kernels import sparse_rows as sparse  # noqa: PLC0415

    return sparse.summed_lengths(
        *matrix, np.ascontiguousarray(lists), np.ascontiguousarray(weights), width, CHUNKS
    )


def symmetric(matrix: Matrix) -> Matrix:
    """A square matrix plus its transpose."""
    n = len(matrix[0]) - 1
    lists = np.arange(2 * n, dtype=np.int32).reshape(2, n).T
    return summed(stacked(matrix, transposed(matrix, n)), lists, width=n)


def to_unit_length(matrix: Matrix) -> None:
    """Each row divided by its Euclidean length, in place; a row of zeros stays."""
    from graphreid.kernels import sparse_rows as sparse  # noqa: PLC0415

    sparse.to_unit_length(matrix[0], matrix[2])


def add_product(
    left: Matrix, rows: Int64[np.ndarray, " b"], right: Matrix, out: Float32[np.ndarray, "b g"]
) -> None:
    """out[i] += row rows[i] of `left` times `right`, in place."""
    from graphreid.kernels import sparse_rows as sparse  # noqa: PLC0415

    sparse.add_product(*left, rows, *right, out)


def add_summed_product(
    left: Matrix,
    rows: Int64[np.ndarray, " b"],
    right: Matrix,
    lists: Int32[np.ndarray, "g k"],
    weights: Float32[np.ndarray, "g k"],
    out: Float32[np.ndarray, "b g"],
) -> None:
    """out[i] += row rows[i] of `left` times the transpose of `summed(right, lists, weights)`, which
    is not made; in place.

    `right` must be square and symmetric.
    """
    from graphreid.kernels import sparse_rows as sparse  # noqa: PLC0415

    sparse.add_summed_product(
        *left, rows, *right, np.ascontiguousarray(lists), np.ascontiguousarray(weights), out
    )


def size(*matrices: Matrix) -> int:
    """Bytes that matrices take."""
    return sum(part.nbytes for matrix in matrices for part in matrix)
