from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.query_graphs import Candidates
from graphreid.methods.cagcn.graph import first_hop, query_graphs
from graphreid.methods.cagcn.options import Graph
from tests.references import cagcn as slow
from tests.support import blobs, cosine_distances


@pytest.mark.parametrize("edges", ["hgs", "knn", "full"])
@pytest.mark.parametrize("loops", [False, True], ids=["", "self loops"])
@pytest.mark.parametrize(
    ("k1", "k2", "k", "links"), [(10, 5, 25, 4), (8, 3, 20, 8), (30, 12, 60, 50)]
)
@pytest.mark.parametrize("inside", [False, True], ids=["new queries", "queries of the gallery"])
def test_edges_equal_the_slow_ones(
    edges: Any, loops: bool, k1: int, k2: int, k: int, links: int, inside: bool
):
    query, gallery = blobs(3, queries=8, images=40)
    query = gallery.take(np.arange(8)) if inside else query
    every = cosine_distances(query, gallery)
    options = Graph(k1=k1, k2=k2, k=k, edges=edges, links=links, self_loops=loops)
    retrieval_set = RetrievalSet(query, Gallery(gallery))
    graphs = query_graphs(Candidates.of(retrieval_set, first_hop(options), k2), options)
    got = graphs.edges.numpy()
    for one_query in range(8):
        own = one_query if inside else -1
        sampled = slow.hard_samples(every[one_query, 8:], every[8:, 8:], k1, k2, k, own)
        n = len(sampled)
        assert graphs.nodes[one_query, :n].tolist() == sampled
        assert graphs.real[one_query].sum() == n
        expected = slow.edges(sampled, edges, every[8:, 8:], k2, links, loops, own)
        np.testing.assert_array_equal(got[one_query, :n, :n], expected)
        # padding has a self-loop and no other edge
        np.testing.assert_array_equal(got[one_query, n:, n:], np.eye(got.shape[1] - n, dtype=bool))
        assert not got[one_query, :n, n:].any()
        assert not got[one_query, n:, :n].any()


def test_two_hops_find_more_edges_than_one():
    query, gallery = blobs(0)
    retrieval_set = RetrievalSet(query, Gallery(gallery))
    counts: dict[str, int] = {}
    for options in (Graph(k1=12, k2=4, k=20), Graph(k1=12, k2=4, k=20, edges="knn")):
        graphs = query_graphs(Candidates.of(retrieval_set, 12, 4), options)
        counts[options.edges] = int(graphs.edges.sum())
    assert counts["hgs"] > counts["knn"]
