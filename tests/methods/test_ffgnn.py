from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.ffgnn.graph import adjacency
from graphreid.methods.ffgnn.method import FFGNN
from graphreid.methods.ffgnn.model import FeatureFusion, FusionObjective
from graphreid.methods.ffgnn.options import Graph, Network
from graphreid.methods.ffgnn.training_set import EgoGraphTrainingSet
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build, flat_options
from graphreid.protocols import GivesScores, Learned, Transforms
from graphreid.resources import Resources
from graphreid.types import DISTRACTOR, Features, Labels
from tests.references import ffgnn as slow
from tests.support import all_distances, blobs, labelled, shaken

SMALL: dict[str, Any] = {
    "k": 20,
    "reciprocal": 5,
    "tau": 6,
    "scope": "graph",
    "epochs": 2,
    "batch": 2,
}


def small(**options: Any) -> FFGNN:
    return build(FFGNN, **{**SMALL, **options})


def known(**options: Any) -> FFGNN:
    """A method with random weights and statistics that matter, as if it had been fitted."""
    method = small(**options)
    torch.manual_seed(3)
    network = shaken(FeatureFusion(16, method.network))
    for name, value in network.state_dict().items():
        if name.startswith("maps"):
            value.add_(0.3 * torch.randn_like(value))
    method.state_ = dict(network.state_dict())
    return method


def doubles(method: FFGNN) -> dict[str, NDArray[np.float64]]:
    return {key: value.double().numpy() for key, value in method.state_.items()}


def training_set(train: Features, labels: Labels, **options: Any) -> EgoGraphTrainingSet:
    method = small(**options)
    return EgoGraphTrainingSet(
        train, labels, graph=method.graph, training=method.training, resources=Resources()
    )


CASES: list[dict[str, Any]] = [
    {},
    {"edges": "cosine"},
    {"mask": False},
    {"edges": "cosine", "mask": False, "iterations": 1},
    {"scope": "gallery"},
    {"iterations": 2, "alpha": 0.7, "lam": 0.4},
    {"k": 100, "tau": 200, "reciprocal": 60},
]


@pytest.mark.parametrize("more", CASES, ids=lambda more: ",".join(more) or "default")
def test_equals_the_papers_equations(more: dict[str, Any]):
    query, gallery = blobs(0, queries=4, images=40)
    method = known(**more)
    got = all_distances(method, query, Gallery(gallery))
    queries, images = method.transform(query, Gallery(gallery))
    vectors, theirs = query.vectors.astype(np.float64), gallery.vectors.astype(np.float64)
    for one_query in range(4):
        expected = slow.distances(vectors[one_query], theirs, doubles(method), flat_options(method))
        np.testing.assert_allclose(got[one_query], expected, rtol=0, atol=2e-6)
        _, x = slow.fused(vectors[one_query], theirs, doubles(method), flat_options(method))
        np.testing.assert_allclose(queries.vectors[one_query], x[0], rtol=0, atol=2e-5)
    if method.graph.scope == "graph":
        for row in (0, 33):
            _, x = slow.fused(
                theirs[row], np.delete(theirs, row, axis=0), doubles(method), flat_options(method)
            )
            np.testing.assert_allclose(images.vectors[row], x[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("precise", ["fp32"])
def test_losses_are_the_papers(precise: Any):
    _, (train, labels) = labelled(5, images=60)
    role = np.where(np.arange(60) % 7 == 0, DISTRACTOR, 0)
    given = Labels(labels.identity, labels.camera, role)
    lesson = training_set(train, given, anchors=None, batch=3)
    method = small(precision=precise, margin=2.0)
    torch.manual_seed(0)
    objective = FusionObjective(16, lesson.classes, method.network).eval()
    network, classifier = objective.fusion, objective.classifier
    batch = lesson.batches(0)[0]
    unit, target, reciprocal = lesson.graphs(batch)
    assert reciprocal is None
    assert (target < 0).any()
    got = method._losses(objective, lesson, batch)  # pyright: ignore[reportPrivateUsage]
    weights = {key: value.double().numpy() for key, value in network.state_dict().items()}
    w, bias = (each.detach().double().numpy() for each in (classifier.weight, classifier.bias))
    parts: list[tuple[float, float, float]] = []
    classes: list[int] = []
    for graph, of in zip(unit.double().numpy(), target.tolist(), strict=True):
        x = 4 * graph
        x = slow.fuse(x, slow.adjacency(x, flat_options(method)), weights, method.network.alpha)
        parts.append(slow.losses(x, of, x @ w.T + bias, method.training.margin))
        classes.append(sum(each >= 0 for each in of))
    # a mean over all nodes of the batch, a mean over graphs, a mean over all pairs
    assert got["identity"].item() == pytest.approx(
        np.average([part[0] for part in parts], weights=classes), rel=1e-5
    )
    assert got["triplet"].item() == pytest.approx(np.mean([part[1] for part in parts]), rel=1e-4)
    pairs = [441 - (21 - count) ** 2 for count in classes]
    assert got["verification"].item() == pytest.approx(
        np.average([part[2] for part in parts], weights=pairs), rel=1e-5
    )


def test_each_loss_can_be_left_out():
    _, (train, labels) = labelled(5, images=60)
    for off in (
        {"identity": False},
        {"triplet": False},
        {"verification": False, "identity": False},
    ):
        method = small(**off)
        graphs = training_set(train, labels, sampling="random", anchors=4)
        batch = graphs.batches(0)[0]
        objective = FusionObjective(16, 10, method.network)
        parts = method._losses(objective, graphs, batch)  # pyright: ignore[reportPrivateUsage]
        assert {"identity", "triplet", "verification"} - set(parts) == set(off)


def test_the_anchors_feature_needs_no_more_than_its_sources():
    torch.manual_seed(0)
    for iterations in (1, 2, 3, 4):
        options = Network(iterations=iterations, alpha=0.4, init="default")
        network = FeatureFusion(16, options).eval()
        x = torch.randn(3, 25, 16)
        s = adjacency(torch.nn.functional.normalize(x, dim=2), small().graph)
        with torch.inference_mode():
            np.testing.assert_allclose(
                network.of_anchor(x, s).numpy(), network(x, s)[:, 0].numpy(), rtol=0, atol=1e-5
            )


def test_training_anchors_are_a_fifth_and_their_graphs_hold_the_others():
    _, (train, labels) = labelled(1, images=60)
    seen: list[set[int]] = []
    graphs = training_set(train, labels, k=15, anchors=None, batch=5)
    for epoch in (0, 1):
        lists = graphs.batches(epoch)
        assert [len(each) for each in lists] == [5, 5, 2]
        unit, target, _ = graphs.graphs(np.arange(12))
        assert unit.shape == (12, 16, 16)
        anchors = {int(np.argmax(train.vectors @ row.numpy())) for row in unit[:, 0]}
        others = {
            int(np.argmax(train.vectors @ row.numpy())) for graph in unit[:, 1:] for row in graph
        }
        assert len(anchors) == 12
        assert not anchors & others
        assert (target >= 0).all()
        distance = 1 - (unit[:, 1:] @ unit[:, 0, :, None])[..., 0]
        assert (distance.diff(dim=1) > -1e-6).all()
        seen.append(anchors)
    assert seen[0] != seen[1]
    again = training_set(train, labels, k=15, anchors=7, batch=5)
    assert sum(map(len, again.batches(0))) == 7


def test_random_graphs_hold_identities_with_four_images_each():
    _, (train, labels) = labelled(1, images=80)
    graphs = training_set(train, labels, sampling="random", anchors=None, noise=0.1, batch=4)
    batches = graphs.batches(0)
    assert sum(map(len, batches)) == 16
    _, target, _ = graphs.graphs(np.arange(16))
    assert target.shape == (16, 20)
    for row in target.numpy():
        assert (np.unique(row, return_counts=True)[1] == 4).all()
    assert len({tuple(row.tolist()) for row in target}) == 16


def test_a_query_in_the_gallery_has_one_vector():
    _, gallery = blobs(3, images=40)
    query = gallery.take(np.arange(5))
    for scope in ("graph", "gallery"):
        method = known(scope=scope)
        queries, images = method.transform(query, Gallery(gallery))
        np.testing.assert_array_equal(queries.vectors, images.vectors[:5])
        alone = method.fuser(RetrievalSet(query, Gallery(gallery)))
        np.testing.assert_allclose(alone.of_queries(), images.vectors[:5], rtol=0, atol=1e-5)


@pytest.mark.parametrize("other", ["k-reciprocal:k1=6,k2=3", "ecn:t=2,q=4", "aqe:n=3", "cosine"])
def test_other_methods_run_on_the_fused_features(tmp_path: Path, other: str):
    query, gallery = blobs(2)
    save(known(), tmp_path / "f.safetensors")
    chain = parse(f"{tmp_path}/f.safetensors+{other}")
    got = all_distances(chain, query, Gallery(gallery))
    queries, images = known().transform(query, Gallery(gallery))
    np.testing.assert_allclose(
        got, all_distances(parse(other), queries, Gallery(images)), rtol=0, atol=1e-6
    )


def test_the_gallerys_fused_features_are_made_once():
    query, gallery = blobs(2)
    method, snapshot = known(), Gallery(gallery)
    first = method.transform(query, snapshot)[1]
    calls: list[int] = []

    def counted(self: FeatureFusion, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return FeatureFusion.forward(self, x, s)[:, 0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureFusion, "of_anchor", counted)
        again = method.transform(query, snapshot)[1]
    assert sum(calls) == len(query)
    np.testing.assert_array_equal(first.vectors, again.vectors)


def test_a_fit_learns_and_says_what_it_did(tmp_path: Path):
    train, held = (labelled(seed, queries=1, images=200)[1] for seed in (1, 2))
    held = held[0], Labels(held[1].identity + 50, held[1].camera)
    method = small(epochs=4, k=40, reciprocal=10, tau=10).fit(*train, validation=held)
    facts = method.record_["validation"]
    assert facts["mAP"] > facts["input"] + 0.02  # .103 to .104 over ten seeds
    assert method.record_["images"] == 200
    assert method.record_["identities"] == 10
    assert max(method.record_["mAP_of_epochs"]) == pytest.approx(facts["mAP"], abs=1e-5)
    save(method, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, FFGNN)
    assert again.record_ == method.record_
    with pytest.raises(ValueError, match="fit it again with those options"):
        all_distances(parse(f"{tmp_path}/m.safetensors:iterations=2"), held[0], Gallery(held[0]))


RESUMED: list[dict[str, Any]] = [{}, {"noise": 0.3}, {"sampling": "random"}, {"scope": "gallery"}]


@pytest.mark.parametrize("more", RESUMED, ids=lambda more: ",".join(more) or "plain")
def test_a_fit_that_was_stopped_goes_on_to_the_same_result(tmp_path: Path, more: dict[str, Any]):
    _, train = labelled(1, images=60)
    options: dict[str, Any] = {"epochs": 3, "precision": "fp32", **more}
    whole = small(**options).fit(*train)

    class Stop(Exception):  # noqa: N818
        pass

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "ffgnn" and done > total * 0.6:
            raise Stop

    with pytest.raises(Stop):
        small(**options).fit(*train, folder=tmp_path, resources=Resources(progress=interrupt))
    resumed = small(**options).fit(*train, folder=tmp_path)
    for key, value in whole.state_.items():
        assert torch.equal(resumed.state_[key], value), key
    with pytest.raises(ValueError, match="made with other settings or data"):
        small(**options, alpha=0.2).fit(*train, folder=tmp_path)


def test_what_it_says_of_itself():
    assert isinstance(FFGNN(), Learned)
    assert isinstance(FFGNN(), Transforms)
    assert isinstance(FFGNN(), GivesScores)
    paper = build(FFGNN, **FFGNN.PAPER)
    assert FFGNN.presets["paper"] == FFGNN.PAPER
    assert paper.graph == Graph(k=150, reciprocal=20, tau=20, lam=0.7, scope="graph")
    assert (paper.network.alpha, paper.network.iterations) == (0.3, 3)
    training = paper.training
    assert (training.batch, training.epochs, training.anchors) == (1, 15, None)
    assert (training.rate, training.weight_decay) == (3e-4, 5e-4)
    with pytest.raises(ValueError, match="not fitted"):
        all_distances(FFGNN(), blobs(0)[0], Gallery(blobs(0)[1]))


def test_vectors_of_another_width_and_one_image_an_identity_are_refused():
    wide = Features(np.eye(20, dtype=np.float32))
    with pytest.raises(ValueError, match="20 wide, and ffgnn was fitted on 16"):
        all_distances(known(), wide, Gallery(wide))
    with pytest.raises(ValueError, match="no identity has two images"):
        small().fit(wide, Labels(np.arange(20)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"reciprocal": 0},
        {"tau": 0},
        {"lam": 1.1},
        {"alpha": -0.1},
        {"iterations": 0},
        {"margin": -1.0},
        {"rate": -1.0},
        {"batch": 0},
        {"epochs": 0},
        {"anchors": 0},
        {"noise": -0.1},
        {"identity": False, "triplet": False, "verification": False},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(FFGNN, **wrong)
