"""Hubness correction (CSLS): images that are near everything count as farther away.

Conneau, Lample, Ranzato, Denoyer, Jégou: Word Translation Without Parallel Data, ICLR 2018, Eq. 3:
CSLS(p, g) = 2 cos(p, g) - r(p) - r(g), with r an image's mean cosine to its k nearest. Here it is
written for distances, so that it can follow any other method. r(g) is the gallery's own, so a
query is answered alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.options import Count, check_options
from graphreid.protocols import ONLINE, DistanceSource
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, Neighbors


@dataclass
class Hub:
    """Cross-domain similarity local scaling, as a distance: 2 d(p, g) - m(p) - m(g).

    m is the mean distance of an image to its k nearest gallery images. In a space of many
    dimensions some images, the hubs, are among the nearest of almost everything; their m is small,
    so the correction moves them away. It helps where features are weak, and harms where hubs are
    real.

    Attributes:
        k: nearest images that m is the mean over.

    Raises:
        ValueError: k is less than 1.
    """

    k: Count = 10

    name: ClassVar[str] = "hub"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "distances"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)

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
    ) -> "Hub":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        yield from self.from_distances(RetrievalSet(query, gallery, resources=resources))

    def from_distances(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """The same from any distances."""
        queries = _mean(source.neighbors(self.k, side="query"))  # [q]
        images = source.derived(
            (self.name, self.k), lambda: _mean(source.neighbors(self.k, side="gallery"))
        )  # [g]
        for start, stop in source.blocks(what="hubness correction distances"):
            distance = source.block(start, stop)  # [b, g]
            distance *= 2
            distance -= queries[start:stop, None]
            distance -= images
            yield source.base.distance_block(start, distance)


def _mean(near: Neighbors) -> np.ndarray:
    """m: the mean distance to the nearest; 0 where there are none."""
    total = near.distance.sum(axis=1, dtype=np.float64)
    return (total / max(near.k, 1)).astype(np.float32)
