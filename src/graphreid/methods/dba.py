"""Database augmentation: every gallery image becomes the weighted mean of itself and its nearest
others.

Turcot, Lowe: Better Matching with Fewer Features, ICCV Workshops 2009; with the weights of alpha
query expansion (Radenovic,
Tolias, Chum, TPAMI 2019), as Gordo et al., IJCV 2017, combine the two.
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
class DBA:
    """Database augmentation, g' = g + sum over its n nearest others of max(0, cosine)^alpha, scaled
    to unit length.

    Queries stay as they are (`aqe` is the counterpart), but one that is in the gallery has its
    vector there. A distance is 1 - cosine of the query and g'. The new vectors are the gallery's
    own: they are made once, and kept with it.

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
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.n < 0 or not self.alpha >= 0:
            raise ValueError(f"n is {self.n} and alpha is {self.alpha}: both must be at least 0")

    @property
    def setting(self) -> str:
        """Always "online": no query has an influence on another, nor on the gallery."""
        return ONLINE

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "DBA":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The queries as they are, and the augmented gallery."""
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        augmented = self._augmented(retrieval_set)
        images = gallery.features
        queries = self._queries(retrieval_set, augmented)
        return (
            Features(queries, query.items, query.camera, "keep"),
            Features(augmented, images.items, images.camera, "keep"),
        )

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        augmented = self._augmented(retrieval_set)
        queries = self._queries(retrieval_set, augmented)
        for start, stop in retrieval_set.blocks(
            fixed_bytes=augmented.nbytes, what="database augmentation distances"
        ):
            yield retrieval_set.distance_block(
                start,
                block_distances(queries[start:stop], augmented, "cosine", retrieval_set.resources),
            )

    def _augmented(self, retrieval_set: RetrievalSet) -> Float32[np.ndarray, "g d"]:
        need_cosine(retrieval_set, self.name)
        vectors = retrieval_set.gallery.vectors

        def make() -> Float32[np.ndarray, "g d"]:
            near = retrieval_set.neighbors(self.n, side="gallery")
            return normalise(
                expanded(vectors, vectors, near, self.alpha, resources=retrieval_set.resources)
            )

        return retrieval_set.derived((self.name, self.n, self.alpha), make)

    def _queries(
        self, retrieval_set: RetrievalSet, augmented: Float32[np.ndarray, "g d"]
    ) -> Float32[np.ndarray, "q d"]:
        there = retrieval_set.own >= 0
        if not there.any():
            return retrieval_set.query_vectors
        vectors = retrieval_set.query_vectors.copy()
        vectors[there] = augmented[retrieval_set.own[there]]
        return vectors
