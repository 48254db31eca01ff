from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from graphreid.datasets.images import Images
from graphreid.models.extraction import Extractor, blocks, to_tensor
from graphreid.resources import Resources


class Columns(nn.Module):
    """Each image's mean by column: what mirroring turns round."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return pixels, pixels.mean((1, 2))


@pytest.fixture
def images(tmp_path: Path) -> Images:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        raw = np.random.default_rng(number).integers(0, 256, (8, 6, 3)).astype(np.uint8)
        Image.fromarray(raw).save(path)
    return Images(paths, np.array([path.stem for path in paths]))


@pytest.mark.parametrize("batch", [1, 2, None])
def test_vectors_by_block(images: Images, batch: int | None) -> None:
    pixels = np.stack([np.asarray(Image.open(path)) for path in images.paths]) / 255
    plain = pixels.mean((1, 3))
    told: list[int] = []
    resources = Resources(progress=lambda _, done, __: told.append(done))
    for flip, wanted in ((False, plain), (True, (plain + plain[:, ::-1]) / 2)):
        extractor = Extractor(Columns(), flip_average=flip)
        got = np.concatenate([*blocks(extractor, images, (8, 6), batch=batch, resources=resources)])
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        rest = np.concatenate([*blocks(extractor, images, (8, 6), start=2, batch=batch)])
        assert np.array_equal(rest, got[2:])
    assert told[-1] == 5


def test_pixels_are_rgb_from_0_to_1() -> None:
    raw = np.zeros((1, 2, 2, 3), np.uint8)
    raw[0, 1, 0, 2] = 255
    tensor = to_tensor(raw)
    assert tensor.dtype == torch.float32
    assert tensor[0, 2, 1, 0] == tensor.sum() == 1
