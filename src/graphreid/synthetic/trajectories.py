"""Trajectories of the synthetic set: which camera sees which identity, when and from which side.

A row is an image; nothing is drawn here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numpy.typing import NDArray

from graphreid.seeding import generator
from graphreid.synthetic.cameras import NOISE_STARTS, SCENE, Occluders
from graphreid.synthetic.difficulty import Difficulty
from graphreid.synthetic.textures import PALETTE
from graphreid.types import JUNK, NORMAL

_VISIT, _IMAGE, _JUNK = range(301, 304)  # keys of the generators
LONG_VISIT = 6
"""A visit of this many images or more is cut into two tracks."""


@dataclass(frozen=True, eq=False)
class Views:
    """The views of a set: `n` moments at which a camera sees an identity.

    Attributes:
        identity: the identity seen.
        camera: index of the camera.
        number: index of the image among those of its identity and camera.
        track: index of the track among those of its identity and camera.
        step: index of the image in its track.
        time: of day, in seconds.
        azimuth: radians.
        stride: see `bodies.Poses`.
        column: first column of the window of the camera's background.
        exposure: factor of brightness.
        query: whether it is the query of its identity and camera.
        role: `types.NORMAL`, `JUNK` or `DISTRACTOR`.
    """

    identity: Int64[np.ndarray, " n"]
    camera: Int64[np.ndarray, " n"]
    number: Int64[np.ndarray, " n"]
    track: Int64[np.ndarray, " n"]
    step: Int64[np.ndarray, " n"]
    time: Float64[np.ndarray, " n"]
    azimuth: Float64[np.ndarray, " n"]
    stride: Float64[np.ndarray, " n"]
    column: Float64[np.ndarray, " n"]
    exposure: Float64[np.ndarray, " n"]
    query: Bool[np.ndarray, " n"]
    role: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.identity)


@dataclass(frozen=True, eq=False)
class Frames:
    """How each image is cropped; lengths in pixels.

    Attributes:
        row: first row of the window of the camera's background.
        top, height, centre: position of the figure in the image (first row, number of rows, middle
            column); parts of it may lie outside.
        noise: offset into the noise bank.
        occluders: the object in front of each figure.
    """

    row: Int64[np.ndarray, " n"]
    top: Float32[np.ndarray, " n"]
    height: Float32[np.ndarray, " n"]
    centre: Float32[np.ndarray, " n"]
    noise: Int64[np.ndarray, " n"]
    occluders: Occluders


def simulate_visits(
    seed: int,
    identities: NDArray[np.int64],
    images: int,
    among: tuple[int, int],
    cameras: int,
    difficulty: Difficulty,
    role: int,
) -> Views:
    """The views of identities that walk past some of the cameras, turning as they pass.

    Args:
        seed: of all random numbers.
        identities: the identities, positive.
        images: number of images of each, over all cameras.
        among: smallest and largest number of cameras that see an identity.
        cameras: number of cameras.
        difficulty: how much the azimuth changes from one camera to the next, and the light.
        role: role of all these images.
    """
    found = [
        _walk(generator(seed, _VISIT, k), k, images, among, cameras, difficulty, role)
        for k in identities.tolist()
    ]
    return concatenate(found)


def concatenate(views: list[Views]) -> Views:
    """All views in one, in order."""
    names = Views.__dataclass_fields__
    return Views(
        **{name: np.concatenate([getattr(view, name) for view in views]) for name in names}
    )


def _walk(
    rng: np.random.Generator,
    identity: int,
    images: int,
    among: tuple[int, int],
    cameras: int,
    difficulty: Difficulty,
    role: int,
) -> Views:
    seen_by = int(rng.integers(among[0], among[1] + 1))
    route = rng.permutation(cameras)[:seen_by]
    now = rng.uniform(8, 18) * 3600
    heading = rng.uniform(0, 2 * np.pi)
    parts: list[Views] = []
    for position, camera in enumerate(route.tolist()):
        count = images // seen_by + (position < images % seen_by)
        query = int(rng.integers(count))
        lengths = [count] if count < LONG_VISIT else [count // 2, count - count // 2]
        start = 0
        for track, length in enumerate(lengths):
            turn = np.radians(rng.uniform(40, 100)) * rng.choice([-1, 1])
            along = np.linspace(-0.5, 0.5, length) if length > 1 else np.zeros(1)
            step = np.arange(length)
            number = start + step
            parts.append(
                Views(
                    identity=np.full(length, identity),
                    camera=np.full(length, camera),
                    number=number,
                    track=np.full(length, track),
                    step=step,
                    time=np.round(now + 0.8 * step, 1),
                    azimuth=(heading + turn * along) % (2 * np.pi),
                    stride=np.sin(rng.uniform(0, 2 * np.pi) + 1.3 * step),
                    column=rng.uniform(0, SCENE[1])
                    + rng.uniform(8, 20) * rng.choice([-1, 1]) * step,
                    exposure=np.full(
                        length, 2 ** (0.18 * difficulty.light * rng.standard_normal())
                    ),
                    query=(number == query) & (role == NORMAL),
                    role=np.full(length, role),
                )
            )
            start += length
            now += rng.uniform(60, 600)
            heading += np.radians(difficulty.wander) * rng.standard_normal()
    return concatenate(parts)


def junk_views(seed: int, count: int, identities: NDArray[np.int64], cameras: int) -> Views:
    """Views of badly cropped junk images.

    Args:
        seed: of all random numbers.
        count: number of images; `number` of the views counts them.
        identities: those that they may show.
        cameras: number of cameras.
    """
    rngs = [generator(seed, _JUNK, i) for i in range(count)]
    draws = np.array([rng.random(6) for rng in rngs]).reshape(count, 6)
    return Views(
        identity=identities[(draws[:, 0] * len(identities)).astype(np.int64)],
        camera=(draws[:, 1] * cameras).astype(np.int64),
        number=np.arange(count),
        track=np.zeros(count, np.int64),
        step=np.zeros(count, np.int64),
        time=np.round((8 + 10 * draws[:, 2]) * 3600, 1),
        azimuth=2 * np.pi * draws[:, 3],
        stride=np.sin(2 * np.pi * draws[:, 4]),
        column=SCENE[1] * draws[:, 5],
        exposure=np.ones(count),
        query=np.zeros(count, bool),
        role=np.full(count, JUNK),
    )


def crop_frames(seed: int, views: Views, difficulty: Difficulty, size: tuple[int, int]) -> Frames:
    """Draw at random how each view is cropped to `size` = (rows, columns)."""
    rows, columns = size
    junk = views.role == JUNK
    # an identity's image is known by its camera and number; junk by its number alone
    keys = zip(
        np.where(junk, _JUNK, _IMAGE).tolist(),
        np.where(junk, 0, views.identity).tolist(),
        np.where(junk, 0, views.camera).tolist(),
        views.number.tolist(),
        strict=True,
    )
    drawn = [
        (rng.random(12), rng.standard_normal(3)) for rng in (generator(seed, *key) for key in keys)
    ]
    chance = np.array([pair[0] for pair in drawn]).T
    normal = np.clip(np.array([pair[1] for pair in drawn]).T, -2.5, 2.5)
    zoom = difficulty.zoom[0] + (difficulty.zoom[1] - difficulty.zoom[0]) * chance[0]
    # what does not fit into the image is cut off below, less often above
    anchor = np.where(zoom < 1, 0.5, np.where(chance[1] < 0.7, 0.0, 1.0))
    top = (1 - zoom) * anchor + difficulty.shift * normal[0]
    centre = 0.5 + 2 * difficulty.shift * normal[1]
    # junk: a small piece of the figure fills the image, or most of it lies beside the image
    piece = junk & (chance[2] < 0.5)
    beside = junk & ~piece
    zoom = np.where(piece, 1.9 + chance[3], zoom)
    top = np.where(piece, (1 - zoom) * chance[4], top)
    centre = np.where(piece, 0.2 + 0.6 * chance[5], centre)
    centre = np.where(
        beside, 0.5 + (0.62 + 0.14 * chance[3]) * np.where(chance[4] < 0.5, -1, 1), centre
    )
    top = top * rows
    height = zoom * rows
    centre = centre * columns
    return Frames(
        row=(chance[6] * (SCENE[0] - rows)).astype(np.int64),
        top=top.astype(np.float32),
        height=height.astype(np.float32),
        centre=centre.astype(np.float32),
        noise=(chance[7] * NOISE_STARTS).astype(np.int64),
        occluders=_occluder_shapes(chance[8:12], normal[2], top, height, centre, difficulty, rows),
    )


def _occluder_shapes(
    chance: NDArray[np.float64],
    normal: NDArray[np.float64],
    top: NDArray[np.float64],
    height: NDArray[np.float64],
    centre: NDArray[np.float64],
    difficulty: Difficulty,
    rows: int,
) -> Occluders:
    # one number decides whether there is one and which
    there = chance[0] < difficulty.occluded
    kind = (chance[0] / max(difficulty.occluded, 1e-9) * 5).astype(np.int64)
    kind = np.where(there, np.minimum(kind, 4), -1)
    cover = difficulty.cover[0] + (difficulty.cover[1] - difficulty.cover[0]) * chance[1]
    wide = 0.38 * height  # of a figure with its arms
    side = np.where(chance[2] < 0.5, -1.0, 1.0)
    pole = kind == 0
    peg = kind == 4
    low = (kind >= 1) & (kind <= 3)
    # a pole stands anywhere before it, somebody else covers it from one side, all others cover it
    # from below
    width = np.where(
        pole, cover * wide, np.where(peg, 0.9 * wide, np.where(kind == 1, 1.5 * wide, 400.0))
    )
    middle = (
        centre
        + np.where(pole, 0.25 * wide * normal / 2, 0)
        + np.where(kind == 1, 0.2 * wide * normal / 2, 0)
    )
    middle = np.where(peg, centre + side * (wide / 2 * (1 - 2 * cover) + width / 2), middle)
    upper = np.where(pole, -5.0, np.where(peg, top + (0.05 + 0.3 * chance[2]) * height, top))
    above = np.clip(top, 0, rows)
    below = np.clip(top + height, 0, rows)
    upper = np.where(low, below - cover * (below - above), upper)
    colour = 0.75 * PALETTE[(chance[3] * len(PALETTE)).astype(np.int64)] + 0.12
    colour = np.where((kind == 2)[:, None], colour * 0.3 + np.array([0.12, 0.32, 0.14]), colour)
    return Occluders(
        kind=kind,
        left=(middle - width / 2).astype(np.float32),
        right=(middle + width / 2).astype(np.float32),
        top=upper.astype(np.float32),
        colour=np.ascontiguousarray(colour.T, np.float32),
    )
