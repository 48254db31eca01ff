import numpy as np
import pytest

from graphreid.distances import from_reranker as reranked
from graphreid.distances.from_reranker import RerankedDistances
from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods import AQE, ECN, RandomWalk
from graphreid.protocols import DistanceSource
from graphreid.resources import Resources
from graphreid.types import Features
from tests.references import chain as slow
from tests.support import all_distances, blobs, cosine_distances

METHOD = ECN(k=8, t=2, q=3)
"""Its distances are partly negative, and its own tail begins soon."""


def test_both_kinds_are_affinities() -> None:
    query, gallery = blobs(5)
    assert isinstance(RetrievalSet(query, Gallery(gallery)), DistanceSource)
    assert isinstance(
        RerankedDistances(RandomWalk(), query, Gallery(gallery), resources=Resources()),
        DistanceSource,
    )


@pytest.mark.parametrize("keep", [9, 1000])
def test_every_view_shows_the_same_distances(monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    monkeypatch.setattr(reranked, "KEEP", keep)
    query, gallery = blobs(1, queries=6, images=40)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    given = all_distances(METHOD, joined, Gallery(joined)).astype(np.float64)
    given[np.isinf(given)] = np.inf
    base = cosine_distances(gallery, query)  # here the gallery is first, as nodes are
    want = slow.reranked(given, base, keep, METHOD.unscored_offset, METHOD.min_distance)
    affinity = RerankedDistances(METHOD, query, Gallery(gallery), resources=Resources())
    near = affinity.neighbors(7, side="union")
    others = np.where(np.eye(46, dtype=bool), np.inf, given - METHOD.min_distance)
    np.testing.assert_array_equal(near.index, np.argsort(others, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(
        near.distance, np.take_along_axis(want, near.index.astype(int), 1), rtol=1e-6
    )
    np.testing.assert_allclose(affinity.block(1, 5), want[41:45, :40], rtol=1e-6)
    one, other = np.divmod(np.arange(46 * 46, dtype=np.int32), 46)
    np.testing.assert_allclose(
        affinity.pairs(one, other, side="union").reshape(46, 46), want, rtol=1e-6
    )
    changed = affinity.corrections(online=False)
    start, column, value = changed.entries
    dense = base + changed.unscored_offset
    np.add.at(dense, (np.repeat(np.arange(46), np.diff(start)), column), value)
    np.testing.assert_allclose(
        dense,
        slow.reranked(given, base, keep, METHOD.unscored_offset, METHOD.min_distance, floor=False),
        atol=2e-4,
    )
    np.testing.assert_array_equal(changed.queries, 40 + np.arange(6))


@pytest.mark.parametrize("keep", [9, 1000])
def test_the_online_view_does_not_see_the_queries_from_the_gallery(
    monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.setattr(reranked, "KEEP", keep)
    query, gallery = blobs(2, queries=6, images=40)
    method = RandomWalk(K=9)
    base = cosine_distances(query, gallery)
    given = all_distances(method, gallery, Gallery(gallery)).astype(np.float64)
    want = slow.reranked(given, base[6:, 6:], keep, 0, 0)
    affinity = RerankedDistances(method, query, Gallery(gallery), resources=Resources())
    near = affinity.neighbors(5, side="gallery")
    np.testing.assert_allclose(near.distance, np.sort(given, axis=1)[:, :5], atol=1e-6)
    one, other = np.divmod(np.arange(1600, dtype=np.int32), 40)
    np.testing.assert_allclose(
        affinity.pairs(one, other, side="gallery").reshape(40, 40), want, atol=2e-6
    )
    lists = np.array([[3, 1, 7], [0, 39, 5]], np.int32)
    np.testing.assert_allclose(
        affinity.among(lists), want[lists[:, :, None], lists[:, None]], atol=2e-6
    )
    mine = all_distances(method, query, Gallery(gallery))
    np.testing.assert_allclose(
        affinity.neighbors(4, side="query").distance, np.sort(mine, axis=1)[:, :4], atol=1e-6
    )
    np.testing.assert_allclose(affinity.block(2, 4), mine[2:4], atol=2e-6)
    one_query, image = np.divmod(np.arange(240, dtype=np.int32), 40)
    np.testing.assert_allclose(
        affinity.pairs(one_query, image, side="query").reshape(6, 40), mine, atol=2e-6
    )


def test_a_method_without_an_offset_is_refused() -> None:
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="has no unscored_offset"):
        RerankedDistances(AQE(), query, Gallery(gallery), resources=Resources())
