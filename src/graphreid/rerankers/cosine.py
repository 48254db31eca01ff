"""The distances of the embeddings themselves: what every re-ranker starts from, and is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from graphreid.compute import Compute
from graphreid.gallery import Gallery, Pool
from graphreid.protocols import Affinity
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Cosine:
    """1 - cosine of the two embeddings, in [0, 2]."""

    name: ClassVar[str] = "cosine"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    needs: ClassVar[str] = "affinity"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True
    tail: ClassVar[float] = 0.0
    least: ClassVar[float] = 0.0

    @property
    def setting(self) -> str:
        """Always "online": no probe has an influence on another."""
        return "online"

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        compute: Compute | None = None,
    ) -> "Cosine":
        """Nothing is learned."""
        del train, labels, validation, compute
        return self

    def distances(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> Iterator[DistanceBlock]:
        """Distances of every probe to the gallery, in blocks."""
        yield from self.from_affinity(Pool(query, gallery, compute=compute))

    def from_affinity(self, affinity: Affinity) -> Iterator[DistanceBlock]:
        """The distances that are given."""
        for start, stop in affinity.blocks():
            yield affinity.answer(start, affinity.distances(start, stop))
