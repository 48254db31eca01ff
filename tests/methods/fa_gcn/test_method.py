from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.fa_gcn.graph import TrainingGraph
from graphreid.methods.fa_gcn.mahalanobis import root_of_precision
from graphreid.methods.fa_gcn.method import FAGCN
from graphreid.methods.fa_gcn.model import FeatureAggregation
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build
from graphreid.protocols import Learned, Transforms
from graphreid.resources import Resources
from graphreid.types import DISTRACTOR, Features, Labels
from tests.references import fa_gcn as slow
from tests.references import losses as slow_losses
from tests.support import all_distances, blobs, labelled

SMALL: dict[str, Any] = {"k": 4, "epochs": 3, "batch": 4}


def known(**options: Any) -> FAGCN:
    """A method with random weights, as if it had been fitted."""
    method = build(FAGCN, **{**SMALL, **options})
    torch.manual_seed(3)
    network = FeatureAggregation(16, method.network.layers)
    root = torch.linalg.cholesky(torch.cov(torch.randn(16, 40)) + torch.eye(16))
    method.state_ = {
        **network.layers.state_dict(),
        "within": root / 10,
        "length": torch.tensor(3.0),
    }
    return method


def training_graph(
    train: Features, labels: Labels, *, batch: int | None = None, epochs: int = 1
) -> TrainingGraph:
    return TrainingGraph(
        train, labels, k=4, batch=batch, epochs=epochs, seed=0, resources=Resources()
    )


def doubles(method: FAGCN) -> list[NDArray[np.float64]]:
    return [
        method.state_[f"{layer}.weight"].double().numpy() for layer in range(method.network.layers)
    ]


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("distance", ["mahalanobis", "euclidean", "cosine"])
@pytest.mark.parametrize("setting", ["online", "transductive"])
def test_equals_the_papers_equations(layers: int, distance: str, setting: str):
    query, gallery = blobs(0, queries=5, images=40)
    method = known(layers=layers, distance=distance, setting=setting)
    queries, images = (
        slow.unit(query.vectors.astype(np.float64)),
        slow.unit(gallery.vectors.astype(np.float64)),
    )
    weights = doubles(method)
    if setting == "transductive":
        union = slow.aggregated(np.concatenate([images, queries]), 4, weights)
        z, others = union[40:], union[:40]
    else:
        z = np.stack([slow.online(one_query, images, 4, weights) for one_query in queries])
        others = slow.aggregated(images, 4, weights)
    got = all_distances(method, query, Gallery(gallery))
    if distance == "mahalanobis":
        root = method.state_["within"].double().numpy()
        expected = slow.mahalanobis(z, others, root @ root.T)
    elif distance == "euclidean":
        expected = slow.mahalanobis(z, others, np.eye(16) / 9)
    else:
        expected = 1 - slow.unit(z) @ slow.unit(others).T
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1 * expected.mean()


def test_the_training_losses_are_the_papers_equations():
    _, (train, labels) = labelled(1, images=50)
    method = build(FAGCN, k=4, layers=2, identity_weight=0.5, tau=0.3, batch=None)
    graph = training_graph(train, labels)
    torch.manual_seed(0)
    network = FeatureAggregation(16, 2, graph.classes)
    rows = np.array([3, 40, 7, 12, 25, 31, 1, 2, 8])
    got = method._losses(network, graph, rows)  # pyright: ignore[reportPrivateUsage]
    weights = [layer.weight.detach().double().numpy() for layer in network.layers]  # type: ignore[union-attr]
    z = slow.aggregated(slow.unit(train.vectors.astype(np.float64)), 4, weights)[rows]
    assert network.classifier is not None
    logits = (
        z @ network.classifier.weight.detach().double().numpy().T
        + network.classifier.bias.detach().double().numpy()
    )
    expected = slow_losses.identity_loss(logits, graph.target[rows], 0.0)
    assert got["identity"].item() == pytest.approx(0.5 * expected, rel=1e-4)
    contrastive = slow_losses.supervised_contrastive(
        z, labels.identity[rows], 0.3, include_self=False
    )
    assert got["contrastive"].item() == pytest.approx(contrastive, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_matrix_is_the_inverse_of_what_differs_within_an_identity(seed: int):
    rng = np.random.default_rng(seed)
    identity = rng.integers(0, 8, 60)
    identity[0] = 99  # the only image of its identity has nothing to say
    z = rng.standard_normal((60, 6)) @ rng.standard_normal((6, 6)) + identity[
        :, None
    ] * rng.standard_normal(6)
    root = root_of_precision(z, identity)
    np.testing.assert_allclose(root @ root.T, slow.precision(z, identity), rtol=1e-8)


def test_entries_that_never_differ_do_no_harm():
    z = np.random.default_rng(0).standard_normal((30, 4))
    z[:, 2] = 0
    assert np.isfinite(root_of_precision(z, np.arange(30) // 3)).all()
    assert np.isfinite(root_of_precision(np.zeros((30, 4)), np.arange(30) // 3)).all()


def test_batches_are_all_images_of_some_identities():
    _, (train, labels) = labelled(1, images=60)
    role = np.zeros(60, int)
    role[:10] = DISTRACTOR
    known_labels = Labels(labels.identity, labels.camera, role)
    graph = training_graph(train, known_labels, batch=3)
    first, second = graph.batches(0), graph.batches(1)
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == list(range(10, 60)), (
            "distractors are nodes, and never learned from"
        )
        for rows in batches:
            inside = np.isin(labels.identity[10:], labels.identity[rows])
            assert inside.sum() == len(rows)
            assert len(np.unique(labels.identity[rows])) <= 3
    assert not np.array_equal(first[0], second[0])
    whole = training_graph(train, known_labels, epochs=30)
    assert whole.rounds == 2
    assert [len(whole.batches(part)) for part in (0, 1)] == [20, 10]
    assert sorted(whole.batches(0)[0]) == list(range(10, 60))


@pytest.mark.parametrize(
    "more", [{}, {"identity_weight": 1.0, "schedule": "steps", "optimizer": "adam"}, {"layers": 2}]
)
def test_a_fit_learns_who_is_who_and_says_what_it_did(tmp_path: Path, more: dict[str, Any]):
    # one set's images in two parts: what is learned of the first must hold for the second, under
    # other names
    features, labels = labelled(1, queries=1, images=400)[1]
    half = np.arange(400) < 200
    train = features.take(half), labels.take(half)
    held = (
        features.take(~half),
        Labels(labels.identity[~half] + 50, np.asarray(labels.camera)[~half]),
    )
    method = build(FAGCN, k=10, epochs=30, batch=5, rate=3e-3, **more).fit(*train, validation=held)
    validation = method.record_["validation"]
    assert validation["mAP"] > validation["input"] + 0.02  # .047 to .148 over ten seeds
    assert validation["mAP_of_distance"].keys() == {"mahalanobis", "euclidean", "cosine"}
    assert validation["mAP_of_distance"]["mahalanobis"] == validation["mAP"]
    assert len(method.record_["mAP_of_epochs"]) == 30
    assert validation["mAP"] == pytest.approx(max(method.record_["mAP_of_epochs"]), abs=1e-4), (
        "the best weights are kept"
    )
    save(method, tmp_path / "m.safetensors")
    other = parse(f"{tmp_path}/m.safetensors:distance=cosine")
    assert isinstance(other, FAGCN)
    assert other.metric == "cosine"
    assert (
        np.isfinite(all_distances(other, held[0].take(np.arange(5)), Gallery(held[0]))).sum()
        == 5 * 199
    )
    with pytest.raises(ValueError, match="fit it again with those options"):
        all_distances(parse(f"{tmp_path}/m.safetensors:layers=4"), held[0], Gallery(held[0]))


def test_a_fit_that_was_stopped_goes_on_to_the_same_result(tmp_path: Path):
    _, train = labelled(1, images=60)
    whole = build(FAGCN, **SMALL).fit(*train)

    class Stop(Exception):  # noqa: N818
        pass

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "fa-gcn" and done > total * 0.6:
            raise Stop

    with pytest.raises(Stop):
        build(FAGCN, **SMALL).fit(*train, folder=tmp_path, resources=Resources(progress=interrupt))
    resumed = build(FAGCN, **SMALL).fit(*train, folder=tmp_path)
    for key, value in whole.state_.items():
        assert torch.equal(resumed.state_[key], value), key


def test_new_vectors_are_compared_by_the_distance_and_by_what_follows():
    query, gallery = blobs(2)
    for distance in ("mahalanobis", "cosine"):
        method = known(distance=distance)
        assert isinstance(method, Transforms)
        queries, images = method.transform(query, Gallery(gallery))
        retrieval_set = RetrievalSet(queries, Gallery(images, metric=method.metric))
        expected = all_distances(method, query, Gallery(gallery))
        np.testing.assert_allclose(retrieval_set.block(0, len(query)), expected, rtol=0, atol=1e-5)
    from graphreid.methods import Cosine, KReciprocal
    from graphreid.methods.chain import chained

    method = known()
    after = all_distances(chained(method, Cosine()), query, Gallery(gallery))
    np.testing.assert_allclose(
        after, all_distances(method, query, Gallery(gallery)), rtol=0, atol=1e-5
    )
    assert np.isfinite(all_distances(chained(method, KReciprocal()), query, Gallery(gallery))).all()


def test_what_is_kept_of_the_gallery_is_made_once():
    query, gallery = blobs(2)
    method, snapshot = known(), Gallery(gallery)
    calls: list[int] = []
    made = FeatureAggregation.update_rows

    def counted(self: Any, layer: int, z: Any, *more: Any) -> Any:
        calls.append(len(z))
        return made(self, layer, z, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureAggregation, "update_rows", counted)
        for one_query in range(3):
            all_distances(method, query.take(np.array([one_query])), snapshot)
    assert sorted(calls) == [1, 1, 1, 60]


def test_what_it_says_of_itself(tmp_path: Path):
    assert isinstance(FAGCN(), Learned)
    assert FAGCN().setting == "online"
    paper = build(FAGCN, **FAGCN.PAPER)
    assert FAGCN.presets["paper"] == FAGCN.PAPER
    assert (paper.graph.k, paper.network.layers, paper.distance) == (3, 1, "mahalanobis")
    training = paper.training
    assert (training.epochs, training.rate, training.batch) == (2000, 1e-4, None)
    assert (training.tau, training.include_self, training.schedule) == (0.07, False, "steps")
    assert training.identity_weight == 1
    save(known(), tmp_path / "m.safetensors")
    assert isinstance(load(tmp_path / "m.safetensors"), FAGCN)


def test_wrong_use_is_refused():
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="not fitted"):
        all_distances(FAGCN(), query, Gallery(gallery))
    with pytest.raises(ValueError, match="cosine similarities"):
        all_distances(known(), query, Gallery(gallery, metric="euclidean"))
    wide = Features(np.eye(20, dtype=np.float32))
    with pytest.raises(ValueError, match="20 wide, and fa-gcn was fitted on 16"):
        all_distances(known(), wide, Gallery(wide))


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"layers": 0},
        {"epochs": 0},
        {"tau": 0.0},
        {"batch": 1},
        {"rate": -1.0},
        {"identity_weight": -1.0},
        {"setting": "both"},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(FAGCN, **wrong)
