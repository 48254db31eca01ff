import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.methods.hrnet.losses import consistent_node_constraint, relation_losses
from graphreid.methods.hrnet.method import HRNet
from graphreid.methods.hrnet.model import HybridRelations
from graphreid.methods.hrnet.options import Losses
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build, flat_options
from graphreid.protocols import GivesScores, Learned
from graphreid.resources import Resources
from graphreid.types import Features, Labels
from tests.references import hrnet as slow
from tests.support import all_distances, blobs, labelled

SMALL: dict[str, Any] = {"nodes": 20, "k": 5, "identities": 5, "images": 4, "epochs": 3}


def small(**options: Any) -> HRNet:
    return build(HRNet, **{**SMALL, **options})


def network_of(method: HRNet) -> HybridRelations:
    return HybridRelations(16, method.graphs, method.network)


def known(**options: Any) -> HRNet:
    """A method with random weights, as if it had been fitted."""
    method = small(**options)
    torch.manual_seed(3)
    network = network_of(method)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2)
    method.learned(network)
    return method


def doubles(method: HRNet) -> dict[str, NDArray[np.float64]]:
    return {key: value.double().numpy() for key, value in method.state_.items()}


CASES: list[dict[str, Any]] = [
    {},
    {"graph": "full"},
    {"attention": "linked", "layers": 2},
    {"self_in_c": False},
    {"self_in_c": False, "attention": "linked", "k": 1},
    {"pairwise": False, "init": "identity"},
    {"individual": False, "propagation": False},
    {"individual": False, "alpha": 0.3, "beta": 0.4},
    {"edges": 6, "nodes": 100},
    {"readout": "linear", "lam": 0.3},
]


@pytest.mark.parametrize("more", CASES, ids=lambda more: ",".join(more) or "default")
def test_equals_the_papers_equations(more: dict[str, Any]):
    query, gallery = blobs(0, queries=4, images=40)
    method = known(**more)
    block = next(iter(method.distances(query, Gallery(gallery))))
    for one_query in range(4):
        vector, images = (
            query.vectors[one_query].astype(np.float64),
            gallery.vectors.astype(np.float64),
        )
        expected, likely = slow.distances(vector, images, doubles(method), flat_options(method))
        np.testing.assert_allclose(block.distance[one_query], expected, rtol=1e-5, atol=1e-5)
        if method.network.pairwise:
            assert block.probability is not None
            np.testing.assert_allclose(block.probability[one_query], likely, rtol=0, atol=1e-5)
        else:
            assert block.probability is None


@pytest.mark.parametrize(
    "more",
    [{}, {"propagation": False}, {"individual": False}, {"edges": 4, "readout": "linear"}],
    ids=str,
)
def test_every_image_of_a_batch_is_an_anchor(more: dict[str, Any]):
    _, images = blobs(1, images=14)
    method = known(**more)
    related = method.related(images)
    f = 4 * slow.unit(images.vectors.astype(np.float64))
    layers = slow.images(f, doubles(method), flat_options(method))
    np.testing.assert_allclose(related.images[-1][0].numpy(), layers[-1], rtol=0, atol=1e-4)
    if method.network.individual:
        assert related.weights is not None
        expected = slow.individual(
            layers[-2], doubles(method), method.network.layers - 1, flat_options(method)
        )[1]
        np.testing.assert_allclose(related.weights[0].numpy(), expected, rtol=0, atol=1e-5)
    assert related.logits is not None
    assert related.pairs is not None
    for anchor in range(14):
        logits, g = slow.pairs(f, layers[-1], anchor, doubles(method), flat_options(method))
        np.testing.assert_allclose(related.logits[0, anchor].numpy(), logits, rtol=0, atol=1e-4)
        np.testing.assert_allclose(related.pairs[0, anchor].numpy(), g, rtol=0, atol=1e-5)
    weights = method.graph_weights(images)
    assert list(weights) == (
        ["A o C, images", "G, pairs"] if method.network.individual else ["G, pairs"]
    )
    np.testing.assert_allclose(weights["G, pairs"].sum(axis=1), 14, rtol=0, atol=1e-4)


@pytest.mark.parametrize("balance", [False, True])
def test_losses_are_the_papers(balance: bool):
    _, (features, labels) = labelled(1, images=18)
    method = known(layers=2)
    torch.manual_seed(0)
    classifier = torch.nn.Linear(16, 10)
    related = method.related(features)
    options = Losses(smoothing=0.2, margin=0.4, constraint=0.3, balance=balance)
    with torch.inference_mode():
        got = relation_losses(related, torch.from_numpy(labels.identity), classifier, options)
    f = 4 * slow.unit(features.vectors.astype(np.float64))
    layers, classes = (
        slow.images(f, doubles(method), flat_options(method)),
        labels.identity.tolist(),
    )
    logits = np.stack(
        [
            slow.pairs(f, layers[-1], anchor, doubles(method), flat_options(method))[0]
            for anchor in range(18)
        ]
    )
    assert got["pairwise"].item() == pytest.approx(
        slow.verification(logits, classes, balance), rel=1e-5
    )
    w, bias = (each.detach().double().numpy() for each in (classifier.weight, classifier.bias))
    assert got["individual"].item() == pytest.approx(
        slow.classification(layers[-1] @ w.T + bias, classes, 0.2), rel=1e-5
    )
    expected = sum(slow.constraint(*each, classes, 0.4) for each in itertools.pairwise(layers))
    assert got["constraint"].item() == pytest.approx(0.3 * expected, rel=1e-5)


def test_gradients_flow_from_pairs_into_images_and_not_through_the_distances_before():
    method = small()
    network = network_of(method)
    x = torch.randn(1, 12, 16, requires_grad=True)
    target = torch.arange(12) // 3
    related = network(x, 12)
    assert related.logits is not None
    relation_losses(related, target, torch.nn.Linear(16, 4), Losses())["pairwise"].backward()
    weight = network.individual[0].get_parameter("map.weight").grad
    assert weight is not None
    assert weight.abs().sum() > 0
    before, after = (torch.randn(12, 16, requires_grad=True) for _ in range(2))
    consistent_node_constraint(before, after, target, 0.3).backward()
    assert before.grad is None
    assert after.grad is not None


def test_a_fit_learns_and_says_what_it_did(tmp_path: Path):
    train, held, test = (labelled(seed, queries=1, images=150)[1] for seed in (1, 2, 3))
    held = held[0], Labels(held[1].identity + 50, held[1].camera)
    options: dict[str, Any] = {
        "epochs": 10,
        "attention": "linked",
        "k": 8,
        "nodes": 60,
        "init": "identity",
    }
    images = small(**options, pairwise=False).fit(*train, validation=held)
    facts = images.record_["validation"]
    assert facts["mAP"] > facts["input"] + 0.02  # .081 to .090 over ten seeds
    assert images.record_["images"] == 150
    # ten identities are too few to learn a measure of pairs from, but not to learn which pairs are
    # likelier
    method = small(**options).fit(*train, validation=held)
    block = next(iter(method.distances(test[0], Gallery(test[0]))))
    right = test[1].identity[:, None] == test[1].identity
    given = block.probability
    assert given is not None
    assert (
        given[right & (given > 0)].mean() > given[~right & (given > 0)].mean() + 0.02
    )  # .052 to .177 over ten seeds
    assert method.calibration_ != [1.0, 0.0]
    save(method, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, HRNet)
    assert again.record_ == method.record_
    # a graph can be left out of the score only by fitting without it
    for option in ("layers=3", "individual=false", "propagation=false"):
        with pytest.raises(ValueError, match="fit it again with those options"):
            all_distances(parse(f"{tmp_path}/m.safetensors:{option}"), test[0], Gallery(test[0]))


def test_a_fit_that_was_stopped_goes_on_to_the_same_result(tmp_path: Path):
    _, train = labelled(1, images=60)
    _, held = labelled(2, images=60)
    held = held[0], Labels(held[1].identity + 50, held[1].camera)
    options: dict[str, Any] = {"epochs": 4, "noise": 0.2, "precision": "fp32"}
    whole = small(**options).fit(*train, validation=held)

    class Stop(Exception):  # noqa: N818
        pass

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "hrnet" and done > total * 0.6:
            raise Stop

    with pytest.raises(Stop):
        small(**options).fit(
            *train, validation=held, folder=tmp_path, resources=Resources(progress=interrupt)
        )
    resumed = small(**options).fit(*train, validation=held, folder=tmp_path)
    for key, value in whole.state_.items():
        assert torch.equal(resumed.state_[key], value), key
    assert resumed.calibration_ == whole.calibration_
    with pytest.raises(ValueError, match="made with other settings or data"):
        small(**options, k=3).fit(*train, validation=held, folder=tmp_path)


def test_it_can_stand_before_another_method(tmp_path: Path):
    query, gallery = blobs(2)
    save(known(), tmp_path / "h.safetensors")
    got = all_distances(
        parse(f"{tmp_path}/h.safetensors+k-reciprocal:k1=6,k2=3"), query, Gallery(gallery)
    )
    assert np.isfinite(got).all()


def test_what_it_says_of_itself():
    assert isinstance(HRNet(), Learned)
    assert isinstance(HRNet(), GivesScores)
    paper = build(HRNet, **HRNet.PAPER)
    assert HRNet.presets["paper"] == HRNet.PAPER
    assert (paper.graphs.nodes, paper.graphs.k) == (120, 10)
    assert (paper.network.alpha, paper.network.beta) == (0.9, 0.8)
    assert (paper.losses.margin, paper.losses.constraint) == (0.3, 0.1)
    training = paper.training
    assert (training.identities, training.images, training.epochs) == (11, 6, 200)
    assert (training.rate, training.weight_decay) == (3.5e-4, 5e-4)
    with pytest.raises(ValueError, match="not fitted"):
        all_distances(HRNet(), blobs(0)[0], Gallery(blobs(0)[1]))


def test_what_can_not_be_learned_from_is_refused():
    wide = Features(np.eye(20, dtype=np.float32))
    with pytest.raises(ValueError, match="20 wide, and hrnet was fitted on 16"):
        all_distances(known(), wide, Gallery(wide))
    with pytest.raises(ValueError, match="no identity has two images"):
        small().fit(wide, Labels(np.arange(20)))
    with pytest.raises(ValueError, match="at least 2 identities"):
        small().fit(wide, Labels(np.zeros(20, int)))
    _, train = labelled(1)
    with pytest.raises(ValueError, match="identities are in both train and validation"):
        small().fit(*train, validation=train)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": 0},
        {"k": 0},
        {"layers": 0},
        {"epochs": 0},
        {"identities": 1},
        {"images": 1},
        {"rate": -1.0},
        {"weight_decay": -1.0},
        {"noise": -0.1},
        {"margin": -1.0},
        {"constraint": -0.1},
        {"lam": -1.0},
        {"alpha": 1.5},
        {"beta": -0.5},
        {"smoothing": 2.0},
        {"edges": 0},
        {"individual": False, "pairwise": False},
        {"individual": False, "lam": 0.0},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(HRNet, **wrong)
