"""An explanation's edges are the numbers that the method's distances are made of."""

import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.explanation import edges_of_entries, edges_of_matrix, single_query
from graphreid.methods.fa_gcn.graph import affinity_weights
from graphreid.methods.fa_gcn.method import FAGCN
from graphreid.methods.ffgnn.graph import adjacency
from graphreid.methods.ffgnn.method import FFGNN
from graphreid.methods.hrnet.method import HRNet
from graphreid.methods.k_reciprocal import KReciprocal
from graphreid.options import build
from tests.support import blobs, labelled


def test_edges_of_a_matrix_and_of_entries() -> None:
    rng = np.random.default_rng(0)
    whole = rng.random((30, 30)).astype(np.float32) * (rng.random((30, 30)) < 0.3)
    nodes = rng.permutation(30)[:9].astype(np.int32)
    want = {
        (int(j), int(i)): whole[nodes[i], nodes[j]]
        for i in range(9)
        for j in range(9)
        if whole[nodes[i], nodes[j]] > 0
    }
    edges, weights = edges_of_matrix(whole[np.ix_(nodes, nodes)])
    assert dict(zip(map(tuple, edges.tolist()), weights, strict=True)) == want
    row, column = np.nonzero(whole[nodes])
    edges, weights = edges_of_entries(nodes, row, column, whole[nodes][row, column])
    assert dict(zip(map(tuple, edges.tolist()), weights, strict=True)) == want
    none = np.empty(0, np.int32)
    assert edges_of_entries(none, none, none, np.empty(0, np.float32))[0].shape == (0, 2)


def test_one_query_at_a_time() -> None:
    query, gallery = blobs(0)
    assert single_query(RetrievalSet(query.take(np.array([1])), Gallery(gallery))).query_count == 1
    with pytest.raises(ValueError, match="12 queries: explain one at a time"):
        single_query(RetrievalSet(query, Gallery(gallery)))


def test_k_reciprocal_distances_follow_from_the_explanation() -> None:
    query, features = blobs(2)
    method, gallery = KReciprocal(k1=6, k2=3, setting="online"), Gallery(features)
    one_query = query.take(np.array([5]))
    explanation, retrieval_set = (
        method.explain(one_query, gallery),
        RetrievalSet(one_query, gallery),
    )
    distance = next(iter(method.distances(one_query, gallery))).distance[0]
    assert explanation.query_weights is not None
    weights = np.zeros((len(explanation.nodes), len(explanation.nodes)))
    source, target = explanation.edges.T
    weights[target, source] = explanation.weights
    shared = np.minimum(weights, explanation.query_weights).sum(axis=1)
    far = retrieval_set.block(0, 1)[0]
    want = 0.7 * (1 - shared / (2 - shared)) + 0.3 * far[explanation.nodes] / far.max()
    np.testing.assert_allclose(distance[explanation.nodes], want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("setting", ["online", "transductive"])
@pytest.mark.parametrize("layers", [1, 2])
def test_fa_gcn_explains_by_its_affinity(setting: str, layers: int) -> None:
    query, features = blobs(2)
    _, train = labelled(1, images=60)
    method = build(FAGCN, k=3, layers=layers, epochs=1, batch=8, setting=setting).fit(*train)
    gallery, one_query = Gallery(features), query.take(np.array([5]))
    explanation, retrieval_set = (
        method.explain(one_query, gallery),
        RetrievalSet(one_query, gallery),
    )
    near, mine = retrieval_set.neighbors(3, side="union"), retrieval_set.neighbors(3, side="query")
    every = affinity_weights(
        near if setting == "transductive" else retrieval_set.neighbors(3, side="gallery")
    )
    lists = (
        near.index
        if setting == "transductive"
        else retrieval_set.neighbors(3, side="gallery").index
    )
    place = {row: at for at, row in enumerate(explanation.nodes.tolist())}
    want: dict[tuple[int, int], float] = {}
    for row, at in place.items():
        want[at, at] = float(every[row, 0])
        for other, weight in zip(lists[row].tolist(), every[row, 1:].tolist(), strict=True):
            if other in place:
                want[place[other], at] = weight
    want = {edge: weight for edge, weight in want.items() if weight > 0}
    assert (
        dict(zip(map(tuple, explanation.edges.tolist()), explanation.weights.tolist(), strict=True))
        == want
    )
    assert explanation.query_weights is not None
    of_query = dict(
        zip(mine.index[0].tolist(), affinity_weights(mine)[0, 1:].tolist(), strict=True)
    )
    np.testing.assert_allclose(
        explanation.query_weights,
        [of_query.get(row, 0) for row in explanation.nodes.tolist()],
        atol=1e-6,
    )
    reached = set(mine.index[0].tolist())
    for _ in range(layers):
        reached |= {
            int(other) for row in reached for other in lists[row] if other != retrieval_set.nodes[0]
        }
    assert set(place) == reached


def test_ffgnn_explains_by_s_and_hrnet_by_its_weights() -> None:
    query, features = blobs(2)
    _, train = labelled(1, images=60)
    gallery, one_query = Gallery(features), query.take(np.array([5]))
    retrieval_set = RetrievalSet(one_query, gallery)
    ffgnn = build(FFGNN, k=12, reciprocal=4, tau=5, epochs=1, scope="graph").fit(*train)
    explanation = ffgnn.explain(one_query, gallery)
    unit = torch.from_numpy(
        np.concatenate([retrieval_set.query_vectors, gallery.vectors[explanation.nodes]])
    )
    np.testing.assert_array_equal(
        explanation.nodes, retrieval_set.neighbors(12, side="query").index[0]
    )
    s = adjacency(unit[None], ffgnn.graph)[0].numpy()
    hrnet = build(HRNet, nodes=12, k=4, layers=1, identities=4, images=3, epochs=1).fit(*train)
    other = hrnet.explain(one_query, gallery)
    with torch.inference_mode():
        network = hrnet.scorer(retrieval_set).network
        related = network(unit[None] * unit.shape[1] ** 0.5, 1)
    assert related.weights is not None
    for made, weights in ((explanation, s), (other, related.weights[0].numpy())):
        square = np.zeros_like(weights[1:, 1:])
        source, target = made.edges.T
        square[target, source] = made.weights
        np.testing.assert_allclose(square, weights[1:, 1:], rtol=0, atol=1e-6)
        assert made.query_weights is not None
        np.testing.assert_allclose(made.query_weights, weights[0, 1:], rtol=0, atol=1e-6)
    pairs = build(HRNet, nodes=12, individual=False, identities=4, images=3, epochs=1).fit(*train)
    made = pairs.explain(one_query, gallery)
    assert len(made.edges) == 144, "every pair aggregates every pair"
