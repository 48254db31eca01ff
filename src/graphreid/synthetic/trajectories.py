"""Who is seen when, where and how in the synthetic set: a row an image, before anything is
drawn.
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
LONG = 6
"""A visit to a camera of this many images or more is two tracks."""


@dataclass(frozen=True, eq=False)
class Views:
    """`n` moments at which an identity is seen; junk too.

    Attributes:
        identity: whom it shows.
        camera: index.
        number: of the image among the identity's in this camera.
        track, step: the track's number among the identity's in this camera; the image's in the
            track.
        time: seconds.
        azimuth: radians.
        stride: see `figures.Poses`.
        column: where the window of the camera's background starts.
        exposure: factor.
        query: whether it is the query of its identity and camera.
        role: types.NORMAL, JUNK or DISTRACTOR.
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
    """How each image is cut; lengths in pixels.

    Attributes:
        row: where the window of the camera's background starts.
        top, height, centre: of the figure in the image; parts of it may lie outside.
        noise: start in the noise bank.
        things: what stands before the figure.
    """

    row: Int64[np.ndarray, " n"]
    top: Float32[np.ndarray, " n"]
    height: Float32[np.ndarray, " n"]
    centre: Float32[np.ndarray, " n"]
    noise: Int64[np.ndarray, " n"]
    things: Occluders


def walk(
    seed: int,
    identities: NDArray[np.int64],
    images: int,
    among: tuple[int, int],
    cameras: int,
    level: Difficulty,
    role: int,
) -> Views:
    """Each identity walks past some cameras; as it passes, the view of it turns.

    Args:
        seed: of everything.
        identities: who.
        images: of each, over all cameras.
        among: least and greatest number of cameras that see it.
        cameras: how many there are.
        level: how far the view of an identity changes from one camera to the next.
        role: of all these images.
    """
    found = [
        _walk(generator(seed, _VISIT, k), k, images, among, cameras, level, role)
        for k in identities.tolist()
    ]
    return join(found)


def join(views: list[Views]) -> Views:
    """All views, one after the other."""
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
    level: Difficulty,
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
        lengths = [count] if count < LONG else [count // 2, count - count // 2]
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
                    exposure=np.full(length, 2 ** (0.18 * level.light * rng.standard_normal())),
                    query=(number == query) & (role == NORMAL),
                    role=np.full(length, role),
                )
            )
            start += length
            now += rng.uniform(60, 600)
            heading += np.radians(level.wander) * rng.standard_normal()
    return join(parts)


def badly_cut(seed: int, count: int, identities: NDArray[np.int64], cameras: int) -> Views:
    """`count` junk images of any of `identities`, by any of so many `cameras`; `number` counts
    them.
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


def frame(seed: int, views: Views, level: Difficulty, size: tuple[int, int]) -> Frames:
    """How each of the images is cut, `size` = (rows, columns) each."""
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
    zoom = level.zoom[0] + (level.zoom[1] - level.zoom[0]) * chance[0]
    # what does not fit into the image is cut off below, less often above
    anchor = np.where(zoom < 1, 0.5, np.where(chance[1] < 0.7, 0.0, 1.0))
    top = (1 - zoom) * anchor + level.shift * normal[0]
    centre = 0.5 + 2 * level.shift * normal[1]
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
        things=_things(chance[8:12], normal[2], top, height, centre, level, rows),
    )


def _things(
    chance: NDArray[np.float64],
    normal: NDArray[np.float64],
    top: NDArray[np.float64],
    height: NDArray[np.float64],
    centre: NDArray[np.float64],
    level: Difficulty,
    rows: int,
) -> Occluders:
    # one number decides whether there is one and which
    there = chance[0] < level.occluded
    kind = (chance[0] / max(level.occluded, 1e-9) * 5).astype(np.int64)
    kind = np.where(there, np.minimum(kind, 4), -1)
    cover = level.cover[0] + (level.cover[1] - level.cover[0]) * chance[1]
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
