import numpy as np
import pytest

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import samplers as sampling
from graphreid.graphs.samplers import hard, plain, recall
from graphreid.methods.link_prediction.candidates import Candidates
from graphreid.seeding import generator
from graphreid.types import Features
from tests.references import cagcn as slow
from tests.references import ec_gcn as slow_ec
from tests.support import blobs, cosine_distances


def candidates(seed: int, k1: int, k2: int, images: int = 50, inside: bool = False):
    query, gallery = blobs(seed, queries=9, images=images)
    if inside:
        query = gallery.take(np.arange(9))
    retrieval_set = RetrievalSet(query, Gallery(gallery))
    every = cosine_distances(query, gallery)
    return Candidates.of(retrieval_set, k1, k2), every[:9, 9:], every[9:, 9:]


@pytest.mark.parametrize(
    ("k1", "k2", "k"), [(10, 5, 25), (7, 3, 12), (20, 6, 15), (3, 2, 40), (60, 20, 100), (5, 0, 5)]
)
@pytest.mark.parametrize("inside", [False, True], ids=["new queries", "queries of the gallery"])
@pytest.mark.parametrize("seed", range(3))
def test_hard_samples_equal_equation_1(seed: int, k1: int, k2: int, k: int, inside: bool):
    given, to_gallery, among = candidates(seed, k1, k2, inside=inside)
    got = hard(given.near, given.lists, given.own, k2=k2, k=k)
    assert got.shape == (9, k)
    for query in range(9):
        expected = slow.hard_samples(to_gallery[query], among, k1, k2, k, query if inside else -1)
        assert got[query, : len(expected)].tolist() == expected
        assert (got[query, len(expected) :] == -1).all()
        assert not inside or query not in got[query]


def test_no_second_hop_and_k_of_k1_is_the_plain_sampler():
    given, *_ = candidates(0, 12, 5)
    got = hard(given.near, given.lists, given.own, k2=0, k=12)
    np.testing.assert_array_equal(got, plain(given.near, 12))


def test_a_first_hop_longer_than_the_graph_is_cut():
    given, *_ = candidates(0, 20, 5)
    np.testing.assert_array_equal(
        hard(given.near, given.lists, given.own, k2=5, k=8), given.near[:, :8]
    )


def test_a_plain_sample_larger_than_the_gallery_is_padded():
    given, *_ = candidates(0, 40, 5, images=30)
    got = plain(given.near, 40)
    assert got.shape == (9, 40)
    assert (np.sort(got[:, :30]) == np.arange(30)).all()
    assert (got[:, 30:] == -1).all()


def test_a_query_gets_the_same_graph_alone_and_in_company():
    given, *_ = candidates(1, 10, 6)
    together = hard(given.near, given.lists, given.own, k2=6, k=30)
    for query in range(9):
        part = given.take(np.array([query]))
        np.testing.assert_array_equal(
            hard(part.near, part.lists, part.own, k2=6, k=30)[0], together[query]
        )


def test_lists_of_a_gallery_that_holds_the_queries_equal_those_searched_for():
    query, gallery = blobs(4)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    kept = Candidates.of(RetrievalSet(query, Gallery(joined)), 15, 7)
    both = Candidates.of(RetrievalSet(Features(query.vectors[:1], ["new"]), Gallery(joined)), 15, 7)
    np.testing.assert_array_equal(
        kept.near, RetrievalSet(query, Gallery(joined)).neighbors(15, side="query").index
    )
    np.testing.assert_array_equal(kept.lists, both.lists)


def test_recall_counts_images_of_the_identity_but_not_the_query_itself():
    nodes = np.array([[0, 2, 3, -1], [5, 2, -1, -1], [3, 4, -1, -1]], np.int32)
    gallery = np.array([7, 7, 8, 9, 7, 8])
    # query 0 is image 4 of identity 7 and finds one of the two others; query 1 finds two of two;
    # query 2 has none to find
    assert recall(nodes, np.array([7, 8, 6]), gallery, np.array([4, -1, -1])) == pytest.approx(
        (1 / 2 + 2 / 2) / 2
    )
    assert recall(nodes[1:2, 1:], np.array([8]), gallery, np.array([-1])) == pytest.approx(0.5)


def draws(count: int) -> list[np.random.Generator]:
    return [generator(0, query) for query in range(count)]


def test_random_probability_draws_as_often_as_equation_9_says():
    positive = np.array([True, True, False, True, False, False, False, False, False])
    expected = slow_ec.drawing_probability(positive.tolist())
    count = 8000
    near = np.tile(np.arange(9, dtype=np.int32), (count, 1))
    first = sampling.random_probability(near, np.tile(positive, (count, 1)), 1, draws(count))[:, 0]
    frequency = np.bincount(first, minlength=9) / count
    # four standard errors
    assert (np.abs(frequency - expected) < 4 * np.sqrt(expected * (1 - expected) / count)).all()
    # and the second of two, given the first: what is left in proportion
    pairs = sampling.random_probability(near, np.tile(positive, (count, 1)), 2, draws(count))
    both = np.zeros((9, 9))
    np.add.at(both, (pairs[:, 0], pairs[:, 1]), 1 / count)
    for i, j in ((0, 1), (0, 2), (4, 8)):
        odds = expected[i] * expected[j] * (1 / (1 - expected[i]) + 1 / (1 - expected[j]))
        assert abs(both[i, j] - odds) < 4 * np.sqrt(odds / count)


def test_random_probability_keeps_the_order_and_fills_up():
    near = np.arange(10, 16, dtype=np.int32)[None]
    few = np.array([[False, True, False, False, False, False]])
    for positive in (few, ~few, np.zeros_like(few), np.ones_like(few)):
        for seed in range(20):
            got = sampling.random_probability(near, positive, 4, [generator(seed)])
            assert got.shape == (1, 4)
            assert (np.diff(got) > 0).all()
            assert np.isin(got, near).all()
    assert sampling.random_probability(near, few, 9, draws(1)) is near
    # a query's draw is its own, whoever is drawn for beside it
    alone = sampling.random_probability(near, few, 3, [generator(0, 1)])
    both = sampling.random_probability(
        np.repeat(near, 2, axis=0), np.repeat(few, 2, axis=0), 3, draws(2)
    )
    np.testing.assert_array_equal(both[1], alone[0])
