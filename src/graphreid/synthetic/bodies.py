"""Draws batches of upright toy figures made of bodies of revolution.

A figure has a head, an upper body with two arms, a carried object, a lower body (two legs, or a
skirt over them) and shoes. Each is a body of revolution about a vertical axis, with an elliptic
cross-section and a texture around its axis. Its visible half is drawn from above at a slant: a
surface point nearer to the camera appears lower. Bodies are painted from far to near.

Every operation is elementwise, so an image is the same to the last bit whatever else is in its
batch.

Figure coordinates: height h in [0, 1] from the crown (0) to the soles (1); lengths are fractions of
the figure's height. Azimuth is the direction from which the camera sees the figure: 0 the front,
+90 degrees its left side, 180 the back.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy.typing import NDArray

from graphreid.synthetic.textures import BINS, CARRIED, CHOICES, ROWS, Designs, atlas

PARTS = ("background", "head", "upper", "carried", "lower", "shoes")
"""Names of the labels 0 to 5 in a part mask."""
HEAD, UPPER, CARRY, LOWER, SHOES = range(1, 6)

_STEPS = 65  # entries of a profile
_T = np.linspace(0, 1, _STEPS)
_ROUND = np.sqrt(np.clip(1 - (2 * _T - 1) ** 2, 0, 1))


def _profile(points: list[tuple[float, float]]) -> NDArray[np.float64]:
    t, radius = np.array(points).T
    return np.interp(_T, t, radius)


_CAP = np.where(
    (_T > 0.28) & (_T < 0.39), 1.2, np.maximum(_ROUND, np.where(_T < 0.34, np.sqrt(_ROUND), 0))
)
_HEADS = np.stack(
    [_ROUND, _CAP, np.maximum(_ROUND, np.where((_T > 0.06) & (_T < 0.36), 1.05 * _ROUND + 0.08, 0))]
)
_TORSO = _profile([(0.0, 0.35), (0.06, 0.7), (0.16, 0.98), (0.3, 1.0), (0.7, 0.86), (1.0, 0.97)])
_ARM = np.minimum(
    1, np.sqrt(np.clip(1 - np.clip(np.abs(2 * _T - 1) - 0.72, 0, 1) ** 2 / 0.28**2, 0, 1))
)
_LEG = _profile([(0.0, 1.0), (0.6, 0.86), (1.0, 0.8)])
_SKIRT = _profile([(0.0, 0.8), (0.3, 0.94), (1.0, 1.32)])
_SHOE = np.sqrt(np.clip(1 - (1 - np.clip(_T / 0.7, 0, 1)) ** 2, 0, 1))
_BAG = np.clip(1 - np.clip(np.abs(2 * _T - 1) - 0.7, 0, 1) ** 2 / 0.3**2 * 0.6, 0, 1)

# of each carried object: forward and leftward offset of its axis, first and last height, half
# widths across and along
_CARRIED = np.array(
    [
        (-0.125, 0.0, 0.27, 0.52, 0.105, 0.075),
        (0.0, 0.205, 0.46, 0.63, 0.05, 0.095),
        (0.0, -0.205, 0.46, 0.63, 0.05, 0.095),
        (0.16, 0.0, 0.35, 0.51, 0.115, 0.065),
        (0.10, 0.0, 0.50, 0.585, 0.10, 0.06),
        (-0.17, 0.10, 0.70, 0.97, 0.085, 0.055),
    ],
    np.float32,
)
assert len(_CARRIED) == len(CARRIED)  # noqa: S101  # two tables of one file each, read together

_FINE = 4  # bits: azimuths are added in sixteenths of a bin
_ARCSINE = np.rint(np.arcsin(np.linspace(-1, 1, 2049)) * ((BINS << _FINE) / (2 * np.pi))).astype(
    np.int64
)

Floats = NDArray[np.floating[Any]]
Block = Float32[np.ndarray, " b"]


@dataclass(frozen=True, eq=False)
class Poses:
    """Pose, position and lighting of each of `b` figures.

    Attributes:
        azimuth: radians.
        stride: in [-1, 1], how far the left leg (and the right arm) is ahead.
        top, height, centre: position of the figure in the image, in pixels (first row, number of
            rows, middle column); parts of it may lie outside.
        slant: tangent of the camera's elevation.
        light: [3, b], direction to the light: rightwards, upwards, towards the camera; length 1.
        diffuse: fraction of the light that is directional, in [0, 1]; the rest is ambient.
    """

    azimuth: Block
    stride: Block
    top: Block
    height: Block
    centre: Block
    slant: Block
    light: Float32[np.ndarray, "3 b"]
    diffuse: Block


@dataclass(frozen=True, eq=False)
class Body:
    """A body of revolution in each of `b` figures; numbers are [b] in figure coordinates."""

    label: int
    texture: str
    profile: NDArray[np.float64]  # [steps] or [b, steps], 1 for the full half width
    first: NDArray[np.float32] | float
    last: NDArray[np.float32] | float
    across: NDArray[np.float32] | float  # half width seen from the front
    along: NDArray[np.float32] | float  # half width seen from the side
    forward: tuple[NDArray[np.float32] | float, NDArray[np.float32] | float] = (
        0.0,
        0.0,
    )  # of the axis, first and last
    left: NDArray[np.float32] | float = 0.0
    shown: NDArray[np.bool_] | None = None


def draw_figures(
    canvas: Float32[np.ndarray, "3 b h w"],
    mask: UInt8[np.ndarray, "b h w"],
    poses: Poses,
    outfit: Int64[np.ndarray, "b choices"],
    girth: Block,
    designs: Designs,
) -> None:
    """Draw `b` figures into their images, and the labels of their parts into the masks, in place.

    Args:
        canvas: colours in [0, 1].
        mask: labels of parts (`PARTS`).
        poses: one for each figure.
        outfit: design indices, as `textures.outfits` gives them.
        girth: width of each figure relative to the average, about 1.
        designs: the designs that `outfit` refers to.
    """
    worn, who = np.unique(outfit, axis=0, return_inverse=True)
    painter = Painter(canvas, mask, poses, atlas(designs, worn), who.reshape(-1))
    for body in _bodies(poses, outfit, girth, designs):
        painter.paint(body)


def _bodies(
    poses: Poses, outfit: NDArray[np.int64], girth: NDArray[np.float32], designs: Designs
) -> list[Body]:
    """The bodies from far to near."""
    sine = np.sin(poses.azimuth)
    cosine = np.cos(poses.azimuth)
    near = np.where(sine >= 0, np.float32(1), np.float32(-1))  # +1 where the left side is nearer
    stride = poses.stride
    kind = np.maximum(outfit[:, CHOICES.index("carried")], 0)
    bag = _CARRIED[designs.kind[kind]].T
    behind = bag[0] * cosine + bag[1] * sine < 0
    carries = outfit[:, CHOICES.index("carried")] >= 0
    skirt = designs.skirt[outfit[:, CHOICES.index("lower front")]]

    def leg(side: NDArray[np.float32]) -> Body:
        step = side * stride
        return Body(
            LOWER,
            "lower",
            _LEG,
            0.53,
            0.95,
            0.068 * girth,
            0.07 * girth,
            (0.0, step * 0.10),
            side * 0.066 * girth,
        )

    def shoe(side: NDArray[np.float32]) -> Body:
        ahead = side * stride * 0.105 + 0.03
        return Body(
            SHOES, "shoes", _SHOE, 0.915, 1.0, 0.062, 0.105, (ahead, ahead), side * 0.07 * girth
        )

    def arm(side: NDArray[np.float32]) -> Body:
        swing = -side * stride
        return Body(
            UPPER,
            "sleeve",
            _ARM,
            0.255,
            0.6,
            0.043,
            0.047,
            (0.0, swing * 0.09),
            side * 0.165 * girth,
        )

    def carried(shown: NDArray[np.bool_]) -> Body:
        return Body(
            CARRY, "carried", _BAG, bag[2], bag[3], bag[4], bag[5], (bag[0], bag[0]), bag[1], shown
        )

    skirts = Body(LOWER, "lower", _SKIRT, 0.5, 0.8, 0.13 * girth, 0.115 * girth, shown=skirt)
    torso = Body(UPPER, "upper", _TORSO, 0.225, 0.575, 0.148 * girth, 0.122 * girth)
    head = Body(
        HEAD,
        "head",
        _HEADS[designs.hat[outfit[:, CHOICES.index("head front")]]],
        0.0,
        0.25,
        0.118,
        0.118,
    )
    far = -near
    return [
        carried(carries & behind),
        *[shoe(far), leg(far), shoe(near), leg(near)],
        *[skirts, arm(far), torso, head, arm(near)],
        carried(carries & ~behind),
    ]


class Painter:
    """Paints bodies onto a block of images."""

    def __init__(
        self,
        canvas: NDArray[np.float32],
        mask: NDArray[np.uint8],
        poses: Poses,
        textures: NDArray[np.float32],
        who: NDArray[np.intp],
    ) -> None:
        self.canvas = canvas
        self.mask = mask
        self.poses = poses
        self.textures = textures.reshape(3, -1)
        self.base = who * (sum(ROWS.values()) * BINS)
        self.sine = np.sin(poses.azimuth)
        self.cosine = np.cos(poses.azimuth)
        # the bin at the middle of what the camera sees, in sixteenths of one; azimuth -90 degrees
        # starts bin 0
        self.turn = np.rint((poses.azimuth / (2 * np.pi) + 0.25) * (BINS << _FINE)).astype(np.int64)

    def paint(self, body: Body) -> None:
        """Paint one body into the images where it is shown."""
        poses = self.poses
        height = self.poses.height
        shown = np.ones(len(height), bool) if body.shown is None else body.shown
        if not shown.any():
            return
        size = (body.last - body.first) * height  # rows from first to last
        half = np.sqrt((body.across * self.cosine) ** 2 + (body.along * self.sine) ** 2) * height
        widest = float(np.max(body.profile))
        sag = widest * np.maximum(body.across, body.along) * height * poses.slant
        top = poses.top + body.first * height
        reach = np.abs(body.left) + np.maximum(np.abs(body.forward[0]), np.abs(body.forward[1]))
        wide = widest * half + reach * height
        # the window of the block that any of its figures may touch
        _, _, rows, columns = self.canvas.shape
        y0, y1 = _window((top - sag)[shown] - 1, (top + size + sag)[shown] + 2, rows)
        x0, x1 = _window(
            (poses.centre - wide)[shown] - 2, (poses.centre + wide)[shown] + 2, columns
        )
        if y0 >= y1 or x0 >= x1:
            return
        y = np.arange(y0, y1, dtype=np.float32) + np.float32(0.5)
        x = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5)
        t = _f((y - top[:, None]) / size[:, None])
        inside = np.clip(t, 0, 1)
        step = np.rint(inside * np.float32(_STEPS - 1)).astype(np.int64)
        radius, slope = _lookup(body.profile, step, half, size)
        start, end, left = (
            np.broadcast_to(_f(v), height.shape)[:, None] for v in (*body.forward, body.left)
        )
        forward = start + (end - start) * inside
        axis = (
            poses.centre[:, None]
            + (left * self.cosine[:, None] - forward * self.sine[:, None]) * height[:, None]
        )
        thick = np.maximum(radius, np.float32(0.5))
        u = (x - _f(axis)[..., None]) / thick[..., None]
        facing = np.sqrt(np.maximum(1 - u * u, 0))
        sagged = facing * _f(radius * (poses.slant / size)[:, None])[..., None]
        seen = t[..., None] - sagged
        cover = np.clip((1 - np.abs(u)) * thick[..., None] + np.float32(0.5), 0, 1)
        cover *= np.clip(radius, 0, 1)[..., None]
        rows_long = _f(size)[:, None, None]
        # the top is a flat lid: its far rim is as far above the axis as its near rim is below
        cover *= np.clip((t[..., None] + sagged) * rows_long + np.float32(0.5), 0, 1)
        cover *= np.clip((1 - seen) * rows_long + np.float32(0.5), 0, 1)
        if body.shown is not None:
            cover *= shown[:, None, None]
        window = (slice(None), slice(y0, y1), slice(x0, x1))
        np.copyto(self.mask[window], np.uint8(body.label), where=cover > 0.5)
        shade, gloss = self._shade(u, facing, slope)
        index = self._texels(body.texture, u, seen)
        for channel in range(3):
            colour = self.textures[channel].take(index)
            colour *= shade
            colour += gloss
            target = self.canvas[channel][window]
            colour -= target
            colour *= cover
            target += colour

    def _texels(self, texture: str, u: Floats, seen: Floats) -> NDArray[np.int64]:
        names = list(ROWS)
        first = sum(ROWS[name] for name in names[: names.index(texture)])
        n = ROWS[texture]
        column = _ARCSINE.take(
            ((np.clip(u, -1, 1) + 1) * np.float32(1024) + np.float32(0.5)).astype(np.int64)
        )
        column += self.turn[:, None, None]
        column >>= _FINE
        column &= BINS - 1
        row = (np.clip(seen, 0, np.float32(0.9999)) * np.float32(n)).astype(np.int64)
        row *= BINS
        row += column
        row += (self.base + first * BINS)[:, None, None]
        return row

    def _shade(self, u: Floats, facing: Floats, slope: Floats) -> tuple[Floats, Floats]:
        """Light on the surface, about 1, and the highlight added to it."""
        light = self.poses.light
        diffuse = self.poses.diffuse
        flat = 1 / np.sqrt(1 + slope * slope)  # [b, rows]: how far the normal is horizontal
        right, up, near = (_f(light[i])[:, None] for i in range(3))
        lit = u * (right * flat)[..., None]
        lit += facing * (near * flat)[..., None]
        lit += (up * slope * flat)[..., None]
        lit = np.clip(lit, 0, 1)
        gloss = lit * lit
        gloss *= gloss
        gloss *= gloss
        gloss *= gloss
        gloss *= _f(0.22 * diffuse)[:, None, None]
        ambient = _f(1 - diffuse)[:, None, None]
        shade = (facing * np.float32(0.3) + np.float32(0.75)) * ambient
        shade += lit * _f(1.25 * diffuse)[:, None, None]
        return shade, gloss


def _window(low: Floats, high: Floats, limit: int) -> tuple[int, int]:
    return max(0, int(np.floor(low.min()))), min(limit, int(np.ceil(high.max())))


def _lookup(
    profile: NDArray[np.float64], step: NDArray[np.int64], half: Floats, size: Floats
) -> tuple[Floats, Floats]:
    """Radius in pixels, and how steeply it grows downwards, of each row."""
    steep = np.clip(np.gradient(profile, axis=-1) * (_STEPS - 1), -8, 8)
    if profile.ndim == 1:
        radius = profile[step]
        slope = steep[step]
    else:
        radius = np.take_along_axis(profile, step, 1)
        slope = np.take_along_axis(steep, step, 1)
    return _f(radius * half[:, None]), _f(slope * (half / size)[:, None])


def _f(values: Floats | float) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)
