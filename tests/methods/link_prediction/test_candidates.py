import numpy as np
import pytest

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.link_prediction.candidates import Lesson, fused, linked
from graphreid.resources import Resources
from graphreid.types import DISTRACTOR, Features, Labels
from tests.support import labelled


def lesson(noise: float = 0.0, seed: int = 0, labels: Labels | None = None) -> Lesson:
    _, (train, given) = labelled(1, images=40)
    return Lesson(train, labels or given, k1=8, k2=4, noise=noise, seed=seed, resources=Resources())


def test_each_image_is_the_query_once_an_epoch_and_never_among_its_own():
    each = lesson()
    first, second = each.batches(0, 7), each.batches(1, 7)
    assert [len(batch) for batch in first] == [7, 7, 7, 7, 7, 5]
    for batches in (first, second):
        assert np.sort(np.concatenate(batches)).tolist() == list(range(40))
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert np.concatenate(lesson().batches(1, 7)).tolist() == np.concatenate(second).tolist()
    assert not (each.candidates.near == np.arange(40)[:, None]).any()
    np.testing.assert_array_equal(each.candidates.own, np.arange(40))


def test_noise_is_of_the_length_asked_for_drawn_for_each_epoch_and_reaches_the_lists():
    each, plain = lesson(noise=0.5), lesson()
    plain.batches(0, 8)
    seen: list[np.ndarray] = []
    for epoch in (0, 1, 0):
        each.batches(epoch, 8)
        seen.append(each.retrieval_set.gallery.features.vectors)
        apart = np.linalg.norm(
            each.retrieval_set.gallery.features.vectors - plain.retrieval_set.gallery.vectors,
            axis=1,
        )
        assert apart.mean() == pytest.approx(0.5, rel=0.1)
    assert not np.allclose(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    assert not np.array_equal(each.candidates.near, plain.candidates.near)
    # the images themselves are as they were
    np.testing.assert_array_equal(each.train.vectors, plain.train.vectors)


def test_targets_are_of_the_identity_whatever_the_camera():
    identity = np.array([1, 1, 2, 2, 1])
    labels = Labels(identity, [0, 0, 1, 1, 2], [0, 0, 0, 0, DISTRACTOR])
    given = Lesson(
        Features(np.eye(5, dtype=np.float32)),
        labels,
        k1=3,
        k2=2,
        noise=0.0,
        seed=0,
        resources=Resources(),
    )
    got = given.targets(np.array([0, 2]), np.array([[1, 2, 4, -1], [3, 0, -1, -1]], np.int32))
    assert got.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert given.queries.tolist() == [0, 1, 2, 3]


def test_there_must_be_a_match_to_learn_from():
    with pytest.raises(ValueError, match="no identity has two images"):
        lesson(labels=Labels(np.arange(40)))


def test_fused_adds_lam_where_nothing_was_sampled_and_keeps_the_base_order_there():
    (query, _), (gallery, _) = labelled(2, queries=3, images=20)
    retrieval_set = RetrievalSet(query, Gallery(gallery))
    nodes = np.array([[4, 7, -1], [0, 19, 3], [-1, -1, -1]], np.int32)
    probability = np.array([[0.9, 0.25, 0.5], [0.5, 0.5, 1.0], [0.7, 0.7, 0.7]], np.float32)
    block = fused(retrieval_set, 0, 3, nodes, probability, 2.0)
    base = retrieval_set.block(0, 3)
    assert block.probability is not None
    expected = np.zeros((3, 20), np.float32)
    expected[0, [4, 7]], expected[1, [0, 19, 3]] = [0.9, 0.25], [0.5, 0.5, 1.0]
    np.testing.assert_array_equal(block.probability, expected)
    np.testing.assert_allclose(block.distance, base + 2 * (1 - expected), rtol=0, atol=1e-6)
    np.testing.assert_allclose(block.distance[2] - base[2], 2, atol=1e-6)


def test_linked_is_a_probability_with_slope_and_offset():
    logits = np.array([[-1e9, -1.0, 0.0, 2.0, 1e9]], np.float32)
    np.testing.assert_allclose(
        linked(logits, (1.0, 0.0)), [[0, 0.26894142, 0.5, 0.880797, 1]], atol=1e-6
    )
    np.testing.assert_allclose(
        linked(logits[:, 1:4], (2.0, -1.0)), [[0.04742587, 0.26894142, 0.95257413]], atol=1e-6
    )
