import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import adjacency
from graphreid.methods.link_prediction.candidates import Candidates
from graphreid.methods.link_prediction.query_graphs import Edges, LocalGraphs
from tests.references import cagcn as slow
from tests.support import blobs, cosine_distances


@pytest.mark.parametrize("edges", ["hgs", "knn", "full"])
@pytest.mark.parametrize("loops", [False, True], ids=["", "self loops"])
@pytest.mark.parametrize(
    ("k1", "k2", "k", "links"), [(10, 5, 25, 4), (8, 3, 20, 8), (30, 12, 60, 50)]
)
@pytest.mark.parametrize("inside", [False, True], ids=["new queries", "queries of the gallery"])
def test_edges_equal_the_slow_ones(
    edges: Edges, loops: bool, k1: int, k2: int, k: int, links: int, inside: bool
):
    query, gallery = blobs(3, queries=8, images=40)
    query = gallery.take(np.arange(8)) if inside else query
    every = cosine_distances(query, gallery)
    graphs = LocalGraphs("hgs", k1, k2, k, edges, links, loops)
    nodes, places = graphs.build(
        Candidates.of(RetrievalSet(query, Gallery(gallery)), graphs.near, k2)
    )
    got = graphs.joined(nodes, places)[0].numpy()
    for one_query in range(8):
        own = one_query if inside else -1
        sampled = slow.hard_samples(every[one_query, 8:], every[8:, 8:], k1, k2, k, own)
        n = len(sampled)
        expected = slow.edges(sampled, edges, every[8:, 8:], k2, links, loops, own)
        np.testing.assert_array_equal(got[one_query, :n, :n], expected)
        # padding hears itself alone, and nobody hears it
        np.testing.assert_array_equal(got[one_query, n:, n:], np.eye(got.shape[1] - n, dtype=bool))
        assert not got[one_query, :n, n:].any()
        assert not got[one_query, n:, :n].any()


def test_two_hops_find_more_edges_than_one():
    query, gallery = blobs(0)
    retrieval_set = RetrievalSet(query, Gallery(gallery))
    counts: dict[str, int] = {}
    each: tuple[Edges, Edges] = ("hgs", "knn")
    for edges in each:
        graphs = LocalGraphs("hgs", 12, 4, 20, edges, 8, False)
        counts[edges] = int((graphs.build(Candidates.of(retrieval_set, 12, 4))[1] >= 0).sum())
    assert counts["hgs"] > counts["knn"]


def test_a_node_that_hears_nobody_hears_itself():
    places = torch.tensor([[[1, 2], [-1, -1], [0, -1]]], dtype=torch.int32)
    expected = torch.tensor([[[0, 1, 1], [0, 1, 0], [1, 0, 0]]], dtype=torch.bool)
    assert torch.equal(adjacency.linked(places), expected)
    assert torch.equal(adjacency.linked(places, True), expected | torch.eye(3, dtype=torch.bool))
    alone = torch.tensor([[True, False], [True, True]])
    assert adjacency.complete(alone).tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]


@pytest.mark.parametrize("kind", ["uniform", "attention"])
def test_rows_sum_to_1_over_edges_alone(kind: str):
    generator = torch.Generator().manual_seed(0)
    joined = adjacency.linked(
        torch.randint(-1, 6, (4, 6, 3), generator=generator, dtype=torch.int32)
    )
    score = 50 * torch.randn(4, 6, 6, generator=generator)
    weights = adjacency.uniform(joined) if kind == "uniform" else adjacency.attention(score, joined)
    torch.testing.assert_close(weights.sum(2), torch.ones(4, 6))
    assert (weights[~joined] == 0).all()
    if kind == "uniform":
        assert (weights[joined] > 0).all()
    else:
        row = joined[0, 0]
        torch.testing.assert_close(weights[0, 0, row], torch.softmax(score[0, 0, row], 0))
