"""Database augmentation: every gallery image becomes the weighted mean of itself and its nearest others.

Turcot, Lowe: Better Matching with Fewer Features, ICCV Workshops 2009; with the weights of alpha query expansion (Radenovic,
Tolias, Chum, TPAMI 2019), as Gordo et al., IJCV 2017, combine the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from graphreid.compute import Compute
from graphreid.gallery import Gallery, Pool, normalise
from graphreid.graph.aggregate import expanded
from graphreid.neighbors import block_distances
from graphreid.protocols import ONLINE, need_cosine
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class DBA:
    """Database augmentation, g' = g + sum over its n nearest others of max(0, cosine)^alpha, scaled to unit length.

    Probes stay as they are (`aqe` is the counterpart), but one that is in the gallery has its vector there. A distance is
    1 - cosine of the probe and g'. The new vectors are the gallery's own: they are made once, and kept with it.

    Attributes:
        n: other gallery images that join an image.
        alpha: exponent of their cosine; 0 weighs all alike.

    Raises:
        ValueError: a value out of its range.
    """

    n: int = 10
    alpha: float = 3.0

    name: ClassVar[str] = "dba"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    needs: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.n < 0 or not self.alpha >= 0:
            raise ValueError(f"n is {self.n} and alpha is {self.alpha}: both must be at least 0")

    @property
    def setting(self) -> str:
        """Always "online": no probe has an influence on another, nor on the gallery."""
        return ONLINE

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        compute: Compute | None = None,
    ) -> "DBA":
        """Nothing is learned."""
        del train, labels, validation, compute
        return self

    def transform(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> tuple[Features, Features]:
        """The probes as they are, and the augmented gallery."""
        pool = Pool(query, gallery, compute=compute)
        augmented = self._augmented(pool)
        images = gallery.features
        probes = self._probes(pool, augmented)
        return (
            Features(probes, query.items, query.camera, "keep"),
            Features(augmented, images.items, images.camera, "keep"),
        )

    def distances(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> Iterator[DistanceBlock]:
        """Distances of every probe to the gallery, in blocks."""
        pool = Pool(query, gallery, compute=compute)
        augmented = self._augmented(pool)
        probes = self._probes(pool, augmented)
        for start, stop in pool.blocks(fixed_bytes=augmented.nbytes, what="database augmentation distances"):
            yield pool.answer(start, block_distances(probes[start:stop], augmented, "cosine", pool.compute))

    def _augmented(self, pool: Pool) -> Float32[np.ndarray, "g d"]:
        need_cosine(pool, self.name)
        vectors = pool.gallery.vectors

        def make() -> Float32[np.ndarray, "g d"]:
            near = pool.gallery_neighbors(self.n)
            return normalise(expanded(vectors, vectors, near, self.alpha, compute=pool.compute))

        return pool.derived((self.name, self.n, self.alpha), make)

    def _probes(self, pool: Pool, augmented: Float32[np.ndarray, "g d"]) -> Float32[np.ndarray, "q d"]:
        there = pool.own >= 0
        if not there.any():
            return pool.vectors
        vectors = pool.vectors.copy()
        vectors[there] = augmented[pool.own[there]]
        return vectors
