from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from graphreid.datasets.images import Images
from graphreid.models import build, load_embedder, save_embedder
from graphreid.models.checkpoints.architectures import ToolkitNetwork
from graphreid.models.checkpoints.imported import ImportedEmbedder
from graphreid.protocols import Embedder
from tests.models.test_bot import draw

SMALL: dict[str, Any] = {
    "layout": "fast-reid",
    "backbone": "resnet18_ibn_a",
    "channels": (8, 8, 8, 16),
    "stem_relu": False,
    "stem_pool": "ceil",
    "nonlocal_blocks": (0, 1, 0, 0),
    "pooling": "gem",
    "gem_power": 2.5,
    "head": ("projection", "norm"),
    "head_width": 12,
    "pixel_scale": 255,
    "pixel_mean": (120.0, 110.0, 100.0),
    "pixel_std": (60.0, 55.0, 50.0),
    "height": 32,
    "width": 16,
}


def made(**changes: Any) -> ImportedEmbedder:
    torch.manual_seed(0)
    embedder = build("imported", SMALL | changes)
    assert isinstance(embedder, ImportedEmbedder)
    return embedder.adopt(ToolkitNetwork(embedder))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return draw(tmp_path_factory.mktemp("images"), identities=2, count=2)[0]


@pytest.mark.parametrize("flip", [False, True])
def test_save_and_load(images: Images, tmp_path: Path, flip: bool) -> None:
    embedder = made(flip_average=flip)
    assert isinstance(embedder, Embedder)
    save_embedder(embedder, tmp_path / "m.safetensors")
    loaded = load_embedder(tmp_path / "m.safetensors")
    assert isinstance(loaded, ImportedEmbedder)
    assert loaded.fields() == embedder.fields()
    assert loaded.fitted()[1] == (32, 16)
    vectors = embedder.embed(images)
    assert vectors.vectors.shape == (4, 12)
    assert (vectors.items == images.items).all()
    assert np.array_equal(loaded.embed(images).vectors, vectors.vectors)
    apart = np.concatenate([*embedder.blocks(images, start=1, batch=1)])
    np.testing.assert_allclose(apart, vectors.vectors[1:], atol=1e-5)


def test_loading_leaves_random_numbers_alone(tmp_path: Path) -> None:
    save_embedder(made(), tmp_path / "m.safetensors")
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    load_embedder(tmp_path / "m.safetensors")
    assert torch.equal(torch.rand(1), before)


def test_weights_of_another_network(tmp_path: Path) -> None:
    save_embedder(made(), tmp_path / "m.safetensors")
    from safetensors import safe_open

    with safe_open(tmp_path / "m.safetensors", "pt") as opened:
        header = opened.metadata()
    changed = header | {"fields": header["fields"].replace("resnet18_ibn_a", "resnet18")}
    save_file(load_file(tmp_path / "m.safetensors"), tmp_path / "wrong.safetensors", changed)
    with pytest.raises(ValueError, match="weights of another network than resnet18"):
        load_embedder(tmp_path / "wrong.safetensors")


def test_what_it_does_not_do(images: Images) -> None:
    with pytest.raises(ValueError, match="not trained further"):
        made().fit(images, None)
    with pytest.raises(ValueError, match="no checkpoint is imported yet"):
        ImportedEmbedder().embed(images)
    with pytest.raises(ValueError, match="imported has no setting 'rate'"):
        build("imported", {"rate": 1.0})
