import numpy as np

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.link_prediction.scoring import fused_distances, link_probability
from tests.support import labelled


def test_fused_distances_add_lam_where_nothing_was_sampled_and_keep_the_base_order_there():
    (query, _), (gallery, _) = labelled(2, queries=3, images=20)
    retrieval_set = RetrievalSet(query, Gallery(gallery))
    nodes = np.array([[4, 7, -1], [0, 19, 3], [-1, -1, -1]], np.int32)
    probability = np.array([[0.9, 0.25, 0.5], [0.5, 0.5, 1.0], [0.7, 0.7, 0.7]], np.float32)
    block = fused_distances(retrieval_set, 0, nodes, probability, 2.0)
    base = retrieval_set.block(0, 3)
    assert block.probability is not None
    expected = np.zeros((3, 20), np.float32)
    expected[0, [4, 7]], expected[1, [0, 19, 3]] = [0.9, 0.25], [0.5, 0.5, 1.0]
    np.testing.assert_array_equal(block.probability, expected)
    np.testing.assert_allclose(block.distance, base + 2 * (1 - expected), rtol=0, atol=1e-6)
    np.testing.assert_allclose(block.distance[2] - base[2], 2, atol=1e-6)


def test_a_link_probability_is_a_probability_with_slope_and_offset():
    logits = np.array([[-1e9, -1.0, 0.0, 2.0, 1e9]], np.float32)
    np.testing.assert_allclose(
        link_probability(logits, (1.0, 0.0)), [[0, 0.26894142, 0.5, 0.880797, 1]], atol=1e-6
    )
    np.testing.assert_allclose(
        link_probability(logits[:, 1:4], (2.0, -1.0)),
        [[0.04742587, 0.26894142, 0.95257413]],
        atol=1e-6,
    )
    never = link_probability(np.full((1, 1), -np.inf, np.float32), (-1.0, 3.0))
    assert never.item() == 0, "a node that is not scored"
