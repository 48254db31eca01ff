import numpy as np
import pytest

from graphreid.synthetic.cameras import (
    SCENE,
    Occluders,
    background_windows,
    cast_shadow,
    draw_cameras,
    expose,
    noise_bank,
    occlude,
)
from graphreid.synthetic.difficulty import DIFFICULTIES

SIZE = (128, 64)


def things(kind: int, left: float, right: float, top: float) -> Occluders:
    one = np.ones(1, np.float32)
    return Occluders(
        np.array([kind]), one * left, one * right, one * top, np.full((3, 1), 0.5, np.float32)
    )


@pytest.mark.parametrize("count", [2, 6, 9])
def test_cameras_differ(count: int) -> None:
    found = draw_cameras(0, count, DIFFICULTIES["default"])
    assert len(found) == count
    assert found.scenes.shape == (3, count, *SCENE)
    assert found.scenes.min() >= 0
    assert found.scenes.max() <= 1
    np.testing.assert_allclose(np.square(found.light).sum(0), 1, rtol=1e-5)
    for values in (
        found.elevation,
        found.diffuse,
        found.gain[0],
        found.contrast,
        found.saturation,
        found.blur,
        found.noise,
    ):
        assert len(np.unique(values)) == count
    assert np.ptp(found.gain[0] / found.gain[2]) > 0.1  # white balance
    assert (found.coarse >= 1).all()


def test_a_backdrop_is_a_window_that_goes_on_round() -> None:
    scenes = np.random.default_rng(0).random((3, 2, *SCENE), np.float32)
    found = background_windows(
        scenes, np.array([1, 0]), np.array([5, 0]), np.array([10, SCENE[1] - 20]), SIZE
    )
    np.testing.assert_array_equal(found[:, 0], scenes[:, 1, 5 : 5 + SIZE[0], 10 : 10 + SIZE[1]])
    np.testing.assert_array_equal(found[:, 1, :, :20], scenes[:, 0, : SIZE[0], -20:])
    np.testing.assert_array_equal(found[:, 1, :, 20:], scenes[:, 0, : SIZE[0], : SIZE[1] - 20])


@pytest.mark.parametrize("kind", range(5))
def test_what_is_hidden_leaves_the_mask_and_nothing_else_changes(kind: int) -> None:
    canvas, mask = np.ones((3, 1, *SIZE), np.float32), np.full((1, *SIZE), 2, np.uint8)
    occlude(canvas, mask, things(kind, 20, 50, 40))
    changed = (canvas != 1).any(0)[0]
    hidden = mask[0] == 0
    assert hidden.sum() > 400
    assert changed[hidden].all()
    assert not changed[:38].any()
    assert not changed[:, :19].any()
    assert not changed[:, 51:].any()
    assert set(np.unique(mask)) == {0, 2}


def test_nothing_hides_nothing() -> None:
    canvas, mask = np.ones((3, 1, *SIZE), np.float32), np.full((1, *SIZE), 2, np.uint8)
    occlude(canvas, mask, things(-1, 0, 64, 0))
    assert (canvas == 1).all()
    assert (mask == 2).all()


def test_a_shadow_lies_about_the_feet() -> None:
    canvas = np.ones((3, 1, *SIZE), np.float32)
    one = np.ones(1, np.float32)
    cast_shadow(canvas, 32 * one, 110 * one, 20 * one, 0.3 * one)
    assert canvas[:, 0, 110, 32].max() < 0.75
    assert (canvas[:, 0, :95] == 1).all()
    assert (canvas[:, 0, :, :11] == 1).all()


def test_an_exposure_does_not_depend_on_its_batch() -> None:
    taken_by = draw_cameras(0, 6, DIFFICULTIES["default"])
    seen = np.random.default_rng(0).random((3, 6, *SIZE), np.float32)
    bank = noise_bank(0, SIZE[0] * SIZE[1])
    camera, offset = np.arange(6), np.arange(6) * 1000
    light = np.ones(6, np.float32)
    together = expose(seen.copy(), taken_by, camera, light, bank, offset)
    assert together.dtype == np.uint8
    assert together.shape == (6, *SIZE, 3)
    for i in range(6):
        row = slice(i, i + 1)
        alone = expose(seen[:, row].copy(), taken_by, camera[row], light[row], bank, offset[row])
        np.testing.assert_array_equal(alone[0], together[i])
