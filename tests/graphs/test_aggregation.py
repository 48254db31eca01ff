import numpy as np

from graphreid.graphs.aggregation import expanded, weighted_sum
from graphreid.resources import Resources
from graphreid.types import Neighbors


def test_sums_of_listed_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors, lists = (
        rng.standard_normal((30, 8)).astype(np.float32),
        rng.integers(0, 30, (12, 5)).astype(np.int32),
    )
    weights = rng.standard_normal((12, 5)).astype(np.float32)
    got = weighted_sum(vectors, lists, weights, resources=Resources())
    np.testing.assert_allclose(got, np.einsum("mk,mkd->md", weights, vectors[lists]), atol=1e-5)
    plain = weighted_sum(vectors, lists, resources=Resources(threads=1))
    np.testing.assert_allclose(plain, vectors[lists].sum(axis=1), atol=1e-5)
    np.testing.assert_array_equal(
        weighted_sum(vectors, lists[3:4], weights[3:4], resources=Resources()), got[3:4]
    )
    assert not weighted_sum(vectors, lists[:, :0], resources=Resources()).any()


def test_expansion_leaves_out_what_points_away() -> None:
    others = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    near = Neighbors(
        np.array([[0, 1, 2]], np.int32),
        np.array([[0.2, 1.0, 1.8]], np.float32),
        np.array([2], np.float32),
    )
    got = expanded(np.array([[0.8, 0.6]], np.float32), others, near, 2.0, resources=Resources())
    np.testing.assert_allclose(got, [[0.8 + 0.8**2, 0.6]], atol=1e-6)
