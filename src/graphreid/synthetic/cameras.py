"""Cameras of the synthetic set (background, light, colour, sharpness, noise) and occluders.

The properties of the cameras are spread evenly over their ranges and assigned by the seed, so that
a few cameras differ as much as many. Everything here is elementwise in the images of a batch, as in
`bodies`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy.typing import NDArray

from graphreid.seeding import generator
from graphreid.synthetic.difficulty import Difficulty
from graphreid.synthetic.textures import PALETTE

SCENE = (160, 480)
"""Rows and columns of a camera's background; an image shows a window of it."""
_DEAL, _PLACE, _NOISE = range(201, 204)  # keys of the generators
_NOISE_SIZE = 1 << 20

Floats = NDArray[np.floating[Any]]
Block = Float32[np.ndarray, " b"]


@dataclass(frozen=True, eq=False)
class Cameras:
    """`c` cameras.

    Attributes:
        elevation: radians above the horizontal.
        light: [3, c], direction to the light: rightwards, upwards, towards the camera; length 1.
        diffuse: fraction of the light that is directional, in [0, 1].
        gain: [3, c], factors of red, green, blue: exposure and white balance.
        contrast, saturation: factors; 1 changes nothing.
        blur: weight of each neighbour in a three-tap filter, applied twice along rows and columns.
        coarse: pixels per sample of the sensor; 1 is full resolution.
        noise: standard deviation as a fraction of full scale.
        scenes: [3, c, rows, columns], the background, colours in [0, 1].
    """

    elevation: Float64[np.ndarray, " c"]
    light: Float32[np.ndarray, "3 c"]
    diffuse: Float32[np.ndarray, " c"]
    gain: Float32[np.ndarray, "3 c"]
    contrast: Float32[np.ndarray, " c"]
    saturation: Float32[np.ndarray, " c"]
    blur: Float32[np.ndarray, " c"]
    coarse: Float64[np.ndarray, " c"]
    noise: Float32[np.ndarray, " c"]
    scenes: Float32[np.ndarray, "3 c rows columns"]

    def __len__(self) -> int:
        return len(self.elevation)


@dataclass(frozen=True, eq=False)
class Occluders:
    """The object that hides a part of the figure, in each of `b` images; lengths in pixels.

    Attributes:
        kind: -1 none, 0 pole, 1 crate, 2 hedge, 3 railing, 4 another figure.
        left, right, top: edges of the covered region, which reaches down to the image's lower edge.
        colour: [3, b].
    """

    kind: Int64[np.ndarray, " b"]
    left: Block
    right: Block
    top: Block
    colour: Float32[np.ndarray, "3 b"]

    def take(self, rows: NDArray[np.intp]) -> "Occluders":
        """The occluders of the images `rows`."""
        return Occluders(
            self.kind[rows], self.left[rows], self.right[rows], self.top[rows], self.colour[:, rows]
        )


def draw_cameras(seed: int, count: int, difficulty: Difficulty) -> Cameras:
    """Draw `count` cameras at random, the same ones for the same seed, count and difficulty."""
    rng = generator(seed, _DEAL, count)

    def spread(low: float, high: float) -> NDArray[np.float64]:
        return low + (high - low) * (rng.permutation(count) + rng.uniform(0.3, 0.7, count)) / count

    strength = difficulty.light
    elevation = np.radians(spread(4.0, 30.0))
    side = np.radians(spread(-65.0, 65.0))
    up = np.radians(spread(25.0, 60.0))
    light = np.stack([np.sin(side) * np.cos(up), np.sin(up), np.cos(side) * np.cos(up)])
    warm, tint, exposure = (strength * spread(-1.0, 1.0) for _ in range(3))
    balance = np.stack([1 + 0.20 * warm, 1 + 0.06 * tint, 1 - 0.20 * warm]) * 2 ** (0.55 * exposure)
    return Cameras(
        elevation=elevation,
        light=light.astype(np.float32),
        diffuse=(0.45 + 0.3 * strength * spread(-1.0, 1.0)).astype(np.float32),
        gain=balance.astype(np.float32),
        contrast=(1 + 0.22 * strength * spread(-1.0, 1.0)).astype(np.float32),
        saturation=(0.88 + 0.27 * strength * spread(-1.0, 1.0)).astype(np.float32),
        blur=spread(0.08, 0.08 + 0.08 * difficulty.coarse).astype(np.float32),
        coarse=np.maximum(1, spread(2 - difficulty.coarse, difficulty.coarse)),
        noise=(spread(1.0, difficulty.noise) / 255).astype(np.float32),
        scenes=np.stack(
            [
                _scene(generator(seed, _PLACE, i), angle, difficulty.clutter)
                for i, angle in enumerate(elevation)
            ],
            1,
        ),
    )


def background_windows(
    scenes: Float32[np.ndarray, "3 c rows columns"],
    camera: Int64[np.ndarray, " b"],
    row: Int64[np.ndarray, " b"],
    column: Int64[np.ndarray, " b"],
    size: tuple[int, int],
) -> Float32[np.ndarray, "3 b h w"]:
    """The window of the camera's background that each image shows.

    Args:
        scenes: backgrounds of all cameras.
        camera: index of each image's camera.
        row: first row of the window.
        column: first column of the window; columns wrap at the scene's end.
        size: (rows, columns) of the window.
    """
    rows, columns = scenes.shape[2:]
    y = (row[:, None] + np.arange(size[0])) % rows
    x = (column[:, None] + np.arange(size[1])) % columns
    index = ((camera[:, None] * rows + y) * columns)[:, :, None] + x[:, None, :]
    flat = scenes.reshape(3, -1)
    return np.stack([flat[channel].take(index) for channel in range(3)])


def cast_shadow(
    canvas: Float32[np.ndarray, "3 b h w"], centre: Block, soles: Block, half: Block, slant: Block
) -> None:
    """Darken the ground at the figures' feet, in place.

    Args:
        canvas: the images.
        centre: column of each shadow's middle, in pixels.
        soles: row of the figure's soles, in pixels.
        half: half the shadow's width, in pixels.
        slant: tangent of the camera's elevation.
    """
    rows, columns = canvas.shape[2:]
    depth = half * (slant * np.float32(0.8) + np.float32(0.15))
    low = int(np.floor((soles - depth).min()))
    high = int(np.ceil((soles + depth).max()))
    window = slice(max(0, low), max(0, min(rows, high)))
    y = (np.arange(rows, dtype=np.float32)[window] + np.float32(0.5) - soles[:, None]) / depth[
        :, None
    ]
    x = (np.arange(columns, dtype=np.float32) + np.float32(0.5) - centre[:, None]) / half[:, None]
    dark = 1 - np.float32(0.55) * np.clip(1 - (y * y)[:, :, None] - (x * x)[:, None, :], 0, 0.6)
    canvas[:, :, window] *= dark


def occlude(
    canvas: Float32[np.ndarray, "3 b h w"], mask: UInt8[np.ndarray, "b h w"], occluders: Occluders
) -> None:
    """Draw the occluders over the figures, in place, and set the pixels that they hide to 0 in the
    mask.
    """
    rows, columns = canvas.shape[2:]
    for kind in range(5):
        who = np.flatnonzero(occluders.kind == kind)
        if not len(who):
            continue
        y = np.arange(rows, dtype=np.float32)[None, :, None] + np.float32(0.5)
        x = np.arange(columns, dtype=np.float32)[None, None, :] + np.float32(0.5)
        left, right, top = (
            values[who, None, None] for values in (occluders.left, occluders.right, occluders.top)
        )
        cover, shade = _thing(kind, y, x, left, right, top)
        hidden = cover > 0.5
        mask[who] = np.where(hidden, np.uint8(0), mask[who])
        for channel in range(3):
            seen = canvas[channel, who]
            canvas[channel, who] = seen + cover * (
                occluders.colour[channel, who, None, None] * shade - seen
            )


def expose(
    canvas: Float32[np.ndarray, "3 b h w"],
    taken_by: Cameras,
    camera: Int64[np.ndarray, " b"],
    exposure: Block,
    noise: Float32[np.ndarray, " size"],
    offset: Int64[np.ndarray, " b"],
) -> UInt8[np.ndarray, "b h w 3"]:
    """Turn colours into 8-bit images: gain, saturation, contrast, blur, resolution and noise.

    Args:
        canvas: colours, about [0, 1]; overwritten.
        taken_by: all cameras.
        camera: index of each image's camera.
        exposure: factor of each image's brightness.
        noise: standard normal numbers (`noise_bank`).
        offset: index in `noise` at which each image's noise starts.
    """
    _, images, rows, columns = canvas.shape

    def each(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values[camera][:, None, None]

    canvas *= (taken_by.gain[:, camera] * exposure)[:, :, None, None]
    grey = canvas[0] * np.float32(0.3)
    grey += canvas[1] * np.float32(0.59)
    grey += canvas[2] * np.float32(0.11)
    saturation = each(taken_by.saturation)
    contrast = each(taken_by.contrast)
    canvas *= saturation
    canvas += grey * (1 - saturation)
    canvas -= np.float32(0.45)
    canvas *= contrast
    canvas += np.float32(0.45)
    canvas = _blur(canvas, each(taken_by.blur))
    coarse = np.flatnonzero(taken_by.coarse[camera] > 1)
    if len(coarse):
        canvas[:, coarse] = _coarse(canvas[:, coarse], taken_by.coarse[camera[coarse]])
    size = 3 * rows * columns
    grain = np.stack([noise[start : start + size] for start in offset.tolist()]).reshape(
        images, 3, rows, columns
    )
    canvas += np.moveaxis(grain, 1, 0) * each(taken_by.noise)
    np.clip(canvas, 0, 1, out=canvas)
    canvas *= np.float32(255)
    canvas += np.float32(0.5)
    return np.ascontiguousarray(np.moveaxis(canvas.astype(np.uint8), 0, 3))


def noise_bank(seed: int, pixels: int) -> Float32[np.ndarray, " size"]:
    """Standard normal numbers from which images take their noise.

    Args:
        seed: of the draw.
        pixels: height times width of an image; it takes 3 * pixels numbers from any offset in
            [0, NOISE_STARTS).
    """
    return generator(seed, _NOISE).standard_normal(_NOISE_SIZE + 3 * pixels, np.float32)


NOISE_STARTS = _NOISE_SIZE


def _blur(canvas: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    for _ in range(2):
        for axis in (2, 3):
            inner: list[slice] = [slice(None)] * 4
            before = list(inner)
            after = list(inner)
            inner[axis] = slice(1, -1)
            before[axis] = slice(None, -2)
            after[axis] = slice(2, None)
            blurred = canvas.copy()
            middle = canvas[tuple(before)] + canvas[tuple(after)]
            middle -= canvas[tuple(inner)] * np.float32(2)
            middle *= weight
            blurred[tuple(inner)] += middle
            canvas = blurred
    return canvas


def _coarse(canvas: NDArray[np.float32], pitch: NDArray[np.float64]) -> NDArray[np.float32]:
    """Samples of `pitch` pixels each, smoothed a little."""
    rows, columns = canvas.shape[2:]

    def sampled(length: int) -> NDArray[np.int64]:
        samples = np.floor((np.arange(length) + 0.5) / pitch[:, None])
        return np.minimum(((samples + 0.5) * pitch[:, None]).astype(np.int64), length - 1)

    image = np.arange(len(pitch))[:, None] * rows + sampled(rows)
    index = (image * columns)[:, :, None] + sampled(columns)[:, None, :]
    found = np.stack([channel.reshape(-1).take(index) for channel in canvas])
    return _blur(found, np.full((1, 1, 1), 0.22, np.float32))


def _thing(
    kind: int,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    top: NDArray[np.float32],
) -> tuple[Floats, Floats]:
    """How far an occluder covers each pixel, and its shade."""
    half = (right - left) / 2
    middle = (left + right) / 2
    u = (x - middle) / half
    across = np.clip((1 - np.abs(u)) * half + 0.5, 0, 1)
    down = np.clip(y - top + np.float32(0.5), 0, 1)
    round_ = np.sqrt(np.maximum(1 - u * u, 0.04))
    if kind == 0:  # pole, round, with a paler band every so often
        band = np.floor((y - top) / 14) % 3 == 0
        return across * down, (np.float32(0.45) + np.float32(0.6) * round_) * np.where(
            band, np.float32(1.35), 1
        )
    if kind == 1:  # crate, of boards with dark gaps and a lit upper edge
        gap = np.modf((y - top) / 9)[0] < 0.16
        shade = np.where(gap, np.float32(0.5), np.float32(0.95)) + np.where(
            y - top < 2.5, np.float32(0.25), 0
        )
        return across * down, shade * np.ones_like(u)
    if kind == 2:  # hedge, with a bumpy upper edge and leaves
        bump = np.abs(np.modf(x / 11)[0] - 0.5) * 9 + np.abs(np.modf(x / 4.3)[0] - 0.5) * 3
        leaf = np.floor(x / 3) * 7 + np.floor((y - top) / 3) * 13
        return across * np.clip(y - top - bump + 0.5, 0, 1), np.float32(0.7) + (
            leaf % 5
        ) * np.float32(0.13)
    if kind == 3:  # railing: bars with gaps, and a rail above them
        bars = np.modf((x - left) / 7)[0] < 0.38
        rail = (y - top < 4) | ((y - top > 30) & (y - top < 33))
        return across * down * (bars | rail), np.where(
            rail, np.float32(1.1), np.float32(0.85)
        ) * np.ones_like(u)
    # somebody else, a peg: round shoulders under a head
    head = np.clip(
        (1 - np.sqrt((u / 0.62) ** 2 + ((y - top) / (half * 0.62) - 1) ** 2)) * half + 0.5, 0, 1
    )
    shoulder = top + half * (np.float32(2.05) - round_ * np.float32(0.9))
    body = across * np.clip(y - shoulder + 0.5, 0, 1)
    paler = np.where(y < top + half * 1.25, np.float32(1.3), np.float32(0.95))
    return np.maximum(head, body), (np.float32(0.35) + np.float32(0.65) * round_) * paler


def _scene(rng: np.random.Generator, elevation: float, clutter: int) -> NDArray[np.float32]:
    """A background [3, rows, columns]: a wall, a floor of tiles that grow towards the camera, and
    things before the wall.
    """
    rows, columns = SCENE
    y = np.arange(rows)[:, None] + 0.5
    x = np.arange(columns)[None, :] + 0.5
    foot = 16 + rows * (0.56 - 0.62 * elevation)  # the row where wall and floor meet
    tone = rng.uniform(0.35, 0.75)
    wall = tone + 0.12 * (PALETTE[rng.integers(len(PALETTE))] - 0.5)
    floor = rng.uniform(0.4, 0.7) + 0.1 * (PALETTE[rng.integers(len(PALETTE))] - 0.5)
    scene = np.empty((rows, columns, 3))
    scene[:] = np.where((y < foot)[..., None], wall, floor)
    course = int(rng.integers(7, 13))
    shifted = x + np.where(np.floor(y / course) % 2 == 1, course, 0)
    joint = (np.modf(y / course)[0] < 0.14) | (np.modf(shifted / (2 * course))[0] < 0.07)
    scene[joint & (y < foot)] *= rng.uniform(0.8, 0.94)
    depth = np.maximum(y - foot, 1) + 8
    tile = np.floor(900 / depth / rng.uniform(5, 9)) + np.floor(
        (x - columns / 2) * 24 / depth / rng.uniform(9, 15)
    )
    scene[(tile % 2 == 1) & (y >= foot)] *= rng.uniform(0.84, 0.95)
    scene *= (0.8 + 0.25 * y / rows)[..., None]
    for _ in range(clutter):
        _add(scene, rng, foot)
    scene *= 1 + rng.normal(0, 0.02, (rows, columns, 1))
    return np.moveaxis(np.clip(scene, 0, 1), 2, 0).astype(np.float32)


def _add(scene: NDArray[np.float64], rng: np.random.Generator, foot: float) -> None:
    """One thing before the wall or on it: a poster, a crate, a bollard, a bush, a window."""
    rows, columns = scene.shape[:2]
    kind = int(rng.integers(5))
    colour = 0.55 * PALETTE[rng.integers(len(PALETTE))] + 0.45 * rng.uniform(0.3, 0.6)
    width, height = [(18, 26), (30, 26), (9, 46), (40, 30), (26, 40)][kind] * rng.uniform(
        0.7, 1.5, 2
    )
    left = rng.uniform(0, columns)
    base = (
        foot + rng.uniform(-0.1, 0.5) * (rows - foot)
        if kind in (1, 2, 3)
        else foot - rng.uniform(10, 45)
    )
    y = np.arange(rows)[:, None] + 0.5
    x = (np.arange(columns)[None, :] + 0.5 - left) % columns
    u = x / width * 2 - 1
    v = (y - base + height) / height * 2 - 1
    box = (np.abs(u) < 1) & (np.abs(v) < 1)
    if kind == 3:
        wave = 0.25 * np.sin(x * 0.9) * np.sin(y * 0.7)
        box = (u * u + v * v < 1 + wave) & (y < base)
        scene[box] = (colour * (0.4, 0.9, 0.4) * (0.8 + wave[..., None]))[box]
        return
    shade = np.broadcast_to(
        np.sqrt(np.maximum(1 - u * u, 0.1))
        if kind == 2
        else 1 - 0.15 * (np.modf(np.abs(v) * 2)[0] < 0.15),
        box.shape,
    )
    scene[box] = (colour * shade[..., None])[box]
    if kind in (0, 4):
        frame = box & ((np.abs(u) > 0.84) | (np.abs(v) > 0.9) | ((np.abs(u) < 0.06) & (kind == 4)))
        scene[frame] *= 0.6
