import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.datasets.images import Images
from graphreid.models import ICG, build, load_embedder, save_embedder
from graphreid.models.icg.embedder import PRESETS
from graphreid.models.icg.losses import UNKNOWN, ICGObjective
from graphreid.models.icg.pseudo_labels import LABELS, LabelledBatches
from graphreid.models.pixel_training import PixelBatches, TrainingImages
from graphreid.protocols import Embedder
from graphreid.resources import Resources
from graphreid.types import Labels
from tests.models.test_bot import draw, weights
from tests.references import icg as reference

TINY: dict[str, Any] = {
    **PRESETS["small"],
    "channels": (8, 8, 16, 16),
    "height": 32,
    "width": 16,
    "epochs": 3,
    "warmup": 1,
    "batch_identities": 3,
    "batch_images": 2,
    "precision": "fp32",
    "parts": 4,
    "map_width": 8,
    "graph_widths": (8, 8),
    "structure_width": 12,
    "every": 2,
    "pad": 2,
}


def tiny(change: Mapping[str, Any] | None = None) -> ICG:
    made = build("icg", TINY | dict(change or {}))
    assert isinstance(made, ICG)
    return made


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Images, Labels]:
    return draw(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def fitted(drawn: tuple[Images, Labels]) -> ICG:
    return tiny().fit(*drawn)  # type: ignore[return-value]


def test_it_is_an_embedder(fitted: ICG):
    assert isinstance(fitted, Embedder)
    assert dataclasses.is_dataclass(fitted)
    options = {"parts", "weights", "network", "input", "losses", "training", "flip_average"}
    assert all(name.endswith("_") for name in vars(fitted) if name not in options)


def test_the_log_names_the_losses_and_what_clustering_took(fitted: ICG):
    first, second, third = fitted.trained.history
    losses = {"global", "foreground", "structure", "parts", "separation", "assignment"}
    assert losses | {
        "epoch",
        "rate",
        "batches",
        "seconds",
        "unclustered",
        "clustering",
        "labelling",
    } == set(first)
    assert first["clustering"] > 0
    assert second["clustering"] == 0
    assert third["clustering"] > 0
    assert all(record["labelling"] <= record["seconds"] for record in fitted.trained.history)


def test_training_makes_every_loss_smaller_and_images_of_one_identity_near(
    drawn: tuple[Images, Labels], tmp_path: Path
):
    method = tiny({"epochs": 24, "rate": 5e-3}).fit(*drawn)
    for name in ("global", "foreground", "structure", "parts"):
        assert method.trained.history[-1][name] < 0.8 * method.trained.history[0][name], (
            name
        )  # .29 to .68 over ten seeds
    other, labels = draw(tmp_path)
    unit = method.embed(other).vectors
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    cosine, same = unit @ unit.T, labels.identity[:, None] == labels.identity
    np.fill_diagonal(cosine, -2)
    assert same[np.arange(len(same)), cosine.argmax(1)].mean() > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    drawn: tuple[Images, Labels], fitted: ICG
):
    torch.manual_seed(123)
    assert torch.equal(weights(tiny().fit(*drawn)), weights(fitted))
    assert not torch.equal(weights(tiny({"seed": 1}).fit(*drawn)), weights(fitted))


@pytest.mark.parametrize("begin", ["rows", "plusplus"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    drawn: tuple[Images, Labels], tmp_path: Path, begin: str
):
    settings = {"begin": begin, "epochs": 4}
    whole = tiny(settings).fit(*drawn, run=tmp_path / "whole")

    def interrupt(what: str, done: int, total: int) -> None:
        # in the second epoch, whose labels were made before the first
        if what == "training" and done == total // 4 + 1:
            raise KeyboardInterrupt

    run = tmp_path / "broken"
    run.mkdir()
    with pytest.raises(KeyboardInterrupt):
        tiny(settings).fit(*drawn, run=run, resources=Resources(progress=interrupt))
    resumed = tiny(settings).fit(*drawn, run=run)
    assert torch.equal(weights(resumed), weights(whole))
    for name in ("0000.npz", "0002.npz"):
        one, other = np.load(run / LABELS / name), np.load(tmp_path / "whole" / LABELS / name)
        np.testing.assert_array_equal(one["labels"], other["labels"])
        assert one["labels"].shape == (36, 8, 4)
        assert one["items"].tolist() == drawn[0].items.tolist()


def test_lost_labels_are_named(drawn: tuple[Images, Labels], tmp_path: Path):
    def interrupt(what: str, done: int, total: int) -> None:
        if what == "training" and done == total // 3 + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny().fit(*drawn, run=tmp_path, resources=Resources(progress=interrupt))
    (tmp_path / LABELS / "0000.npz").unlink()
    with pytest.raises(ValueError, match=r"0000\.npz: the parts of epoch 1 are gone"):
        tiny().fit(*drawn, run=tmp_path)


def test_labels_are_the_clusters_of_an_identitys_foreground_from_the_top(
    drawn: tuple[Images, Labels], tmp_path: Path
):
    """The labels before epoch 1, remade with the references from the map of the untrained
    network.
    """
    images, labels = drawn
    method = tiny({"epochs": 1, "rate": 1e-12}).fit(images, labels, run=tmp_path)
    made = np.load(tmp_path / LABELS / "0000.npz")["labels"]
    network = method.trained.network
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    from graphreid.datasets.loading import Pixels
    from graphreid.models.extraction import to_tensor

    held = Pixels(images, 32, 16).held
    assert held is not None
    with torch.no_grad():
        f = network.eval().feature_map(to_tensor(held))[0].double().numpy()
    rows = np.flatnonzero(labels.identity == labels.identity[0])
    masks = [reference.activation(f[row]) > 0.5 for row in rows]
    points = np.concatenate(
        [reference.unit_pixels(f[row], mask) for row, mask in zip(rows, masks, strict=True)]
    )
    row = np.concatenate([np.nonzero(mask)[0] for mask in masks])
    order = np.argsort(row, kind="stable")
    begin = np.array([points[part].mean(axis=0) for part in np.array_split(order, 3)])
    label, _ = reference.kmeans(points, begin, 20)
    place = np.argsort(np.argsort([row[label == k].mean() for k in range(3)]))
    wanted = np.zeros((len(rows), 8, 4), np.uint8)
    wanted[np.array(masks)] = place[label] + 1
    assert (made[rows] == wanted).mean() > 0.99  # float32 may settle a tie otherwise


def test_labels_go_with_their_pixels(drawn: tuple[Images, Labels]):
    """Labels that say where in the image a pixel is, beside pixels that say the same."""
    from graphreid.datasets.loading import Pixels

    images, _ = drawn
    pixels = Pixels(images, 32, 16)
    assert pixels.held is not None
    place = np.arange(32).reshape(8, 4).astype(np.uint8)
    pixels.held[:] = np.kron(place, np.ones((4, 4), np.uint8))[None, :, :, None] * 7 + 7
    target, marks = np.repeat(np.arange(6), 6), np.repeat(place[None], 36, axis=0)
    changes: list[dict[str, Any]] = [
        {"pad": 0},
        {"pad": 4, "padding": "zeros"},
        {"pad": 4},
        {"pad": 3, "erasing": 1.0},
    ]
    for change in changes:
        unknown, seen = 0, set[int]()
        given = TrainingImages(pixels, target, Resources(), None)
        for batch, _, labels in LabelledBatches(PixelBatches(tiny(change), given, 0), marks, {}):
            inside = torch.round(batch[:, 0] * 255 / 7).long() - 1
            known = labels != UNKNOWN
            assert torch.equal(labels[known], inside[:, 2::4, 2::4][known])
            unknown += int((~known).sum())
            seen |= set(labels[known].tolist())
        assert (unknown > 0) == (change["pad"] > 0)
        assert seen == set(range(32))


@pytest.mark.parametrize(
    ("change", "groups", "blocks"),
    [
        ({"clustering": False, "structure": False}, {"global", "foreground", "separation"}, 2),
        (
            {"attention": False, "structure": False},
            {"global", "foreground", "parts", "assignment"},
            5,
        ),
        ({"attention": False}, {"global", "foreground", "structure", "parts", "assignment"}, 6),
        (
            {"parts": 7},
            {"global", "foreground", "structure", "parts", "separation", "assignment"},
            9,
        ),
    ],
)
def test_switches(
    drawn: tuple[Images, Labels], change: dict[str, Any], groups: set[str], blocks: int
):
    method = tiny({**change, "epochs": 1}).fit(*drawn)
    assert isinstance(method, ICG)
    assert groups <= set(method.trained.history[0])
    assert not {
        "global",
        "foreground",
        "structure",
        "parts",
        "separation",
        "assignment",
    } - groups & set(method.trained.history[0])
    assert len(method.trained.network.block_widths) == blocks
    vectors = method.embed(drawn[0]).vectors
    assert vectors.shape[1] == method.entries
    seen = method.columns(vectors)
    assert set(seen) == ({"visibility"} if method.parts.clustering else set())
    if method.parts.clustering:
        assert seen["visibility"].shape == (36, method.parts.parts - 1)


def test_the_objective_is_equations_16_to_22(drawn: tuple[Images, Labels]):
    method = tiny(
        {"epochs": 1, "separation_weight": 0.7, "part_weight": 0.3, "center_weight": 0.01}
    ).fit(*drawn)
    assert isinstance(method, ICG)
    objective = ICGObjective(
        method.trained.network, method.losses, method.weights, threshold=0.5, bf16=False
    )
    objective.eval()
    pixels, target = torch.rand(6, 3, 32, 16), torch.tensor([0, 0, 1, 1, 3, 3])
    labels = torch.from_numpy(np.random.default_rng(0).integers(-1, 4, (6, 8, 4)))
    centers = {
        name: objective.get_buffer(f"centers_{name}").double().numpy().copy()
        for name in ("global", "foreground", "structure", "parts")
    }
    with torch.no_grad():
        network = method.trained.network
        seen = network.part_features(pixels)
        logits = {
            name: network.logits(name, network.after_norm(name, seen)).double().numpy()
            for name in centers
        }
        parts = objective((pixels, target, labels))
    assert seen.separation is not None
    assert seen.confidence is not None
    options = {"smoothing": 0.1, "margin": 0.3, "center_weight": 0.01}
    groups = {
        name: reference.group_loss(
            seen.features[name].double().numpy(),
            logits[name],
            target.numpy(),
            centers[name],
            options,
        )
        for name in centers
    }
    mask = np.array([reference.activation(one.double().numpy()) > 0.5 for one in seen.f]).astype(
        np.int64
    )
    separation = reference.pixel_loss(
        seen.separation.double().softmax(1).numpy(), np.where(labels.numpy() == -1, -1, mask)
    )
    assignment = reference.pixel_loss(seen.confidence.double().softmax(1).numpy(), labels.numpy())
    for name, value in groups.items():
        assert float(parts[name]) == pytest.approx(0.2 * value, rel=1e-4), name
    total = reference.objective(list(groups.values()), separation, assignment, (0.2, 0.7, 0.3))
    assert float(sum(parts.values())) == pytest.approx(total, rel=1e-4)


def test_an_identity_without_foreground_is_counted_and_background(
    drawn: tuple[Images, Labels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from graphreid.models.icg import pseudo_labels

    plain = pseudo_labels.activation

    def none(f: torch.Tensor) -> torch.Tensor:
        return plain(f) * 0

    monkeypatch.setattr(pseudo_labels, "activation", none)
    method = tiny({"epochs": 1}).fit(*drawn, run=tmp_path)
    assert method.trained.history[0]["unclustered"] == 6
    assert np.load(tmp_path / LABELS / "0000.npz")["labels"].max() == 0


def test_save_and_load(drawn: tuple[Images, Labels], fitted: ICG, tmp_path: Path):
    save_embedder(fitted, tmp_path / "m.safetensors")
    copy = load_embedder(tmp_path / "m.safetensors")
    assert isinstance(copy, ICG)
    assert copy.fields() == fitted.fields()
    vectors = fitted.embed(drawn[0]).vectors
    assert np.array_equal(copy.embed(drawn[0]).vectors, vectors)
    # unit blocks, zero where a part is not seen, also after the mean with the mirror image
    cut = np.split(vectors, np.cumsum(fitted.trained.network.block_widths)[:-1], axis=1)
    lengths = np.stack([np.linalg.norm(block, axis=1) for block in cut], 1)
    wanted = np.concatenate([np.ones((36, 3)), fitted.columns(vectors)["visibility"]], 1)
    np.testing.assert_allclose(lengths, wanted, atol=1e-5)


def test_images_that_are_decoded_batch_by_batch_give_the_same(drawn: tuple[Images, Labels]):
    whole, decoded = (
        tiny({"epochs": 2}).fit(*drawn),
        tiny({"epochs": 2}).fit(*drawn, resources=Resources(memory=40_000)),
    )
    assert torch.equal(weights(whole), weights(decoded))


def test_presets_are_the_papers():
    paper = build("icg", PRESETS["paper"])
    assert isinstance(paper, ICG)
    training, weights, parts = paper.training, paper.weights, paper.parts
    assert (training.rate, training.warmup, training.milestones) == (3.5e-4, 10, (40, 70))
    assert (training.epochs, training.batch_identities * training.batch_images) == (120, 64)
    assert (paper.input.erasing, paper.input.height, paper.input.width) == (0.5, 256, 128)
    assert (weights.feature_weight, weights.separation_weight) == (0.2, 0.1)
    assert weights.part_weight == 0.1
    assert (parts.parts, parts.map_width, parts.threshold, parts.every) == (6, 256, 0.5, 1)
    assert (parts.graph_widths, parts.structure_width) == ((512, 512), 2048)
    build("icg", PRESETS["small"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": 2}, "at least 3"),
        ({"every": 0}, "every is 0: it must be at least 1"),
        ({"graph_widths": ()}, "graph_widths is"),
        ({"clustering": False}, "set structure=false"),
        ({"clustering": False, "structure": False, "attention": False}, "use the model bot"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"part_weight": -1}, "part_weight is -1: it must be at least 0"),
        ({"begin": "random"}, "begin is 'random'"),
    ],
)
def test_values_out_of_range(change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        tiny(change)


def test_a_backbone_without_stages_is_refused(drawn: tuple[Images, Labels]):
    with pytest.raises(ValueError, match="choose a ResNet"):
        tiny({"backbone": "mobilenetv3_small_050", "channels": None}).fit(*drawn)
