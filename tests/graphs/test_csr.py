import numpy as np
import pytest
import scipy.sparse as sp

from graphreid.graphs import csr as rows


def some(seed: int, n: int, width: int, density: float = 0.3) -> tuple[rows.Matrix, np.ndarray]:
    dense = np.random.default_rng(seed).standard_normal((n, width)) * (
        np.random.default_rng(seed + 1).random((n, width)) < density
    )
    dense = dense.astype(np.float32)
    made = sp.csr_matrix(dense)
    return (made.indptr.astype(np.int64), made.indices.astype(np.int32), made.data), dense


def dense(matrix: rows.Matrix, width: int) -> np.ndarray:
    start, column, value = matrix
    return sp.csr_matrix((value, column, start), shape=(len(start) - 1, width)).toarray()


def test_lists_become_rows() -> None:
    lists = np.array([[2, -1, 0], [-1, -1, -1]], np.int32)
    values = np.array([[1, 9, 3], [9, 9, 9]], np.float32)
    np.testing.assert_array_equal(dense(rows.listed(lists, values), 3), [[3, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(rows.with_self(lists), [[0, 2, -1, 0], [1, -1, -1, -1]])
    np.testing.assert_array_equal(dense(rows.identity(3), 3), np.eye(3))
    np.testing.assert_array_equal(dense(rows.empty(2), 3), np.zeros((2, 3)))


def test_rows_are_stacked_taken_and_transposed() -> None:
    (one, a), (other, b) = some(0, 5, 4), some(2, 3, 4)
    np.testing.assert_array_equal(dense(rows.stacked(one, other), 4), np.concatenate([a, b]))
    chosen = np.array([4, 0, 4])
    np.testing.assert_array_equal(dense(rows.taken(one, chosen), 4), a[chosen])
    np.testing.assert_array_equal(dense(rows.transposed(one, 4), 5), a.T)
    np.testing.assert_array_equal(dense(rows.transposed(one, 4, rows=2), 2), a[:2].T)
    assert rows.size(one) == sum(part.nbytes for part in one)


@pytest.mark.parametrize("weighted", [True, False])
def test_sums_of_listed_rows(weighted: bool) -> None:
    matrix, a = some(1, 30, 12)
    rng = np.random.default_rng(3)
    lists = rng.integers(-1, 30, (40, 5)).astype(np.int32)
    weights = (
        rng.standard_normal((40, 5)).astype(np.float32)
        if weighted
        else np.ones((40, 5), np.float32)
    )
    want = np.einsum("mk,mkd->md", np.where(lists < 0, 0, weights), a[lists])
    got = rows.summed(matrix, lists, weights if weighted else None, width=12)
    np.testing.assert_allclose(dense(got, 12), want, atol=1e-5)
    assert all(
        len(set(got[1][b:e])) == e - b for b, e in zip(got[0], got[0][1:], strict=False)
    )  # a column stands once
    length = rows.summed_lengths(matrix, lists, weights, width=12)
    np.testing.assert_allclose(length, np.linalg.norm(want, axis=1), rtol=1e-4, atol=1e-5)


def test_unit_length_and_symmetry() -> None:
    matrix, a = some(4, 9, 9)
    a[3] = 0
    matrix = rows.listed(np.where(a != 0, np.arange(9), -1).astype(np.int32), a)
    np.testing.assert_allclose(dense(rows.symmetric(matrix), 9), a + a.T, atol=1e-6)
    rows.to_unit_length(matrix)
    length = np.linalg.norm(dense(matrix, 9), axis=1)
    np.testing.assert_allclose(length, np.where(np.arange(9) == 3, 0, 1), atol=1e-6)


def test_products() -> None:
    (left, a), (right, b) = some(5, 7, 11), some(6, 11, 13)
    chosen = np.array([6, 0, 0])
    out = np.ones((3, 13), np.float32)
    rows.add_product(left, chosen, right, out)
    np.testing.assert_allclose(out, 1 + a[chosen] @ b, atol=1e-5)
    square, s = some(7, 11, 11)
    square, s = rows.symmetric(square), s + s.T
    rng = np.random.default_rng(8)
    lists, weights = (
        rng.integers(0, 11, (20, 4)).astype(np.int32),
        rng.standard_normal((20, 4)).astype(np.float32),
    )
    out = np.ones((3, 20), np.float32)
    rows.add_summed_product(left, chosen, square, lists, weights, out)
    np.testing.assert_allclose(
        out, 1 + a[chosen] @ np.einsum("gk,gkd->gd", weights, s[lists]).T, atol=1e-4
    )


def test_own_rows_beside_those_that_lists_name() -> None:
    (matrix, a), (own, b) = some(9, 10, 6), some(10, 2, 6)
    lists = np.array([[7, 2], [-1, 7]], np.int32)
    both, renamed = rows.inserted(matrix, own, lists)
    assert len(both[0]) - 1 == 2 + 2
    got = dense(rows.summed(both, renamed, width=6), 6)
    np.testing.assert_allclose(got, [b[0] + a[7] + a[2], b[1] + a[7]], atol=1e-6)
