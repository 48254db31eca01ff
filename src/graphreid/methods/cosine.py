"""The distances of the embeddings themselves: what every re-ranker starts from, and is compared
with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.protocols import DistanceSource
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Cosine:
    """1 - cosine of the two embeddings, in [0, 2]."""

    name: ClassVar[str] = "cosine"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "distances"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True
    unscored_offset: ClassVar[float] = 0.0
    min_distance: ClassVar[float] = 0.0

    @property
    def setting(self) -> str:
        """Always "online": no query has an influence on another."""
        return "online"

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "Cosine":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        yield from self.from_distances(RetrievalSet(query, gallery, resources=resources))

    def from_distances(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """The distances that are given."""
        for start, stop in source.blocks():
            yield source.base.distance_block(start, source.block(start, stop))
