"""What an affinity has from the pool of vectors that it stands on."""

from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int32, Int64

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.knn.exact import Metric
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features

T = TypeVar("T")
Pairs = Callable[[Int32[np.ndarray, " e"], Int32[np.ndarray, " e"]], Float32[np.ndarray, " e"]]
"""Distances of listed pairs."""


class Above:
    """An affinity's images and queries, which are those of a pool; its distances are its own.

    Args:
        query, gallery: as for `Reranker.distances`.
        kind: what is derived of the gallery is kept under it.
        resources: where and with how much memory.

    Attributes:
        beneath: the pool.
        own: int64 [q], the gallery image that a query itself is, or -1.
    """

    def __init__(
        self, query: Features, gallery: Gallery, kind: Hashable, *, resources: Resources | None
    ) -> None:
        self.beneath = RetrievalSet(query, gallery, resources=resources)
        self.own, self.resources, self._kind = self.beneath.own, self.beneath.resources, kind

    def __len__(self) -> int:
        """Nodes, n."""
        return len(self.beneath)

    @property
    def queries(self) -> int:
        """How many queries there are, q."""
        return self.beneath.queries

    @property
    def images(self) -> int:
        """How many gallery images there are, g."""
        return self.beneath.images

    @property
    def nodes(self) -> Int64[np.ndarray, " q"]:
        """The node of each query."""
        return self.beneath.nodes

    @property
    def metric(self) -> Metric:
        """What the distance of two vectors is, before this changed it."""
        return self.beneath.metric

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a value of the gallery's side alone, kept with the gallery under `key` and the
        kind.
        """
        return self.beneath.derived((self._kind, key), make)

    def answer(
        self,
        start: int,
        distance: Float32[np.ndarray, "b g"],
        probability: Float32[np.ndarray, "b g"] | None = None,
    ) -> DistanceBlock:
        """A block of results in which no query finds itself."""
        return self.beneath.answer(start, distance, probability)
