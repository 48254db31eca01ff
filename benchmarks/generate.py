"""Embeddings of the size and kind of known re-identification sets, from a seed: nobody's images are
in them.

python -m benchmarks.generate market --out DIR      DIR/query and DIR/gallery, features folders with
memory-mapped vectors

An embedding is identity + camera + image, drawn in a space of few dimensions, turned into the width
of a network's output, and noise in all dimensions. Images differ in how much of their own they add,
as good and bad shots do. Distractors are identities that no query has. A block of rows depends on
the seed and its number alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from graphreid.atomic_files import whole_folder
from graphreid.features.features_file import ITEMS_FILE, VECTORS_FILE, write_items
from graphreid.seeding import generator

BLOCK = 8192
Name = Literal["market", "msmt17", "500k", "tiny"]


@dataclass(frozen=True)
class Shape:
    """How many there are.

    Attributes:
        queries, gallery: images.
        known: gallery images of the queries' identities; the others are distractors.
        identities: of the queries.
        cameras: how many.
        width: entries of an embedding.
        noise: how much an image adds of its own; it sets how hard the set is (cosine mAP about 0.85
            for market).
        rank: dimensions that the embeddings fill.
    """

    queries: int
    gallery: int
    known: int
    identities: int
    cameras: int
    width: int = 2048
    noise: float = 1.2
    rank: int = 160


SHAPES: dict[str, Shape] = {
    "market": Shape(3_368, 19_732, 13_115, 750, 6),
    "msmt17": Shape(11_659, 82_161, 82_161, 3_060, 15, noise=1.3),
    "500k": Shape(3_368, 519_732, 13_115, 750, 6),
    "tiny": Shape(64, 400, 300, 20, 4, width=64, rank=32),
}

CAMERA = 0.25
"""How far a camera moves all of its images."""
SPREAD = 0.35
"""How much images differ in what they add of their own (of its logarithm)."""
REST = 0.3
"""Noise outside the few dimensions, in all of them."""


@dataclass(frozen=True)
class Part:
    """Queries or gallery before their vectors.

    Attributes:
        identity, camera: int64 [n]; a distractor's identity is -2 and below.
        role: text [n].
    """

    identity: NDArray[np.int64]
    camera: NDArray[np.int64]
    role: NDArray[np.str_]


def part(shape: Shape, seed: int, which: Literal["query", "gallery"]) -> Part:
    """Who is where: each identity is asked for as often as the others; the gallery is in random
    order.
    """
    rng = generator(seed, 0, which == "gallery")
    if which == "query":
        identity = np.arange(shape.queries) % shape.identities
    else:
        strangers = -2 - rng.integers(0, 2 * shape.identities, shape.gallery - shape.known)
        identity = rng.permutation(
            np.concatenate([rng.integers(0, shape.identities, shape.known), strangers])
        )
    role = np.where(identity < 0, "distractor", "normal")
    return Part(identity.astype(np.int64), rng.integers(0, shape.cameras, len(identity)), role)


class Embeddings:
    """The vectors of a part, by block.

    Args:
        shape, seed: of the set.
        which: queries or gallery.
        rows: who they show.
    """

    def __init__(
        self, shape: Shape, seed: int, which: Literal["query", "gallery"], rows: Part
    ) -> None:
        rng = generator(seed, 1)
        self.shape, self.seed, self.which, self.rows = shape, seed, which, rows
        self.basis = np.linalg.qr(rng.standard_normal((shape.width, shape.rank)))[0].T.astype(
            np.float32
        )
        self.known = rng.standard_normal((shape.identities, shape.rank), dtype=np.float32)
        self.strangers = rng.standard_normal((2 * shape.identities, shape.rank), dtype=np.float32)
        self.cameras = CAMERA * rng.standard_normal((shape.cameras, shape.rank), dtype=np.float32)

    def block(self, start: int) -> NDArray[np.float32]:
        """float32 [b, width], the rows start .. start + BLOCK - 1; `start` is a multiple of
        BLOCK.
        """
        rng = generator(self.seed, 2, self.which == "gallery", start)
        identity, camera = (
            self.rows.identity[start : start + BLOCK],
            self.rows.camera[start : start + BLOCK],
        )
        n = len(identity)
        centre = np.where(
            (identity >= 0)[:, None],
            self.known[identity.clip(0)],
            self.strangers[(-2 - identity).clip(0)],
        )
        own = self.shape.noise * np.exp(SPREAD * rng.standard_normal((n, 1), dtype=np.float32))
        few = (
            centre
            + self.cameras[camera]
            + own * rng.standard_normal((n, self.shape.rank), dtype=np.float32)
        )
        rest = np.float32(REST * np.sqrt(self.shape.rank / self.shape.width))
        return np.asarray(
            few @ self.basis + rest * rng.standard_normal((n, self.shape.width), dtype=np.float32),
            np.float32,
        )


def write(shape: Shape, seed: int, out: Path) -> None:
    """Two features folders, OUT/query and OUT/gallery; a block of vectors is held at a time."""
    with whole_folder(out) as folder:
        for which in ("query", "gallery"):
            rows = part(shape, seed, which)
            embeddings = Embeddings(shape, seed, which, rows)
            n = len(rows.identity)
            (folder / which).mkdir()
            file = folder / which / VECTORS_FILE
            vectors = np.lib.format.open_memmap(
                file, mode="w+", dtype=np.float32, shape=(n, shape.width)
            )
            for start in range(0, n, BLOCK):
                vectors[start : start + BLOCK] = embeddings.block(start)
            vectors.flush()
            columns = {
                "identity": rows.identity,
                "camera": rows.camera,
                "item": np.array([f"{which}{row}" for row in range(n)]),
                "role": rows.role,
            }
            write_items(folder / which, columns)


def ready(name: str, seed: int, data: Path) -> Path:
    """DATA/NAME-SEED with the two features folders, made if it is not there."""
    folder = data / f"{name}-{seed}"
    if not (folder / "gallery" / ITEMS_FILE).is_file():
        data.mkdir(parents=True, exist_ok=True)
        write(SHAPES[name], seed, folder)
    return folder


def main(shape: Name, /, *, out: Annotated[Path, Parameter()], seed: int = 0) -> None:
    """Write a set's embeddings."""
    write(SHAPES[shape], seed, out)


if __name__ == "__main__":
    cyclopts.run(main)
