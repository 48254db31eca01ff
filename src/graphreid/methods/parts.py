"""The distance of ICG's embeddings: the mean over what both images show of the whole, the figure,
its structure and its parts.

"Instance-level consistent graph with unsupervised human parts for person re-identification", Eqs.
13-15.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from graphreid.distances.from_parts import PartDistances
from graphreid.gallery import Gallery
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Parts:
    """1 - mean cosine of the blocks that both images have, in [0, 2].

    It stands for the embeddings' own distance, so that `parts+B` is B from these distances,
    exactly. A run of `graphreid train --model icg` holds it with the right options in
    RUN/parts.safetensors.

    Attributes:
        parts: blocks at the end of a vector that are zero where a part is not seen, K-1.
        width: entries of each.
        fixed: blocks before them, which every image has; all blocks are of unit length.

    Raises:
        ValueError: a value out of its range.
    """

    parts: int = 5
    width: int = 256
    fixed: int = 3

    name: ClassVar[str] = "parts"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True
    unscored_offset: ClassVar[float] = 0.0
    min_distance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.parts < 0 or self.width < 1 or self.fixed < 1:
            raise ValueError(
                f"parts is {self.parts}, width {self.width}, fixed {self.fixed}: parts must be at "
                f"least 0, the others 1"
            )

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
    ) -> "Parts":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distance_source(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> PartDistances:
        """These distances, for another method to start from."""
        return PartDistances(
            query,
            gallery,
            parts=self.parts,
            width=self.width,
            fixed=self.fixed,
            resources=resources,
        )

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks (Eq. 15)."""
        given = self.distance_source(query, gallery, resources=resources)
        for start, stop in given.blocks():
            yield given.base.distance_block(start, given.block(start, stop))
