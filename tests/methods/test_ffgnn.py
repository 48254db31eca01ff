import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.ego_graphs import Lesson
from graphreid.methods.ffgnn.method import FFGNN, Fusion
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
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
    return FFGNN(**{**SMALL, **options})


def known(**options: Any) -> FFGNN:
    """A method with random weights and statistics that matter, as if it had been fitted."""
    method = small(**options)
    torch.manual_seed(3)
    network = shaken(method._build(16))  # pyright: ignore[reportPrivateUsage]
    for name, value in network.state_dict().items():
        if name.startswith("maps"):
            value.add_(0.3 * torch.randn_like(value))
    method.state_ = dict(network.state_dict())
    return method


def doubles(method: FFGNN) -> dict[str, NDArray[np.float64]]:
    return {key: value.double().numpy() for key, value in method.state_.items()}


def options_of(method: FFGNN) -> dict[str, Any]:
    return {
        each.name: getattr(method, each.name) for each in dataclasses.fields(method) if each.init
    }


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
        expected = slow.distances(vectors[one_query], theirs, doubles(method), options_of(method))
        np.testing.assert_allclose(got[one_query], expected, rtol=0, atol=2e-6)
        _, x = slow.fused(vectors[one_query], theirs, doubles(method), options_of(method))
        np.testing.assert_allclose(queries.vectors[one_query], x[0], rtol=0, atol=2e-5)
    if method.scope == "graph":
        for row in (0, 33):
            _, x = slow.fused(
                theirs[row], np.delete(theirs, row, axis=0), doubles(method), options_of(method)
            )
            np.testing.assert_allclose(images.vectors[row], x[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("precise", ["fp32"])
def test_losses_are_the_papers(precise: Any):
    _, (train, labels) = labelled(5, images=60)
    role = np.where(np.arange(60) % 7 == 0, DISTRACTOR, 0)
    given = Labels(labels.identity, labels.camera, role)
    lesson = Lesson(
        train,
        given,
        k=20,
        sampling="retrieval",
        most=None,
        noise=0.0,
        seed=0,
        resources=Resources(),
    )
    method = small(precision=precise, margin=2.0)
    torch.manual_seed(0)
    network, classifier = method._build(16), torch.nn.Linear(16, lesson.classes)  # pyright: ignore[reportPrivateUsage]
    batch = lesson.batches(0, 3)[0]
    unit, target, mutual = lesson.graphs(batch, 0)
    assert mutual is None
    assert (target < 0).any()
    got = method._losses(network.eval(), classifier, lesson, batch)  # pyright: ignore[reportPrivateUsage]
    weights = {key: value.double().numpy() for key, value in network.state_dict().items()}
    w, bias = (each.detach().double().numpy() for each in (classifier.weight, classifier.bias))
    parts: list[tuple[float, float, float]] = []
    classes: list[int] = []
    for graph, of in zip(unit.double().numpy(), target.tolist(), strict=True):
        x = 4 * graph
        x = slow.fuse(x, slow.adjacency(x, options_of(method)), weights, method.alpha)
        parts.append(slow.losses(x, of, x @ w.T + bias, method.margin))
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
        lesson = Lesson(
            train, labels, k=20, sampling="random", most=4, noise=0.0, seed=0, resources=Resources()
        )
        batch = lesson.batches(0, 2)[0]
        parts = method._losses(method._build(16), torch.nn.Linear(16, 10), lesson, batch)  # pyright: ignore[reportPrivateUsage]
        assert {"identity", "triplet", "verification"} - set(parts) == set(off)


def test_the_anchors_feature_needs_no_more_than_whom_it_hears():
    torch.manual_seed(0)
    for iterations in (1, 2, 3, 4):
        network = Fusion(16, iterations, 0.4, identity=False).eval()
        x = torch.randn(3, 25, 16)
        s = small().graphs(torch.nn.functional.normalize(x, dim=2))
        with torch.inference_mode():
            np.testing.assert_allclose(
                network.of_first(x, s).numpy(), network(x, s)[:, 0].numpy(), rtol=0, atol=1e-5
            )


def test_training_anchors_are_a_fifth_and_their_graphs_hold_the_others():
    _, (train, labels) = labelled(1, images=60)
    seen: list[set[int]] = []
    lesson = Lesson(
        train,
        labels,
        k=15,
        sampling="retrieval",
        most=None,
        noise=0.0,
        seed=0,
        resources=Resources(),
    )
    for epoch in (0, 1):
        lists = lesson.batches(epoch, 5)
        assert [len(each) for each in lists] == [5, 5, 2]
        unit, target, _ = lesson.graphs(np.arange(12), 0)
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
    again = Lesson(
        train, labels, k=15, sampling="retrieval", most=7, noise=0.0, seed=0, resources=Resources()
    )
    assert sum(map(len, again.batches(0, 5))) == 7


def test_random_graphs_hold_identities_with_four_images_each():
    _, (train, labels) = labelled(1, images=80)
    lesson = Lesson(
        train, labels, k=20, sampling="random", most=None, noise=0.1, seed=0, resources=Resources()
    )
    batches = lesson.batches(0, 4)
    assert sum(map(len, batches)) == 16
    _, target, _ = lesson.graphs(np.arange(16), 0)
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
        alone = method._fusing(RetrievalSet(query, Gallery(gallery)))  # pyright: ignore[reportPrivateUsage]
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
    network = method._kept  # pyright: ignore[reportPrivateUsage]
    assert network is not None
    calls: list[int] = []

    def counted(self: Fusion, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return Fusion.forward(self, x, s)[:, 0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fusion, "of_first", counted)
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
    paper = FFGNN(**FFGNN.presets["paper"])
    assert paper.scope == "graph"
    assert (paper.k, paper.reciprocal, paper.tau, paper.lam, paper.alpha, paper.iterations) == (
        150,
        20,
        20,
        0.7,
        0.3,
        3,
    )
    assert (paper.batch, paper.rate, paper.weight_decay, paper.epochs, paper.anchors) == (
        1,
        3e-4,
        5e-4,
        15,
        None,
    )
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
        FFGNN(**wrong)
