"""Random walk: distances to the nearest gallery images, smoothed by how alike these images are
among themselves.

Shen, Xiao, Li, Yi, Wang: Deep Group-shuffling Random Walk for Person Re-identification, CVPR 2018;
its closed form (Eq. 7), on
cosines instead of a trained similarity.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.protocols import ONLINE, DistanceSource
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class RandomWalk:
    """Random walk on a query's K nearest gallery images.

    With d the distances of the K and W the row-wise softmax of their cosines over T, the diagonal
    left out, the new distances are (1 - alpha)(I - alpha W)^-1 d. W's rows sum to 1, so each is a
    weighted mean of the old ones: it stays on the cosine's scale, and none passes the K-th, beyond
    which the distances stay as they were.

    Attributes:
        K: gallery images that the walk goes over.
        alpha: weight of what the others say, in [0, 1).
        T: temperature of the softmax; small follows the nearest only. The paper's similarities are
            trained and have none; ours.

    Raises:
        ValueError: a value out of its range.
    """

    K: int = 75
    alpha: float = 0.95
    T: float = 0.1

    name: ClassVar[str] = "random-walk"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "distances"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    unscored_offset: ClassVar[float] = 0.0
    min_distance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.K < 1:
            raise ValueError(f"K is {self.K}: it must be at least 1")
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}: it must be at least 0 and below 1")
        if not self.T > 0:
            raise ValueError(f"T is {self.T}: it must be positive")

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
    ) -> "RandomWalk":
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
        near = source.neighbors(self.K, side="query")
        k = near.k
        for start, stop in source.blocks(k * k * 40, what="random walk distances"):
            distance = source.block(start, stop)
            if k > 1:
                # a lone image has nobody to walk to
                lists = near.index[start:stop]
                walked = self._walk(
                    source.among(lists), near.distance[start:stop], source.base.resources
                )
                np.put_along_axis(distance, lists.astype(np.int64), walked, axis=1)
            yield source.base.distance_block(start, distance)

    def _walk(
        self,
        among: Float32[np.ndarray, "b k k"],
        distance: Float32[np.ndarray, "b k"],
        resources: Resources,
    ) -> Float32[np.ndarray, "b k"]:
        """(1 - alpha)(I - alpha W)^-1 d, by a direct solution in float64."""
        with resources.limits():
            # softmax((1 - d) / T) is softmax(-d / T)
            walk = torch.from_numpy(among).to(resources.device).double().div_(-self.T)
            walk.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
            system = torch.softmax(walk, dim=2).mul_(-self.alpha)
            system.diagonal(dim1=1, dim2=2).add_(1)
            right = torch.from_numpy(distance).to(resources.device).double() * (1 - self.alpha)
            return torch.linalg.solve(system, right).float().cpu().numpy()
