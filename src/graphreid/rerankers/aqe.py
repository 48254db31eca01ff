"""Alpha-weighted query expansion: a probe becomes the weighted mean of itself and its nearest gallery images.

Radenovic, Tolias, Chum: Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019, Section 3.4 (alpha QE); average
query expansion, alpha = 0, is Chum et al., ICCV 2007.
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
class AQE:
    """Query expansion, q' = q + sum over the n nearest gallery images of max(0, cosine)^alpha g, scaled to unit length.

    The gallery stays as it is (`dba` is its counterpart); a distance is 1 - cosine of q' and the gallery image.

    Attributes:
        n: gallery images that join the probe.
        alpha: exponent of their cosine; 0 weighs all alike.

    Raises:
        ValueError: a value out of its range.
    """

    n: int = 10
    alpha: float = 3.0

    name: ClassVar[str] = "aqe"
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
        """Always "online": no probe has an influence on another."""
        return ONLINE

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        compute: Compute | None = None,
    ) -> "AQE":
        """Nothing is learned."""
        del train, labels, validation, compute
        return self

    def transform(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> tuple[Features, Features]:
        """The expanded probes, and the gallery as it is.

        Raises:
            ValueError: a probe is in the gallery, where it would then have another vector.
        """
        pool = Pool(query, gallery, compute=compute)
        both = np.flatnonzero(pool.own >= 0)
        if len(both):
            raise ValueError(
                f"aqe would give item {str(query.items[both[0]])!r} one vector as a probe and another in the gallery: "
                "where probes are gallery images, use dba"
            )
        return Features(self._expanded(pool), query.items, query.camera, "keep"), gallery.features

    def distances(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> Iterator[DistanceBlock]:
        """Distances of every probe to the gallery, in blocks."""
        pool = Pool(query, gallery, compute=compute)
        vectors = self._expanded(pool)
        for start, stop in pool.blocks(fixed_bytes=vectors.nbytes, what="query expansion distances"):
            yield pool.answer(start, block_distances(vectors[start:stop], gallery.vectors, "cosine", pool.compute))

    def _expanded(self, pool: Pool) -> Float32[np.ndarray, "q d"]:
        need_cosine(pool, self.name)
        near = pool.probe_neighbors(self.n)
        return normalise(expanded(pool.vectors, pool.gallery.vectors, near, self.alpha, compute=pool.compute))
