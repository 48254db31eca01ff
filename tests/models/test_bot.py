import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from graphreid.datasets.images import Images
from graphreid.models import BoT, build, load_embedder, save_embedder
from graphreid.models.bot import PRESETS, BoTObjective
from graphreid.models.icg.embedder import ICG
from graphreid.models.losses import center_loss
from graphreid.protocols import Embedder
from graphreid.resources import Resources
from graphreid.types import Features, Labels

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
}


def tiny(change: Mapping[str, Any] | None = None) -> BoT:
    return build("bot", TINY | dict(change or {}))


def draw(folder: Path, identities: int = 6, count: int = 6) -> tuple[Images, Labels]:
    """Two stripes of colours of its own for each identity, under noise."""
    rng = np.random.default_rng(0)
    paths, identity = [], []
    for name in range(identities):
        colours = rng.integers(0, 200, (2, 1, 1, 3))
        for number in range(count):
            stripes = np.concatenate([np.broadcast_to(colour, (16, 16, 3)) for colour in colours])
            pixels = stripes + rng.integers(0, 55, (32, 16, 3))
            path = folder / f"{name}_{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            paths.append(path)
            identity.append(name)
    items = np.array([path.stem for path in paths])
    return Images(paths, items, np.arange(len(paths)) % 2), Labels(np.array(identity) + 10)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Images, Labels]:
    return draw(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def fitted(drawn: tuple[Images, Labels]) -> BoT:
    return tiny().fit(*drawn)


def weights(method: BoT | ICG) -> Tensor:
    return torch.cat([value.flatten().double() for value in method.state()[0].values()])


def test_it_is_an_embedder(fitted: BoT):
    assert isinstance(fitted, Embedder)
    assert dataclasses.is_dataclass(fitted)
    options = {"network", "input", "losses", "training", "flip_average"}
    assert all(name.endswith("_") for name in vars(fitted) if name not in options)


def test_training_makes_the_loss_smaller_and_images_of_one_identity_near(
    drawn: tuple[Images, Labels], tmp_path: Path
):
    method = tiny({"epochs": 12, "rate": 5e-3}).fit(*drawn)
    assert (
        method.trained.history[-1]["identity"] < 0.8 * method.trained.history[0]["identity"]
    )  # .63 to .72 over ten seeds
    assert {"identity", "triplet", "center", "rate", "batches", "seconds", "epoch"} == set(
        method.trained.history[0]
    )
    other, labels = draw(tmp_path)
    unit = method.embed(other).vectors
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    cosine, same = unit @ unit.T, labels.identity[:, None] == labels.identity
    np.fill_diagonal(cosine, -2)
    assert same[np.arange(len(same)), cosine.argmax(1)].mean() > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    drawn: tuple[Images, Labels], fitted: BoT
):
    torch.manual_seed(123)
    assert torch.equal(weights(tiny().fit(*drawn)), weights(fitted))
    assert not torch.equal(weights(tiny({"seed": 1}).fit(*drawn)), weights(fitted))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    drawn: tuple[Images, Labels], tmp_path: Path, precision: str
):
    settings = {"precision": precision}
    whole = tiny(settings).fit(*drawn)

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "training" and done == total // 2 + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny(settings).fit(*drawn, run=tmp_path, resources=Resources(progress=interrupt))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
    resumed = tiny(settings).fit(*drawn, run=tmp_path)
    assert torch.equal(weights(resumed), weights(whole))
    assert len(resumed.trained.history) == 3


def test_a_run_of_other_data_or_settings_is_refused(drawn: tuple[Images, Labels], tmp_path: Path):
    tiny({"epochs": 1}).fit(*drawn, run=tmp_path)
    with pytest.raises(ValueError, match="other settings or data"):
        tiny({"epochs": 2}).fit(*drawn, run=tmp_path)
    images, labels = drawn
    some = np.arange(len(images) - 1)
    with pytest.raises(ValueError, match="other settings or data"):
        tiny({"epochs": 1}).fit(images.take(some), labels.take(some), run=tmp_path)


def test_vectors_do_not_depend_on_company_and_are_the_same_twice(
    drawn: tuple[Images, Labels], fitted: BoT
):
    images, _ = drawn
    together = fitted.embed(images)
    assert isinstance(together, Features)
    assert together.vectors.shape == (36, 16)
    assert (together.items == images.items).all()
    assert together.camera is not None
    assert np.array_equal(together.vectors, fitted.embed(images).vectors)
    for batch in (1, 5):
        apart = np.concatenate([*fitted.blocks(images, batch=batch)])
        np.testing.assert_allclose(apart, together.vectors, atol=1e-5)
    rest = np.concatenate([*fitted.blocks(images, start=10, batch=5)])
    assert np.array_equal(rest, np.concatenate([*fitted.blocks(images, batch=5)])[10:])
    small = fitted.embed(images, resources=Resources(memory=2**20))
    np.testing.assert_allclose(small.vectors, together.vectors, atol=1e-5)


def test_flip_average_is_the_mean_of_both(
    drawn: tuple[Images, Labels], fitted: BoT, tmp_path: Path
):
    images, _ = drawn
    both = fitted.embed(images).vectors
    mirrored_paths = [tmp_path / path.name for path in images.paths]
    for path, mirrored in zip(images.paths, mirrored_paths, strict=True):
        Image.fromarray(np.asarray(Image.open(path))[:, ::-1].copy()).save(mirrored)
    plain = load_copy(fitted, tmp_path / "m.safetensors")
    plain.flip_average = False
    mean = (
        plain.embed(images).vectors + plain.embed(Images(mirrored_paths, images.items)).vectors
    ) / 2
    np.testing.assert_allclose(both, mean, atol=1e-5)


def load_copy(method: BoT, file: Path) -> BoT:
    save_embedder(method, file)
    loaded = load_embedder(file)
    assert isinstance(loaded, BoT)
    return loaded


def test_save_and_load(drawn: tuple[Images, Labels], fitted: BoT, tmp_path: Path):
    copy = load_copy(fitted, tmp_path / "m.safetensors")
    assert copy.fields() == fitted.fields()
    assert copy.trained.size == fitted.trained.size
    assert torch.equal(weights(copy), weights(fitted))
    assert np.array_equal(copy.embed(drawn[0]).vectors, fitted.embed(drawn[0]).vectors)


def test_files_that_hold_no_embedder(fitted: BoT, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    file = tmp_path / "m.safetensors"
    with pytest.raises(ValueError, match="no such file"):
        load_embedder(file)
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_embedder(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="not an embedder of this package"):
        load_embedder(file)
    save_embedder(fitted, file)
    header = {"format": "2", "embedder": "bot", "fields": "{}", "facts": "{}"}
    save_file(load_file(file), tmp_path / "new.safetensors", header)
    with pytest.raises(ValueError, match="format 2 is newer"):
        load_embedder(tmp_path / "new.safetensors")
    wrong = header | {"format": "1", "facts": '{"size": [32, 32]}'}
    save_file(load_file(file), tmp_path / "wrong.safetensors", wrong)
    with pytest.raises(ValueError, match="weights of another network than resnet50"):
        load_embedder(tmp_path / "wrong.safetensors")


def test_not_fitted(drawn: tuple[Images, Labels]):
    with pytest.raises(ValueError, match="not trained yet"):
        BoT().embed(drawn[0])


def test_junk_and_distractors_are_not_trained_on(drawn: tuple[Images, Labels]):
    images, labels = drawn
    role = np.where(labels.identity < 13, labels.role, 1 + labels.identity % 2)
    method = tiny({"epochs": 1}).fit(images, Labels(labels.identity, role=role))
    network, _ = method.fitted()
    assert network.classifier.out_features == 3
    with pytest.raises(ValueError, match="at least 2 identities"):
        tiny().fit(images, Labels(labels.identity, role=np.where(labels.identity == 10, 0, 1)))


def test_too_few_identities_for_a_batch_and_lengths_that_differ(drawn: tuple[Images, Labels]):
    images, labels = drawn
    with pytest.raises(
        ValueError, match=r"a batch wants 9 identities, and there are 6.*batch_identities"
    ):
        tiny({"batch_identities": 9}).fit(images, labels)
    with pytest.raises(ValueError, match="5 labels for 36 images"):
        tiny().fit(images, labels.take(np.arange(5)))


def test_an_unreadable_image(tmp_path: Path):
    images, labels = draw(tmp_path, identities=4)
    images.paths[7].write_bytes(images.paths[7].read_bytes()[:100])
    with pytest.raises(ValueError, match=images.paths[7].name):
        tiny().fit(images, labels)
    skipped = tiny({"epochs": 1}).fit(images, labels, on_error="skip")
    with pytest.raises(ValueError, match=images.paths[7].name):
        skipped.embed(images)


def test_weights_are_taken_over(drawn: tuple[Images, Labels], fitted: BoT, tmp_path: Path):
    network, _ = fitted.fitted()
    torch.save(network.backbone.state_dict(), tmp_path / "w.pth")
    settings = {"weights": str(tmp_path / "w.pth"), "epochs": 1, "rate": 1e-12}
    method = tiny(settings).fit(*drawn)
    assert method.trained.matched is not None
    assert str(method.trained.matched).endswith("weights matched")
    own = method.fitted()[0].backbone.state_dict()
    torch.testing.assert_close(
        own["conv1.0.weight"], network.backbone.state_dict()["conv1.0.weight"]
    )


def test_centers_move_as_with_their_own_optimizer():
    """The published code multiplies the loss by the weight and the centers' gradient by its
    inverse, and steps SGD(0.5).
    """
    from graphreid.models.backbones import BNNeck, backbone

    torch.manual_seed(0)
    settings = tiny()
    network = BNNeck(backbone("resnet10t", height=32, width=16, channels=(8, 8, 16, 16)), 4)
    objective = BoTObjective(network, settings.losses, bf16=False).train()
    centers = objective.centers.clone().requires_grad_()
    pixels, target = torch.rand(6, 3, 32, 16), torch.tensor([0, 0, 1, 1, 3, 3])
    pooled = network(pixels)[0].detach()
    center_loss(pooled, target, centers).backward()
    assert centers.grad is not None
    parts = objective((pixels, target))
    torch.testing.assert_close(
        objective.centers, (centers - 0.5 * centers.grad).detach(), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        parts["center"], 5e-4 * center_loss(pooled, target, centers), atol=1e-5, rtol=1e-4
    )
    without = BoTObjective(network, tiny({"center_weight": 0}).losses, bf16=False)
    assert "center" not in without((pixels, target))


def test_small_preset_takes_its_size_from_the_data(drawn: tuple[Images, Labels]):
    method = tiny({"height": None, "width": None, "epochs": 1}).fit(*drawn)
    assert method.trained.size == (64, 32)


def test_epochs_follow_from_the_data(drawn: tuple[Images, Labels], monkeypatch: pytest.MonkeyPatch):
    from graphreid.models import pixel_training

    images, labels = drawn
    monkeypatch.setattr(pixel_training, "SHOWN", 100)
    monkeypatch.setattr(pixel_training, "EPOCHS", 2)
    assert len(tiny({"epochs": None}).fit(images, labels).trained.history) == 3  # 36 images
    few = np.arange(4 * 6)
    assert len(tiny({"epochs": None}).fit(images.take(few), labels.take(few)).trained.history) == 5
    monkeypatch.setattr(pixel_training, "SHOWN", 1)
    assert len(tiny({"epochs": None}).fit(images, labels).trained.history) == 2


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str):
    build("bot", PRESETS[name])


def test_presets_are_the_papers():
    paper, ffgnn, hrnet = (build("bot", PRESETS[name]) for name in ("paper", "ffgnn", "hrnet"))
    training = paper.training
    assert (training.rate, training.warmup, training.milestones) == (3.5e-4, 10, (40, 70))
    assert (training.epochs, training.weight_decay) == (120, 5e-4)
    assert (training.batch_identities, training.batch_images) == (16, 4)
    assert (paper.losses.margin, paper.losses.center_weight) == (0.3, 5e-4)
    assert (ffgnn.training.rate, ffgnn.training.warmup) == (3e-4, 0)
    assert (ffgnn.input.height, ffgnn.input.width, ffgnn.losses.center_weight) == (384, 128, 0)
    training = hrnet.training
    assert (training.batch_identities, training.batch_images) == (11, 6)
    assert (training.epochs, training.milestones) == (200, (40, 120))
    assert (training.warmup, training.rate) == (0, 3.5e-4)
    assert (hrnet.input.erasing, hrnet.losses.center_weight) == (0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is 0: it must be at least 1"),
        ({"rate": -1.0}, "rate is -1"),
        ({"erasing": 2}, "between 0 and 1"),
        ({"pad": -1}, "pad is -1: it must be at least 0"),
        ({"last_stride": 3}, "choose one of 1, 2"),
        ({"height": None}, "give both, or neither"),
    ],
)
def test_values_out_of_range(change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        build("bot", change)
