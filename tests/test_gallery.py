import numpy as np
import pytest

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.resources import Resources
from graphreid.types import Features
from tests.support import blobs


def joined(*parts: Features) -> Features:
    return Features(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.items for part in parts]),
    )


def test_normalise() -> None:
    vectors = np.array([[3, 4], [0, 0], [1e-20, 0]], np.float32)
    np.testing.assert_allclose(normalise(vectors), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)


def test_neighbours_are_kept_and_grow_to_the_largest_k() -> None:
    _, images = blobs(0)
    gallery = Gallery(images)
    few, many = gallery.neighbors(3), gallery.neighbors(9)
    np.testing.assert_array_equal(few.index, many.index[:, :3])
    assert gallery.neighbors(3).index.base is not None
    assert gallery.neighbors(1000).k == len(gallery) - 1


def test_the_union_is_by_item() -> None:
    query, images = blobs(0)
    gallery = Gallery(joined(images, query.take(np.array([4, 2]))))
    retrieval_set = RetrievalSet(query, gallery)
    g = len(images) + 2
    assert len(retrieval_set) == g + len(query) - 2
    assert retrieval_set.own[[4, 2]].tolist() == [g - 2, g - 1]
    assert (retrieval_set.own[[0, 1, 3]] == -1).all()
    assert retrieval_set.nodes[[4, 2, 0, 1, 3]].tolist() == [g - 2, g - 1, g, g + 1, g + 2]
    np.testing.assert_allclose(
        retrieval_set.union_vectors[retrieval_set.nodes], normalise(query.vectors), atol=1e-6
    )


def test_a_query_is_no_neighbour_of_itself() -> None:
    query, images = blobs(0)
    gallery = Gallery(joined(query, images))
    near = RetrievalSet(query, gallery).neighbors(5, side="query")
    np.testing.assert_array_equal(near.index, gallery.neighbors(5).index[: len(query)])
    block = RetrievalSet(query, gallery).distance_block(
        0, np.zeros((len(query), len(gallery)), np.float32)
    )
    assert np.isinf(block.distance.diagonal()).all()
    assert np.isinf(block.distance).sum() == len(query)


def test_pairs_and_blocks_agree() -> None:
    query, images = blobs(0)
    retrieval_set = RetrievalSet(query, Gallery(images), resources=Resources(memory=2_000))
    rows = [retrieval_set.block(start, stop) for start, stop in retrieval_set.blocks()]
    assert len(rows) > 1
    distance = np.concatenate(rows)
    queries, columns = np.indices(distance.shape).reshape(2, -1).astype(np.int32)
    np.testing.assert_allclose(
        retrieval_set.pairs(queries, columns, side="query"), distance.ravel(), atol=1e-6
    )
    nodes = retrieval_set.nodes[queries].astype(np.int32)
    np.testing.assert_array_equal(
        retrieval_set.pairs(nodes, columns, side="union"),
        retrieval_set.pairs(queries, columns, side="query"),
    )


def test_euclidean_takes_vectors_as_they_are() -> None:
    query, images = blobs(0)
    gallery = Gallery(Features(images.vectors * 3, images.items), metric="euclidean")
    retrieval_set = RetrievalSet(Features(query.vectors * 3, query.items), gallery)
    expected = np.linalg.norm(3.0 * query.vectors[:, None] - 3.0 * images.vectors[None], axis=2)
    np.testing.assert_allclose(
        retrieval_set.block(0, retrieval_set.query_count), expected, atol=1e-4
    )
    near = retrieval_set.neighbors(4, side="query")
    np.testing.assert_array_equal(near.index, np.argsort(expected, axis=1, kind="stable")[:, :4])
    np.testing.assert_allclose(near.farthest, expected.max(axis=1), atol=1e-4)


def test_snapshots_follow_each_other() -> None:
    query, images = blobs(0)
    gallery = Gallery(Features(images.vectors, images.items))
    asked: list[int] = []

    def square(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return rows.astype(float) ** 2

    gallery.per_image("square", square)
    assert gallery.derived("once", lambda: 1) == gallery.derived("once", lambda: 2) == 1
    after = gallery.add(Features(query.vectors, query.items))
    assert (after.version, len(after)) == (1, len(images) + len(query))
    assert len(after.per_image("square", square)) == len(after)
    assert asked == [len(images), len(query)]
    assert after.derived("once", lambda: 2) == 2
    np.testing.assert_array_equal(
        after.neighbors(4).index, Gallery(after.features).neighbors(4).index
    )
    back = after.remove(query.items)
    assert back.version == 2
    np.testing.assert_array_equal(back.vectors, gallery.vectors)
    np.testing.assert_array_equal(
        back.per_image("square", square), gallery.per_image("square", square)
    )
    assert asked == [len(images), len(query)]


def test_what_can_not_be_added_or_removed_is_refused() -> None:
    query, images = blobs(0)
    gallery = Gallery(images)
    with pytest.raises(ValueError, match="in the gallery already"):
        gallery.add(images)
    with pytest.raises(ValueError, match="both have cameras, or neither"):
        gallery.add(Features(query.vectors, query.items))
    with pytest.raises(ValueError, match="'query0' is not in the gallery"):
        gallery.remove(query.items)
    with pytest.raises(ValueError, match="one image must stay"):
        gallery.remove(images.items)
    with pytest.raises(ValueError, match="16 wide and the gallery's 3"):
        RetrievalSet(query, Gallery(Features(np.ones((4, 3), np.float32))))


def test_distances_among_the_images_of_a_list() -> None:
    query, images = blobs(3)
    lists = np.array([[3, 1, 7], [0, 59, 5]], np.int32)
    for metric in ("cosine", "euclidean"):
        retrieval_set = RetrievalSet(query, Gallery(images, metric=metric))
        one, other = np.repeat(lists, 3, axis=1).reshape(-1), np.tile(lists, (1, 3)).reshape(-1)
        want = retrieval_set.pairs(one, other, side="gallery").reshape(2, 3, 3)
        np.testing.assert_allclose(
            retrieval_set.among(lists), want, atol=1e-3 if metric == "euclidean" else 2e-6
        )
        assert (
            retrieval_set.gallery_count,
            retrieval_set.metric,
            retrieval_set.base,
            retrieval_set.corrections(online=True),
        ) == (
            60,
            metric,
            retrieval_set,
            None,
        )
        assert (
            retrieval_set.derived("key", lambda: 3)
            == retrieval_set.gallery.derived("key", lambda: 4)
            == 3
        )
