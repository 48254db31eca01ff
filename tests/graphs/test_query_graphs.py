import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.query_graphs import (
    Candidates,
    NodeBatchNorm,
    complete_edges,
    edge_softmax,
    edges_to,
    hard_gallery_sampler,
    nearest_sampler,
    node_recall,
)
from graphreid.types import Features
from tests.references import cagcn as slow
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
    got = hard_gallery_sampler(given, k2=k2, k=k)
    assert got.shape == (9, k)
    for query in range(9):
        expected = slow.hard_samples(to_gallery[query], among, k1, k2, k, query if inside else -1)
        assert got[query, : len(expected)].tolist() == expected
        assert (got[query, len(expected) :] == -1).all()
        assert not inside or query not in got[query]


def test_no_second_hop_and_k_of_k1_is_the_plain_sampler():
    given, *_ = candidates(0, 12, 5)
    got = hard_gallery_sampler(given, k2=0, k=12)
    np.testing.assert_array_equal(got, nearest_sampler(given.nearest, 12))


def test_a_first_hop_longer_than_the_graph_is_cut():
    given, *_ = candidates(0, 20, 5)
    np.testing.assert_array_equal(hard_gallery_sampler(given, k2=5, k=8), given.nearest[:, :8])


def test_a_plain_sample_larger_than_the_gallery_is_padded():
    given, *_ = candidates(0, 40, 5, images=30)
    got = nearest_sampler(given.nearest, 40)
    assert got.shape == (9, 40)
    assert (np.sort(got[:, :30]) == np.arange(30)).all()
    assert (got[:, 30:] == -1).all()


def test_a_query_gets_the_same_graph_alone_and_in_company():
    given, *_ = candidates(1, 10, 6)
    together = hard_gallery_sampler(given, k2=6, k=30)
    for query in range(9):
        part = given.take(np.array([query]))
        np.testing.assert_array_equal(hard_gallery_sampler(part, k2=6, k=30)[0], together[query])


def test_lists_of_a_gallery_that_holds_the_queries_equal_those_searched_for():
    query, gallery = blobs(4)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    kept = Candidates.of(RetrievalSet(query, Gallery(joined)), 15, 7)
    both = Candidates.of(RetrievalSet(Features(query.vectors[:1], ["new"]), Gallery(joined)), 15, 7)
    np.testing.assert_array_equal(
        kept.nearest, RetrievalSet(query, Gallery(joined)).neighbors(15, side="query").index
    )
    np.testing.assert_array_equal(kept.gallery_nearest, both.gallery_nearest)


def test_recall_counts_images_of_the_identity_but_not_the_query_itself():
    nodes = np.array([[0, 2, 3, -1], [5, 2, -1, -1], [3, 4, -1, -1]], np.int32)
    gallery = np.array([7, 7, 8, 9, 7, 8])
    # query 0 is image 4 of identity 7 and finds one of the two others; query 1 finds two of two;
    # query 2 has none to find
    assert node_recall(nodes, np.array([7, 8, 6]), gallery, np.array([4, -1, -1])) == pytest.approx(
        (1 / 2 + 2 / 2) / 2
    )
    assert node_recall(nodes[1:2, 1:], np.array([8]), gallery, np.array([-1])) == pytest.approx(0.5)


def test_a_node_without_neighbours_gets_a_self_loop():
    neighbors = torch.tensor([[[1, 2], [-1, -1], [0, -1]]], dtype=torch.int32)
    expected = torch.tensor([[[0, 1, 1], [0, 1, 0], [1, 0, 0]]], dtype=torch.bool)
    assert torch.equal(edges_to(neighbors), expected)
    every = expected | torch.eye(3, dtype=torch.bool)
    assert torch.equal(edges_to(neighbors, self_loops=True), every)
    real = torch.tensor([[True, False], [True, True]])
    assert complete_edges(real).tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]


def test_an_edge_softmax_sums_to_1_over_edges_alone():
    generator = torch.Generator().manual_seed(0)
    edges = edges_to(torch.randint(-1, 6, (4, 6, 3), generator=generator, dtype=torch.int32))
    score = 50 * torch.randn(4, 6, 6, generator=generator)
    weights = edge_softmax(score, edges)
    torch.testing.assert_close(weights.sum(2), torch.ones(4, 6))
    assert (weights[~edges] == 0).all()
    row = edges[0, 0]
    torch.testing.assert_close(weights[0, 0, row], torch.softmax(score[0, 0, row], 0))


def padded(b: int = 3, n: int = 7, h: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.ones(b, n, dtype=torch.bool)
    real[0, 4:] = False
    real[2, 6:] = False
    return torch.randn(b, n, h, generator=generator) * 3 + 1, real


def test_batch_norm_counts_real_nodes_alone():
    z, real = padded()
    norm, plain = NodeBatchNorm(5), torch.nn.BatchNorm1d(5)
    norm.train()
    got = norm(z, real)
    rows = z[real]
    expected = (rows - rows.mean(0)) / torch.sqrt(rows.var(0, unbiased=False) + 1e-5)
    torch.testing.assert_close(got[real], expected)
    assert (got[~real] == 0).all()
    plain(rows)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    norm.eval()
    torch.testing.assert_close(norm(z, real), plain.eval()(z.flatten(0, 1)).view_as(z))


def test_gradients_of_batch_norm_reach_real_nodes_alone():
    z, real = padded()
    z.requires_grad_()
    (NodeBatchNorm(5)(z, real) ** 3).sum().backward()
    assert z.grad is not None
    assert (z.grad[~real] == 0).all()
    assert (z.grad[real] != 0).any()
