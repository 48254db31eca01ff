"""Alpha-weighted query expansion: a query becomes the weighted mean of itself and its nearest
gallery images.

Radenovic, Tolias, Chum: Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019,
Section 3.4 (alpha QE); average
query expansion, alpha = 0, is Chum et al., ICCV 2007.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs.aggregation import expanded
from graphreid.knn.exact import block_distances
from graphreid.protocols import ONLINE, need_cosine
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class AQE:
    """Query expansion, q' = q + sum over the n nearest gallery images of max(0, cosine)^alpha g,
    scaled to unit length.

    The gallery stays as it is (`dba` is its counterpart); a distance is 1 - cosine of q' and the
    gallery image.

    Attributes:
        n: gallery images that join the query.
        alpha: exponent of their cosine; 0 weighs all alike.

    Raises:
        ValueError: a value out of its range.
    """

    n: int = 10
    alpha: float = 3.0

    name: ClassVar[str] = "aqe"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.n < 0 or not self.alpha >= 0:
            raise ValueError(f"n is {self.n} and alpha is {self.alpha}: both must be at least 0")

    @property
    def setting(self) -> str:
        """Always "online": no query has an influence on another."""
        return ONLINE

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "AQE":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The expanded queries, and the gallery as it is.

        Raises:
            ValueError: a query is in the gallery, where it would then have another vector.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        both = np.flatnonzero(retrieval_set.own >= 0)
        if len(both):
            raise ValueError(
                f"aqe would give item {str(query.items[both[0]])!r} one vector as a query and "
                f"another in the gallery: "
                "where queries are gallery images, use dba"
            )
        return Features(
            self._expanded(retrieval_set), query.items, query.camera, "keep"
        ), gallery.features

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        vectors = self._expanded(retrieval_set)
        for start, stop in retrieval_set.blocks(
            fixed_bytes=vectors.nbytes, what="query expansion distances"
        ):
            yield retrieval_set.distance_block(
                start,
                block_distances(
                    vectors[start:stop], gallery.vectors, "cosine", retrieval_set.resources
                ),
            )

    def _expanded(self, retrieval_set: RetrievalSet) -> Float32[np.ndarray, "q d"]:
        need_cosine(retrieval_set, self.name)
        near = retrieval_set.neighbors(self.n, side="query")
        return normalise(
            expanded(
                retrieval_set.query_vectors,
                retrieval_set.gallery.vectors,
                near,
                self.alpha,
                resources=retrieval_set.resources,
            )
        )
