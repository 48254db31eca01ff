from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.cagcn.graph import first_hop, query_graphs
from graphreid.methods.cagcn.method import CAGCN
from graphreid.methods.link_prediction.training import LinkTrainingSet
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build, flat_options
from graphreid.protocols import Explains, GivesScores
from graphreid.resources import Resources
from graphreid.types import Labels
from tests.references import cagcn as slow
from tests.support import all_distances, blobs, labelled, shaken

SMALL: dict[str, Any] = {
    "k1": 10,
    "k2": 5,
    "k": 20,
    "links": 4,
    "layers": 3,
    "width": 8,
    "attention_width": 4,
    "epochs": 2,
}


def small(**options: Any) -> CAGCN:
    return build(CAGCN, **{**SMALL, **options})


def known(**options: Any) -> CAGCN:
    """A method with random weights and statistics that matter, as if it had been fitted."""
    method = small(**options)
    torch.manual_seed(3)
    network = shaken(method._build(16), 1.5)  # pyright: ignore[reportPrivateUsage]
    method.state_, method.lam_, method.calibration_ = dict(network.state_dict()), 1.0, [1.0, 0.0]
    return method


def doubles(method: CAGCN) -> dict[str, NDArray[np.float64]]:
    return {key: value.double().numpy() for key, value in method.state_.items()}


@pytest.mark.parametrize("edges", ["hgs", "knn", "full"])
@pytest.mark.parametrize("edge_weight", ["attention", "binary"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"width": None},
        {"edge_input": "pair", "sampler": "plain"},
        {"scale_attention": True, "self_loops": True, "lam": 0.5},
        {"k": 70, "k1": 30, "k2": 12},
        {"layers": 1, "width": None},
    ],
    ids=lambda more: ",".join(more) or "default",
)
def test_equals_the_papers_equations(edges: str, edge_weight: str, more: dict[str, Any]):
    query, gallery = blobs(0, queries=4, images=40)
    method = known(edges=edges, edge_weight=edge_weight, **more)
    options = flat_options(method)
    blocks = list(method.distances(query, Gallery(gallery)))
    distance, probability = blocks[0].distance, blocks[0].probability
    assert probability is not None
    for one_query in range(4):
        vector, images = (
            query.vectors[one_query].astype(np.float64),
            gallery.vectors.astype(np.float64),
        )
        expected, likely = slow.distances(
            vector, images, doubles(method), options, method.unscored_offset
        )
        np.testing.assert_allclose(probability[one_query], likely, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(distance[one_query], expected, rtol=1e-4)
    assert probability.std() > 0.05


def test_the_module_on_whole_differences_equals_its_maps_taken_image_by_image():
    query, gallery = blobs(1, queries=6, images=50)
    for width in (8, None):
        method = known(width=width, edge_input="pair" if width else "gallery")
        retrieval_set = RetrievalSet(query, Gallery(gallery))
        scorer = method.scorer(retrieval_set)
        nodes, logits, weights = scorer.score(slice(0, 6))
        graphs = query_graphs(scorer.candidates, method.graph)
        images = torch.from_numpy(retrieval_set.gallery.vectors[nodes] * 4)
        x = torch.from_numpy(retrieval_set.query_vectors[:, None] * 4) - images
        with torch.inference_mode():
            whole, whole_weights = scorer.network(x, images, graphs.edges, graphs.real)
        np.testing.assert_allclose(logits[nodes >= 0], whole.numpy()[nodes >= 0], rtol=0, atol=2e-5)
        np.testing.assert_allclose(weights, whole_weights.numpy(), rtol=0, atol=2e-5)


def test_what_is_kept_for_gallery_images_is_kept_as_the_gallery_grows():
    query, gallery = blobs(2)
    method = known()
    calls: list[int] = []
    network = method.scorer(RetrievalSet(query, Gallery(gallery))).network
    made = type(network).per_image_maps

    def counted(self: Any, vectors: Any, device: str) -> Any:
        calls.append(len(vectors))
        return made(self, vectors, device)

    half = Gallery(gallery.take(np.arange(30)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(network), "per_image_maps", counted)
        all_distances(method, query, half)
        all_distances(method, query, half)
        whole = half.add(gallery.take(np.arange(30, 60)))
        got = all_distances(method, query, whole)
    assert calls == [30, 12, 12, 30, 12]
    np.testing.assert_allclose(
        got, all_distances(method, query, Gallery(gallery)), rtol=0, atol=1e-6
    )


def test_lam_0_is_the_original_order():
    query, gallery = blobs(0)
    plain = RetrievalSet(query, Gallery(gallery)).block(0, 12)
    np.testing.assert_array_equal(all_distances(known(lam=0.0), query, Gallery(gallery)), plain)


def test_beyond_the_sample_a_distance_is_the_base_distance_plus_lam():
    query, gallery = blobs(0)
    method = known(lam=0.7)
    block = next(iter(method.distances(query, Gallery(gallery))))
    nodes = method.scorer(RetrievalSet(query, Gallery(gallery))).score(slice(0, 12))[0]
    plain = RetrievalSet(query, Gallery(gallery)).block(0, 12)
    assert block.probability is not None
    np.testing.assert_allclose(
        block.distance, plain + 0.7 * (1 - block.probability), rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal((block.probability > 0).sum(axis=1), (nodes >= 0).sum(axis=1))
    assert nodes.shape == (12, 20)


def test_a_graph_larger_than_the_gallery_changes_nothing():
    query, gallery = blobs(0, images=30)
    exact = all_distances(known(k=30, k1=29, sampler="plain"), query, Gallery(gallery))
    padded = all_distances(known(k=90, k1=90, sampler="plain"), query, Gallery(gallery))
    np.testing.assert_allclose(padded, exact, rtol=0, atol=1e-6)
    # two hops give fewer nodes than there is room for: the same queries in a graph with less room
    few = known(k1=3, k2=2, k=30)
    nodes = few.scorer(RetrievalSet(query, Gallery(gallery))).score(slice(0, 12))[0]
    most = int((nodes >= 0).sum(axis=1).max())
    assert (nodes < 0).any()
    assert most < 30
    np.testing.assert_allclose(
        all_distances(few, query, Gallery(gallery)),
        all_distances(known(k1=3, k2=2, k=most), query, Gallery(gallery)),
        rtol=0,
        atol=1e-6,
    )


def test_a_fit_learns_who_is_who_and_says_what_it_did(tmp_path: Path):
    train, held, test = (labelled(seed, queries=1, images=150)[1] for seed in (1, 2, 3))
    held = held[0], Labels(held[1].identity + 50, held[1].camera)
    method = small(epochs=6, rate=1e-2, lam="auto", batch=8, width=16, noise=0.0).fit(
        *train, validation=held
    )
    validation = method.record_["validation"]
    assert validation["mAP"] > validation["input"] + 0.01  # .024 to .034 over ten seeds
    assert method.lam_ == validation["lam"] == validation["best_lam"] > 0
    assert method.record_["images"] == 150
    assert method.record_["identities"] == 10
    assert max(method.record_["mAP_of_epochs"]) > method.record_["mAP_of_epochs"][0] - 1e-9
    block = next(iter(method.distances(test[0], Gallery(test[0]))))
    right = test[1].identity[:, None] == test[1].identity
    given = block.probability
    assert given is not None
    assert given[right & (given > 0)].mean() > given[~right & (given > 0)].mean() + 0.02
    save(method, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, CAGCN)
    assert again.record_ == method.record_
    # lam can be changed of a fitted method, what shapes its network can't
    plain = all_distances(parse(f"{tmp_path}/m.safetensors:lam=0"), test[0], Gallery(test[0]))
    np.testing.assert_array_equal(
        plain, RetrievalSet(test[0], Gallery(test[0])).distance_block(0, plain).distance
    )
    with pytest.raises(ValueError, match="fit it again with those options"):
        all_distances(parse(f"{tmp_path}/m.safetensors:layers=5"), test[0], Gallery(test[0]))


def test_the_query_is_never_in_its_own_graph_in_training():
    _, train = labelled(1, images=60)
    graph = small().graph
    training_set = LinkTrainingSet(
        *train, k1=first_hop(graph), k2=graph.k2, noise=0.0, seed=0, resources=Resources()
    )
    queries = np.concatenate(training_set.batches(0, 60))
    nodes = query_graphs(training_set.candidates.take(queries), graph).nodes
    assert not (nodes == queries[:, None]).any()


def test_an_explanation_holds_the_numbers_of_the_distances():
    query, gallery = blobs(4)
    method, snapshot = known(lam=0.8), Gallery(gallery)
    distance = all_distances(method, query, snapshot)
    block = next(iter(method.distances(query, snapshot)))
    assert isinstance(method, Explains)
    for one_query in (0, 7):
        given = method.explain(query.take(np.array([one_query])), snapshot)
        assert block.probability is not None
        assert given.probability is not None
        np.testing.assert_allclose(
            block.probability[one_query, given.nodes], given.probability, rtol=0, atol=1e-5
        )
        assert (block.probability[one_query, np.setdiff1d(np.arange(60), given.nodes)] == 0).all()
        plain = 1 - snapshot.vectors @ RetrievalSet(query, snapshot).query_vectors[one_query]
        for ranks, row in ((given.rank_before, plain), (given.rank_after, distance[one_query])):
            np.testing.assert_array_equal(ranks, np.argsort(np.argsort(row))[given.nodes] + 1)
        sums = np.bincount(given.edges[:, 1], given.weights, minlength=len(given.nodes))
        np.testing.assert_allclose(sums, 1, rtol=0, atol=1e-5)
        assert not np.array_equal(given.rank_before, given.rank_after)
    with pytest.raises(ValueError, match="one at a time"):
        method.explain(query, snapshot)


def test_its_options_as_published():
    assert isinstance(CAGCN(lam=0.4), GivesScores)
    assert CAGCN(lam=0.4).unscored_offset == 0.4
    paper = build(CAGCN, **CAGCN.PAPER)
    assert (paper.network.layers, paper.network.width) == (9, None)
    assert (paper.graph.k1, paper.graph.k2, paper.graph.k, paper.graph.links) == (70, 20, 100, 8)
    training = paper.training
    assert (training.batch, training.rate, training.optimizer) == (4, 0.01, "sgd")
    assert training.epochs == 500


def test_lam_auto_needs_validation():
    _, train = labelled(1)
    with pytest.raises(ValueError, match="lam='auto' is chosen on validation identities"):
        small(lam="auto").fit(*train)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"k1": 0},
        {"k2": -1},
        {"links": 0},
        {"layers": 0},
        {"lam": -1.0},
        {"alpha": 1.0},
        {"gamma": -1.0},
        {"width": 1},
        {"noise": -0.1},
        {"batch": 0},
        {"epochs": 0},
        {"rate": -1.0},
        {"attention_width": 0},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(CAGCN, **wrong)
