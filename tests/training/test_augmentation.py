import numpy as np
import pytest
import torch

from graphreid.seeding import generator
from graphreid.training.augmentation import AREA, ASPECT, erase, flip, pad_crop


def some(count: int = 64, height: int = 20, width: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)) + 1


def test_flip_mirrors_about_half():
    pixels = some(400)
    flipped = flip(pixels, generator(0))
    same = (flipped == pixels).flatten(1).all(1)
    mirrored = (flipped == pixels.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250
    assert torch.equal(flip(pixels, generator(0), 0.0), pixels)
    assert torch.equal(flip(pixels, generator(0), 1.0), pixels.flip(3))


@pytest.mark.parametrize("padding", ["zeros", "edge"])
def test_pad_crop_is_a_window_of_the_padded_image(padding: str):
    pixels, pad = some(), 3
    height, width = pixels.shape[2:]
    cropped = pad_crop(pixels, generator(1), pad, padding)  # type: ignore[arg-type]
    padded = torch.nn.functional.pad(
        pixels, (pad,) * 4, mode="constant" if padding == "zeros" else "replicate"
    )
    seen: set[tuple[int, int]] = set()
    for image, whole in zip(cropped, padded, strict=True):
        places = [
            (y, x)
            for y in range(2 * pad + 1)
            for x in range(2 * pad + 1)
            if torch.equal(image, whole[:, y : y + height, x : x + width])
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) > 25
    assert {y for y, _ in seen} == {x for _, x in seen} == set(range(2 * pad + 1))


def test_pad_of_nothing_changes_nothing():
    pixels = some()
    assert torch.equal(pad_crop(pixels, generator(0), 0), pixels)


def test_erase_fills_one_rectangle_of_the_published_sizes():
    pixels, fill = some(2000, 40, 20), torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    erased = erase(pixels, generator(2), 0.5, fill)
    hole = (erased != pixels).all(1)
    hit = hole.flatten(1).any(1)
    assert 900 < hit.sum() < 1100
    assert torch.equal(erased[~hit], pixels[~hit])
    areas, ratios = [], []
    for image, mask in zip(erased[hit], hole[hit], strict=True):
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert mask.sum() == tall * wide
        assert torch.equal(image[:, mask], fill.flatten()[:, None].expand(3, tall * wide))
        areas.append(tall * wide / 800)
        ratios.append(tall / wide)
    assert min(areas) > AREA[0] - 0.01
    assert max(areas) < AREA[1] + 0.05
    assert min(ratios) > ASPECT[0] * 0.7
    assert max(ratios) < ASPECT[1] * 1.4
    assert hole[hit].any(0).all()  # every pixel is erased in some image


def test_erase_none_and_all():
    pixels = some(100)
    assert torch.equal(erase(pixels, generator(0), 0.0), pixels)
    assert (erase(pixels, generator(0), 1.0) == 0).flatten(1).any(1).all()


def test_the_same_draw_gives_the_same_images():
    pixels = some()

    def all_of(seed: int) -> torch.Tensor:
        draw = generator(seed, 3, 4)
        return erase(pad_crop(flip(pixels, draw), draw, 2), draw)

    assert torch.equal(all_of(0), all_of(0))
    assert not torch.equal(all_of(0), all_of(1))
    assert np.isfinite(all_of(0).numpy()).all()
