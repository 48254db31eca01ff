import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from graphreid.synthetic import bodies as figures
from graphreid.synthetic.bodies import (
    CARRY,
    HEAD,
    LOWER,
    PARTS,
    SHOES,
    UPPER,
    Body,
    Painter,
    Poses,
    draw_figures,
)
from graphreid.synthetic.textures import BINS, CHOICES, HALF, ROWS, Designs, draw_designs
from tests.references.turned_body import texel

SIZE = (128, 64)


def poses(azimuth: list[float], slant: float = 0.2) -> Poses:
    """Figures in the middle of the image, lit from everywhere."""
    count = len(azimuth)

    def all_(value: float) -> NDArray[np.float32]:
        return np.full(count, value, np.float32)

    light = np.zeros((3, count), np.float32)
    light[2] = 1
    degrees = np.radians(np.array(azimuth)).astype(np.float32)
    return Poses(degrees, all_(0), all_(8), all_(108), all_(32), all_(slant), light, all_(0))


def dressed(carried: int = -1) -> NDArray[np.int64]:
    """Choices with design 0 at the front of each part and design 1 at its back."""
    outfit = dict.fromkeys(CHOICES, 0)
    outfit |= {name: 1 for name in CHOICES if name.endswith("back")} | {"carried": carried}
    return np.array([list(outfit.values())])


def two_coloured() -> Designs:
    """Design 0 is red, design 1 blue; carried objects are green."""
    designs = draw_designs(0)
    for textures in (designs.head, designs.upper, designs.sleeve, designs.lower):
        textures[0], textures[1] = (1, 0, 0), (0, 0, 1)
    designs.wood[0] = 0, 1, 0
    designs.carried[:] = 0, 1, 0
    return designs


def paint(
    azimuth: list[float], outfit: NDArray[np.int64], designs: Designs
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    count = len(azimuth)
    canvas, mask = np.zeros((3, count, *SIZE), np.float32), np.zeros((count, *SIZE), np.uint8)
    draw_figures(
        canvas, mask, poses(azimuth), outfit.repeat(count, 0), np.ones(count, np.float32), designs
    )
    return canvas, mask


def test_front_and_back_differ_and_the_sides_show_half_of_each() -> None:
    canvas, mask = paint([0, 90, 180, 270], dressed(), two_coloured())
    red, blue = canvas[0] > canvas[2] + 0.1, canvas[2] > canvas[0] + 0.1
    for label in (HEAD, UPPER, LOWER):
        shown = mask == label
        share = (red & shown).sum((1, 2)) / ((red | blue) & shown).sum((1, 2))
        assert share[0] > 0.99, PARTS[label]
        assert share[2] < 0.01, PARTS[label]
        assert share[[1, 3]] == pytest.approx(0.5, abs=0.15), PARTS[label]
    # seen from its left, the figure looks to the left of the image
    left, right = slice(0, 32), slice(32, 64)
    assert red[1, :, left].sum() > 3 * red[1, :, right].sum()
    assert red[3, :, right].sum() > 3 * red[3, :, left].sum()


def test_a_backpack_is_seen_from_the_back_only_and_a_parcel_from_the_front() -> None:
    designs = two_coloured()
    areas = {}
    for name in ("backpack", "parcel"):
        kind = int(np.flatnonzero(designs.kind == figures.CARRIED.index(name))[0])
        _, mask = paint([0, 180], dressed(kind), designs)
        areas[name] = (mask == CARRY).sum((1, 2))
    assert areas["backpack"][1] > 200
    assert areas["backpack"][0] < 0.05 * areas["backpack"][1]
    assert areas["parcel"][0] > 200
    assert areas["parcel"][1] < 0.2 * areas["parcel"][0]
    assert not (paint([0, 180], dressed(-1), designs)[1] == CARRY).any()


def test_parts_stand_one_above_the_other() -> None:
    _, mask = paint([0, 40, 130, 200], dressed(), draw_designs(3))
    rows = np.arange(SIZE[0])[:, None]
    shown = [mask == label for label in (HEAD, UPPER, LOWER, SHOES)]
    middle = [(part * rows).sum((1, 2)) / part.sum((1, 2)) for part in shown]
    for above, below in itertools.pairwise(middle):
        assert (below - above > 8).all()
    assert mask.max() < len(PARTS)


def test_a_figure_does_not_depend_on_its_batch() -> None:
    designs = draw_designs(1)
    outfits = np.array(
        [[3, 4, 5, 6, 7, 8, 9, 10], [30, 30, 50, 60, 7, 7, 1, -1], [3, 4, 5, 6, 7, 8, 9, 11]]
    )
    pose = poses([10, 100, 250])
    girth = np.array([0.9, 1.0, 1.1], np.float32)
    canvas, mask = np.zeros((3, 3, *SIZE), np.float32), np.zeros((3, *SIZE), np.uint8)
    draw_figures(canvas, mask, pose, outfits, girth, designs)
    for i in range(3):
        alone = Poses(*(getattr(pose, name)[..., i : i + 1] for name in Poses.__dataclass_fields__))
        canvas1, mask1 = np.zeros((3, 1, *SIZE), np.float32), np.zeros((1, *SIZE), np.uint8)
        draw_figures(canvas1, mask1, alone, outfits[i : i + 1], girth[i : i + 1], designs)
        np.testing.assert_array_equal(canvas1[:, 0], canvas[:, i])
        np.testing.assert_array_equal(mask1[0], mask[i])


@pytest.mark.parametrize("azimuth", [0.0, 33.0, 90.0, 200.0, 355.0])
def test_a_body_shows_the_texels_of_the_reference(azimuth: float) -> None:
    rng = np.random.default_rng(0)
    textures = rng.random((3, 1, sum(ROWS.values()), BINS), np.float32)
    canvas, mask = np.full((3, 1, *SIZE), -1, np.float32), np.zeros((1, *SIZE), np.uint8)
    pose = poses([azimuth], slant=0.3)
    cylinder = Body(UPPER, "upper", np.ones(65), 0.25, 0.6, 0.15, 0.15)
    Painter(canvas, mask, pose, textures, np.zeros(1, np.intp)).paint(cylinder)
    first = ROWS["head"]
    checked = agreed = 0
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            seen = texel(
                column + 0.5,
                row + 0.5,
                azimuth=np.radians(azimuth),
                centre=32,
                top=8 + 0.25 * 108,
                rows=0.35 * 108,
                radius=0.15 * 108,
                slant=0.3,
                bins=BINS,
                texture_rows=ROWS["upper"],
            )
            inside = canvas[:, 0, row, column] >= 0
            if seen is None:
                assert (
                    mask[0, row, column] == 0 or np.abs(column - 31.5) > 14
                )  # within a pixel of the edge
                continue
            if mask[0, row, column] and inside.all():
                offset = abs(column + 0.5 - 32) / (0.15 * 108)
                shade = 0.75 + 0.3 * np.sqrt(1 - offset * offset)
                expected = textures[:, 0, first + seen[0], seen[1]] * shade
                checked += 1
                agreed += np.allclose(canvas[:, 0, row, column], expected, atol=1e-3)
    assert checked > 800
    # azimuths are added in sixteenths of a bin: at a bin's border its neighbour may be taken
    assert agreed > 0.9 * checked


def test_halves_meet_at_the_sides() -> None:
    assert HALF * 2 == BINS
