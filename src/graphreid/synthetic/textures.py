"""Outfits of the synthetic figures: designs of garments as textures, and each identity's choice.

A texture is float32 [rows, bins, 3] in [0, 1]: rows from top to bottom of the part, bins around its
axis. A full turn has BINS bins; bin 0 starts at azimuth -90 degrees, so the first half of the bins
is the front (azimuth 0 in its middle) and the second half the back. Garments are drawn as halves,
and front and back are chosen independently.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy.typing import NDArray

from graphreid.seeding import generator
from graphreid.synthetic.difficulty import Difficulty

BINS = 64
HALF = BINS // 2
ROWS = {"head": 40, "upper": 48, "sleeve": 24, "lower": 48, "shoes": 12, "carried": 28}
"""Texture rows of each body, in the order in which an atlas stacks them."""

CARRIED = ("backpack", "shoulder bag left", "shoulder bag right", "parcel", "belt bag", "trolley")
CHOICES = (
    "head front",
    "head back",
    "upper front",
    "upper back",
    "lower front",
    "lower back",
    "shoes",
    "carried",
)
DESIGNS = {"head": 48, "upper": 96, "lower": 40, "shoes": 16, "carried": 48}
_PALETTE, _DESIGN, _FAMILY, _OWN, _GIRTH = range(101, 106)  # keys of the generators

PALETTE = np.array(
    [
        *[
            (0.78, 0.20, 0.19),
            (0.93, 0.46, 0.36),
            (0.95, 0.58, 0.18),
            (0.85, 0.66, 0.17),
            (0.96, 0.86, 0.40),
        ],
        *[
            (0.60, 0.74, 0.28),
            (0.16, 0.44, 0.26),
            (0.08, 0.52, 0.52),
            (0.46, 0.73, 0.89),
            (0.18, 0.36, 0.74),
        ],
        *[
            (0.12, 0.17, 0.38),
            (0.46, 0.30, 0.66),
            (0.48, 0.15, 0.37),
            (0.92, 0.62, 0.73),
            (0.85, 0.76, 0.60),
        ],
        *[(0.44, 0.29, 0.19), (0.94, 0.93, 0.90), (0.57, 0.59, 0.62), (0.21, 0.22, 0.25)],
    ]
)
_MUTED = PALETTE[[0, 3, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 18]]
_WOOD = np.array(
    [
        (0.93, 0.78, 0.60),
        (0.86, 0.66, 0.45),
        (0.72, 0.50, 0.32),
        (0.55, 0.36, 0.23),
        (0.42, 0.27, 0.18),
    ]
)
_HAIR = np.array(
    [
        (0.15, 0.12, 0.10),
        (0.36, 0.22, 0.12),
        (0.62, 0.40, 0.18),
        (0.88, 0.72, 0.38),
        (0.72, 0.28, 0.14),
    ]
)


@dataclass(frozen=True, eq=False)
class Designs:
    """All designs that outfits are chosen from; the first axis is the design.

    Attributes:
        head: textures of full turns.
        wood: colour of the head's surface, and of the hands.
        hat: 0 hair, 1 cap with a brim, 2 beanie.
        upper, sleeve, lower: textures of half turns.
        skirt: whether a lower body is a skirt.
        shoes, carried: textures of full turns.
        kind: index into CARRIED.
    """

    head: Float32[np.ndarray, "h headrows bins 3"]
    wood: Float32[np.ndarray, "h 3"]
    hat: Int64[np.ndarray, " h"]
    upper: Float32[np.ndarray, "u upperrows half 3"]
    sleeve: Float32[np.ndarray, "u sleeverows half 3"]
    lower: Float32[np.ndarray, "l lowerrows half 3"]
    skirt: Bool[np.ndarray, " l"]
    shoes: Float32[np.ndarray, "s shoerows bins 3"]
    carried: Float32[np.ndarray, "c bagrows bins 3"]
    kind: Int64[np.ndarray, " c"]


def draw_designs(seed: int) -> Designs:
    """Draw all designs at random, the same ones for the same seed."""
    heads = [_head(generator(seed, _DESIGN, 0, i)) for i in range(DESIGNS["head"])]
    uppers = [_upper(generator(seed, _DESIGN, 1, i)) for i in range(DESIGNS["upper"])]
    lowers = [_lower(generator(seed, _DESIGN, 2, i)) for i in range(DESIGNS["lower"])]
    shoes = [_shoes(generator(seed, _DESIGN, 3, i)) for i in range(DESIGNS["shoes"])]
    bags = [_bag(generator(seed, _DESIGN, 4, i)) for i in range(DESIGNS["carried"])]
    return Designs(
        head=_stack([head[0] for head in heads]),
        wood=_stack([head[1] for head in heads]),
        hat=np.array([head[2] for head in heads]),
        upper=_stack([upper[0] for upper in uppers]),
        sleeve=_stack([upper[1] for upper in uppers]),
        lower=_stack([lower[0] for lower in lowers]),
        skirt=np.array([lower[1] for lower in lowers]),
        shoes=_stack(shoes),
        carried=_stack(bags),
        kind=np.arange(DESIGNS["carried"]) % len(CARRIED),
    )


def outfits(
    seed: int, identities: NDArray[np.int64], difficulty: Difficulty
) -> Int64[np.ndarray, "n choices"]:
    """The outfit of each identity: an index into the designs for each of CHOICES.

    The last choice, the carried object, is -1 where there is none. Identities k with the same
    k // difficulty.family are a family: `difficulty.shared` of an identity's choices, drawn at
    random, are its family's and the others its own. So two identities of a family may have the same
    trousers and different jackets.
    """
    found: dict[int, NDArray[np.int64]] = {}
    for identity in np.unique(identities).tolist():
        own = generator(seed, _OWN, identity)
        family = generator(seed, _FAMILY, identity // difficulty.family)
        choice = _choose(own, difficulty)
        of_family = _choose(family, difficulty)
        taken = own.permutation(len(CHOICES))[: difficulty.shared]
        choice[taken] = of_family[taken]
        found[identity] = choice
    return np.stack([found[identity] for identity in identities.tolist()])


def girths(seed: int, identities: NDArray[np.int64]) -> Float32[np.ndarray, " n"]:
    """Width of each identity relative to the average, in [0.88, 1.14)."""
    return np.array(
        [generator(seed, _GIRTH, k).uniform(0.88, 1.14) for k in identities.tolist()], np.float32
    )


def atlas(
    designs: Designs, outfit: Int64[np.ndarray, "n choices"]
) -> Float32[np.ndarray, "3 n rows bins"]:
    """The textures of `n` outfits in one array [3, n, rows, bins].

    The bodies are stacked along `rows` in the order of ROWS. Where nothing is carried, the rows of
    the carried object are unused.
    """
    face, nape, front, back, lower_front, lower_back, shoes, carried = outfit.T
    sleeve = np.concatenate([designs.sleeve[front], designs.sleeve[back]], 2)
    hand = ROWS["sleeve"] * 5 // 6
    sleeve[:, hand:] = designs.wood[face][:, None, None]
    parts = [
        np.concatenate([designs.head[face][:, :, :HALF], designs.head[nape][:, :, HALF:]], 2),
        np.concatenate([designs.upper[front], designs.upper[back]], 2),
        sleeve,
        np.concatenate([designs.lower[lower_front], designs.lower[lower_back]], 2),
        designs.shoes[shoes],
        designs.carried[np.maximum(carried, 0)],
    ]
    return np.ascontiguousarray(np.moveaxis(np.concatenate(parts, 1), 3, 0))


def _choose(rng: np.random.Generator, difficulty: Difficulty) -> NDArray[np.int64]:
    pairs = [rng.integers(DESIGNS[part], size=2) for part in ("head", "upper", "lower")]
    turned = rng.random(3) < difficulty.turned
    fronts_and_backs = [
        (front, back if other else front)
        for (front, back), other in zip(pairs, turned, strict=True)
    ]
    shoes = rng.integers(DESIGNS["shoes"])
    carried = rng.integers(DESIGNS["carried"])
    return np.array(
        [*sum(fronts_and_backs, ()), shoes, carried if rng.random() < difficulty.carried else -1],
        np.int64,
    )


def _stack(designs: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    return np.stack(designs).astype(np.float32)


def _grid(rows: int, bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # height v in (0, 1), downwards; azimuth a in degrees from the middle of the front
    v = (np.arange(rows)[:, None] + 0.5) / rows
    a = (np.arange(bins)[None, :] + 0.5) * 360 / BINS - 90
    return np.broadcast_arrays(v, a)  # type: ignore[return-value]


def _fill(shape: tuple[int, ...], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.broadcast_to(colour, (*shape, 3)).copy()


def _colours(
    rng: np.random.Generator, palette: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    # the first is any colour, the others are far enough from it to be seen at low resolution
    first = palette[rng.integers(len(palette))]
    far = palette[np.abs(palette - first).sum(1) > 0.6]
    return np.stack([first, *far[rng.permutation(len(far))[: count - 1]]])


def _pattern(rng: np.random.Generator, rows: int) -> NDArray[np.bool_]:
    """Where a half shows its second colour."""
    v, a = _grid(rows, HALF)
    n = int(rng.integers(3, 5))
    wide = rng.uniform(0.8, 1.25)
    hoops = np.floor(v * 2 * n) % 2 == 1
    bars = np.floor((a + 90) / (15 * wide)) % 2 == 1
    centre = (v - 0.45) / (0.24 * wide), a / (36 * wide)
    dots = (np.modf(v * n)[0] - 0.5) ** 2 + (np.modf((a + 90) / 30)[0] - 0.5) ** 2 < 0.11
    patterns = [
        np.zeros(v.shape, bool),
        hoops,
        bars,
        hoops ^ (np.floor((a + 90) / 30) % 2 == 1),
        dots,
        v < 0.42 * wide,
        centre[0] ** 2 + centre[1] ** 2 < 1,
        np.abs(centre[0]) + np.abs(centre[1]) < 1,
        np.abs(a) < 26 * wide,
        np.abs(a / 90 - (v - 0.5) * 1.8) < 0.24 * wide,
        np.abs(v - 0.45) < 0.11 * wide,
        a > 0,
        (np.abs(centre[0]) < 0.35) | (np.abs(centre[1]) < 0.35),
    ]
    return patterns[int(rng.integers(len(patterns)))]


def _upper(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    v, a = _grid(ROWS["upper"], HALF)
    main, second, trim = _colours(rng, PALETTE, 3)
    half = _fill(v.shape, main)
    half[_pattern(rng, ROWS["upper"])] = second
    if rng.random() < 0.5:
        half[v < 0.1] = trim  # collar
    if rng.random() < 0.3:
        half[v > 0.9] = trim  # hem
    if rng.random() < 0.3:
        half[np.abs(a) < 4] = trim  # zip, or seam
    half *= (1 - 0.35 * np.clip(1 - v / 0.12, 0, 1))[..., None]
    sleeve_v, _ = _grid(ROWS["sleeve"], HALF)
    sleeve = _fill(sleeve_v.shape, second if rng.random() < 0.25 else main)
    if rng.random() < 0.4:
        sleeve[(sleeve_v > 0.68) & (sleeve_v < 0.84)] = trim
    return half, sleeve


def _lower(rng: np.random.Generator) -> tuple[NDArray[np.float64], bool]:
    v, _ = _grid(ROWS["lower"], HALF)
    main, second = _colours(rng, _MUTED, 2)
    half = _fill(v.shape, main)
    if rng.random() < 0.45:
        half[_pattern(rng, ROWS["lower"])] = second
    half *= (1 - 0.4 * np.clip(1 - v / 0.2, 0, 1))[..., None]
    return half, bool(rng.random() < 0.3)


def _head(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    v, a = _grid(ROWS["head"], BINS)
    wood = _WOOD[rng.integers(len(_WOOD))]
    hair = _HAIR[rng.integers(len(_HAIR))]
    cloth, band = _colours(rng, PALETTE, 2)
    hat = int(rng.integers(3))
    turn = _fill(v.shape, wood)
    fringe = rng.uniform(0.2, 0.36)
    length = rng.uniform(0.55, 1.0)
    face = rng.uniform(55, 80)
    turn[(v < fringe) | ((np.abs(a) > face) & (v < length))] = hair
    for side in (-1, 1):
        turn[((a - side * 24) / 8) ** 2 + ((v - 0.5) / 0.075) ** 2 < 1] = (0.12, 0.1, 0.1)
        turn[((a - side * 42) / 11) ** 2 + ((v - 0.66) / 0.07) ** 2 < 1] = np.clip(
            wood * (1.05, 0.75, 0.7), 0, 1
        )
    if hat:
        turn[v < 0.36] = cloth
        turn[(v > 0.28) & (v < 0.36)] = band
        if hat == 2 and rng.random() < 0.5:
            turn[(v < 0.28) & (np.floor((a + 90) / 45) % 2 == 1)] = band
    return turn, wood, hat


def _shoes(rng: np.random.Generator) -> NDArray[np.float64]:
    v, _ = _grid(ROWS["shoes"], BINS)
    main, sole = _colours(rng, PALETTE, 2)
    turn = _fill(v.shape, main)
    turn[v > 0.72] = sole
    return turn


def _bag(rng: np.random.Generator) -> NDArray[np.float64]:
    v, a = _grid(ROWS["carried"], BINS)
    main, second = _colours(rng, PALETTE, 2)
    turn = _fill(v.shape, main)
    style = int(rng.integers(4))
    turn[
        [v < 0.3, np.abs(v - 0.6) < 0.12, np.modf((a + 90) / 45)[0] < 0.3, (v > 0.45) & (v < 0.9)][
            style
        ]
    ] = second
    turn *= (1 - 0.3 * np.clip(1 - v / 0.15, 0, 1))[..., None]
    return turn
