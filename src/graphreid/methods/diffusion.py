"""Diffusion: similarity that flows from a query's nearest images through the graph of mutual
neighbours.

Iscen, Tolias, Avrithis, Furon, Chum: Efficient Diffusion on Region Manifolds, CVPR 2017 (equations
are that paper's), each
image diffused beforehand as in Yang, Hinami, Matsui, Ly, Satoh: Efficient Image Retrieval via
Decoupling Diffusion into Online and Offline Processing, AAAI 2019, whose published code is followed
(docs/methods/diffusion.md).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import csr as rows
from graphreid.protocols import ONLINE, TRANSDUCTIVE, need_cosine
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, Neighbors

TOLERANCE = 1e-6
"""Residual at which conjugate gradients stop, as in the published code."""
TINY = 1e-12
"""Added to every node's degree, as in the published code."""


@dataclass
class Diffusion:
    """Diffusion on the graph of mutual nearest neighbours.

    An image that nothing flows to keeps the cosine distance, in [0, 2]; one that something flows to
    has minus its score, which is below 0 and so before all of those.

    Attributes:
        kq: gallery images that a query starts from (it is no node itself).
        kd: neighbours of an image that it may be linked with, itself counted (50: itself and 49),
            if both list each other.
        gamma: exponent of max(0, cosine) in the weight of a link.
        alpha: share that flows on, in (0, 1).
        truncation: nodes that an image's own diffusion reaches: the first of a breadth-first walk
            on the graph.
        iterations: conjugate gradient steps at most.
        setting: "online", one query against the gallery's graph (score: (1 - alpha)(I - alpha S)^-1
            y), or "transductive", one graph of queries and gallery (score: the cosine of the two
            images' rows of (I - alpha S)^-1).

    Raises:
        ValueError: a value out of its range.
    """

    kq: int = 10
    kd: int = 50
    gamma: float = 3.0
    alpha: float = 0.99
    truncation: int = 500
    iterations: int = 20
    setting: str = ONLINE

    name: ClassVar[str] = "diffusion"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    unscored_offset: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if min(self.kq, self.kd, self.truncation, self.iterations) < 1:
            raise ValueError(
                f"kq is {self.kq}, kd {self.kd}, truncation {self.truncation} and iterations "
                f"{self.iterations}: "
                "all must be at least 1"
            )
        if not self.gamma >= 0 or not 0 < self.alpha < 1:
            raise ValueError(
                f"gamma is {self.gamma} and alpha is {self.alpha}: at least 0, and between 0 and "
                f"1, are needed"
            )
        if self.setting not in self.settings:
            raise ValueError(
                f"setting is {self.setting!r}: choose one of {', '.join(sorted(self.settings))}"
            )

    @property
    def min_distance(self) -> float:
        """Minus the largest score: the length of y, or a cosine."""
        return -1.0 if self.setting == TRANSDUCTIVE else -math.sqrt(self.kq)

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "Diffusion":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        need_cosine(retrieval_set, self.name)
        images = retrieval_set.gallery_count
        if self.setting == TRANSDUCTIVE:
            spread = self._spread(retrieval_set.neighbors(self.kd - 1, side="union"))
            rows.to_unit_length(spread)
            start, right = spread, rows.transposed(spread, len(retrieval_set), rows=images)
            at, scale = retrieval_set.nodes, np.float32(1)
        else:
            # the linear system is symmetric: the rows of the query's images, weighed and summed,
            # are its solution (Eq. 7)
            near = retrieval_set.neighbors(self.kd - 1, side="gallery")
            key = (self.name, self.kd, self.gamma, self.alpha, self.truncation, self.iterations)
            right = retrieval_set.derived(key, lambda: self._spread(near))
            first = retrieval_set.neighbors(self.kq, side="query")
            start = rows.listed(first.index, self._weight(first.distance))
            at, scale = np.arange(retrieval_set.query_count), np.float32(1 - self.alpha)
        held = rows.size(right) + (rows.size(start) if self.setting == TRANSDUCTIVE else 0)
        for begin, end in retrieval_set.blocks(
            images * 4, fixed_bytes=held, what="diffusion distances"
        ):
            score = np.zeros((end - begin, images), np.float32)
            rows.add_product(start, at[begin:end], right, score)
            distance = retrieval_set.block(begin, end)
            np.multiply(score, -scale, out=distance, where=score > 0)
            yield retrieval_set.distance_block(begin, distance)

    def _weight(self, distance: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n k"]:
        """max(0, cosine)^gamma (Eq. 1)."""
        return (np.maximum(1 - distance, 0) ** np.float32(self.gamma)).astype(np.float32)

    def _spread(self, near: Neighbors) -> rows.Matrix:
        """The rows of (I - alpha S)^-1, each cut to the nodes that a walk reaches first."""
        from graphreid.kernels import diffusion  # noqa: PLC0415  # heavy, and not for the GPU path
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415  # heavy, and not for the GPU path

        lists = np.ascontiguousarray(near.index)
        weight = self._weight(near.distance)
        mutual = (jaccard.back_rank(lists) < lists.shape[1]) & (weight > 0)
        start, column, value = rows.listed(np.where(mutual, lists, np.int32(-1)), weight)
        normal = _normalised(start, column, value)
        begin = np.zeros(len(lists) + 1, np.int64)
        room = min(self.truncation, len(lists))
        np.cumsum(diffusion.reached(start, column, room, rows.CHUNKS), out=begin[1:])
        spread = begin, np.empty(begin[-1], np.int32), np.empty(begin[-1], np.float32)
        most = max(lists.shape[1], 1)
        cut = self.alpha, self.iterations, TOLERANCE
        diffusion.inverse_rows(
            start, column, normal, begin, most, *cut, spread[1], spread[2], rows.CHUNKS
        )
        return spread


def _normalised(
    start: NDArray[np.int64], column: NDArray[np.int32], value: NDArray[np.float32]
) -> NDArray[np.float64]:
    """S = D^-1/2 A D^-1/2, D the sums of A's rows (Eq. 3)."""
    row = np.repeat(np.arange(len(start) - 1), np.diff(start))
    degree = np.bincount(row, value, minlength=len(start) - 1) + TINY
    return value / np.sqrt(degree[row] * degree[column])
