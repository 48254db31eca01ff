"""The exact search, each of its ways against sums in float64: rows and `torch.topk`, tiles of
float32, tiles of bfloat16.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphreid.gallery import normalise
from graphreid.knn import exact as neighbors
from graphreid.resources import Resources
from graphreid.types import Neighbors

WAYS = ("rows", "float32", "bfloat16")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(neighbors, "_way", request.param)
    return request.param


def truth(
    base: NDArray[np.float32],
    k: int,
    queries: NDArray[np.float32],
    own: NDArray[Any],
    metric: neighbors.Metric = "cosine",
) -> Neighbors:
    """Distances in float64, rounded to float32; equal ones by index."""
    left, right = queries.astype(np.float64), base.astype(np.float64)
    if metric == "cosine":
        exact = np.maximum(1 - np.einsum("md,nd->mn", left, right), 0)
    else:
        exact = np.sqrt(((left[:, None] - right[None]) ** 2).sum(axis=2))
    distance = exact.astype(np.float32)
    farthest = distance.max(axis=1)
    rows = np.flatnonzero(own >= 0)
    distance[rows, own[rows]] = np.inf
    k = min(k, len(base) - bool(len(rows)))
    order = np.argsort(distance, axis=1, kind="stable")[:, :k].astype(np.int32)
    return Neighbors(order, np.take_along_axis(distance, order, axis=1), farthest)


def same(found: Neighbors, expected: Neighbors, atol: float = 0.0) -> None:
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_allclose(found.distance, expected.distance, rtol=0, atol=atol)
    # which image is the farthest is for the product to say
    np.testing.assert_allclose(found.farthest, expected.farthest, rtol=0, atol=max(atol, 1e-6))


def unit(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    return normalise(np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32))


@pytest.mark.parametrize("k", [1, 7, 60])
def test_each_row_among_the_others(way: str, k: int) -> None:
    base = unit(2_100, 24)
    same(neighbors.search(base, k), truth(base, k, base, np.arange(len(base))), atol=6e-8)


def test_queries_some_of_which_are_in_the_base_that_lies_in_two_arrays(way: str) -> None:
    base, queries = unit(1_500, 16), unit(70, 16, 1)
    own = np.full(70, -1)
    queries[10:20], own[10:20] = base[1_200:1_210], np.arange(1_200, 1_210)
    found = neighbors.search(base[:1_100], 12, more=base[1_100:], queries=queries, own=own)
    same(found, truth(base, 12, queries, own), atol=6e-8)


def test_euclidean_rows_of_any_length(way: str) -> None:
    rng = np.random.default_rng(2)
    base = (rng.standard_normal((1_300, 12)) * rng.exponential(5, (1_300, 1))).astype(np.float32)
    expected = truth(base, 9, base, np.arange(1_300), "euclidean")
    same(
        neighbors.search(base, 9, metric="euclidean"),
        expected,
        atol=float(np.abs(base).max()) * 1e-6,
    )


def test_many_copies_go_by_index(way: str) -> None:
    base = unit(40, 8)[np.random.default_rng(3).integers(0, 40, 1_400)]
    found = neighbors.search(base, 50)
    same(found, truth(base, 50, base, np.arange(len(base))), atol=6e-8)
    assert (np.diff(found.distance, axis=1) >= 0).all()


def test_near_copies_are_told_apart(way: str) -> None:
    # differences far below bfloat16's steps, and near those of a float32 product: candidates are
    # searched for twice
    base = unit(1, 32) + np.float32(1e-3) * unit(400, 32, 5)
    same(
        neighbors.search(normalise(base), 5),
        truth(normalise(base), 5, normalise(base), np.arange(400)),
        atol=6e-8,
    )


def test_rows_of_zeros_are_at_distance_one_from_all(way: str) -> None:
    base = unit(300, 8)
    base[[0, 7, 299]] = 0
    found = neighbors.search(base, 299)
    same(found, truth(base, 299, base, np.arange(300)), atol=6e-8)
    assert (found.distance[7] == 1).all()
    np.testing.assert_array_equal(found.index[7], np.delete(np.arange(300), 7))


def test_negative_products_and_opposite_rows(way: str) -> None:
    base = np.concatenate([unit(200, 4), -unit(200, 4)])
    found = neighbors.search(base, 399)
    same(found, truth(base, 399, base, np.arange(400)), atol=1.2e-7)
    np.testing.assert_allclose(found.farthest, 2, atol=1e-6)


@pytest.mark.parametrize("k", [0, 29, 30, 500])
def test_as_many_as_there_are_and_more(way: str, k: int) -> None:
    base = unit(30, 5)
    same(neighbors.search(base, k), truth(base, k, base, np.arange(30)), atol=6e-8)
    stranger = neighbors.search(base, k, queries=unit(4, 5, 9))
    assert stranger.k == min(k, 30)
    same(stranger, truth(base, k, unit(4, 5, 9), np.full(4, -1)), atol=6e-8)


def test_one_row(way: str) -> None:
    base = unit(1, 5)
    assert neighbors.search(base, 3).index.shape == (1, 0)
    assert neighbors.search(base, 3, queries=base).index.tolist() == [[0]]


def test_memory_changes_blocks_and_nothing_else(way: str) -> None:
    base = unit(900, 16)
    wide = neighbors.search(base, 20)
    narrow = neighbors.search(base, 20, resources=Resources(memory=200_000))
    same(narrow, wide)


def test_the_ways_agree_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    base = unit(1_500, 20)
    found: list[Neighbors] = []
    for each in WAYS:
        monkeypatch.setattr(neighbors, "_way", each)
        found.append(neighbors.search(base, 30))
    same(found[1], found[0])
    same(found[2], found[0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_small_sets_of_few_values(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    n, d, k = (
        data.draw(st.integers(1, 40)),
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(0, 45)),
    )
    base = normalise(rng.integers(-2, 3, (n, d)).astype(np.float32))
    chosen = data.draw(st.sampled_from(WAYS))
    before, neighbors._way = neighbors._way, chosen  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    try:
        found = neighbors.search(base, k)
    finally:
        neighbors._way = before  # pyright: ignore[reportPrivateUsage]
    expected = truth(base, k, base, np.arange(n))
    np.testing.assert_allclose(found.distance, expected.distance, rtol=0, atol=1.2e-7)
    for row in found.index:
        assert len(set(row.tolist())) == len(row)


def test_a_negative_k_is_refused() -> None:
    with pytest.raises(ValueError, match="k is -1"):
        neighbors.search(unit(5, 3), -1)


def test_equal_distances_go_by_index_where_queries_are_far_longer_than_the_base() -> None:
    rng = np.random.default_rng(0)
    base = (rng.standard_normal((1_500, 12)) * 1e-4).astype(np.float32)
    queries = (rng.standard_normal((20, 12)) * 1e3).astype(np.float32)
    found = neighbors.search(base, 9, queries=queries, metric="euclidean")
    expected = truth(base, 9, queries, np.full(20, -1), "euclidean")
    np.testing.assert_array_equal(found.index, expected.index)


def test_products_and_loops_keep_to_the_threads_given(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    used: list[tuple[int, int]] = []
    real = neighbors._to_distance  # pyright: ignore[reportPrivateUsage]

    def watched(*given: Any) -> Any:
        used.append((torch.get_num_threads(), numba.get_num_threads()))
        return real(*given)

    monkeypatch.setattr(neighbors, "_to_distance", watched)
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(3)
    neighbors.block_distances(unit(3, 4), unit(5, 4), "cosine", Resources(threads=1))
    after = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(before[0])
    assert used == [(1, 1)]
    assert after == (3, before[1])
