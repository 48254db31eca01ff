"""A re-ranker of another package: cosine distances of vectors less the gallery's mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.options import Fraction, check_options
from graphreid.protocols import ONLINE
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Centred:
    """1 - cosine of vectors from which the gallery's mean is taken.

    Attributes:
        share: how much of the mean, in [0, 1].
    """

    share: Fraction = 1.0

    name: ClassVar[str] = "centred"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
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
    ) -> "Centred":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        if query.width != gallery.features.width:
            raise ValueError(
                f"queries are {query.width} wide and the gallery's vectors "
                f"{gallery.features.width}: embed them with the same network"
            )
        mean = self.share * gallery.features.vectors.mean(axis=0)
        images = gallery.features
        queries = Features(query.vectors - mean, query.items, query.camera, "keep")
        others = Features(images.vectors - mean, images.items, images.camera, "keep")
        yield from Cosine().distances(queries, Gallery(others), resources=resources)
