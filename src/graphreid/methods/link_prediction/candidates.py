"""What all methods share that build a graph of query-gallery pairs for each query: candidates,
targets, answers.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs.explanation import build_explanation, edges_of_matrix, single_query
from graphreid.knn.exact import Metric
from graphreid.protocols import Explanation
from graphreid.resources import Resources, slices
from graphreid.seeding import generator
from graphreid.types import NORMAL, DistanceBlock, Features, Labels, drop_junk

GRAPHS = 32
"""Graphs that go through a network together: more do not fit a processor's caches."""


class Candidates:
    """What samplers choose from.

    Attributes:
        near: int32 [q, k1], each query's nearest gallery images, itself left out.
        lists: int32 [g, k2 + 1], each gallery image's nearest others; one more than k2, for a query
            in them is passed over.
        own: int64 [q], the gallery row that a query itself is, or -1.
    """

    def __init__(
        self,
        near: Int32[np.ndarray, "q k1"],
        lists: Int32[np.ndarray, "g w"],
        own: Int64[np.ndarray, " q"],
    ) -> None:
        self.near, self.lists, self.own = near, lists, own

    @classmethod
    def of(cls, retrieval_set: RetrievalSet, k1: int, k2: int) -> "Candidates":
        """The k1 nearest of each query and the k2 nearest of each gallery image; the gallery's are
        kept with it.
        """
        if (retrieval_set.own >= 0).all():
            # every query is in the gallery, and so is its list
            wide = retrieval_set.neighbors(max(k1, k2 + 1), side="gallery").index
            return cls(wide[retrieval_set.own, :k1], wide[:, : k2 + 1], retrieval_set.own)
        return cls(
            retrieval_set.neighbors(k1, side="query").index,
            retrieval_set.neighbors(k2 + 1, side="gallery").index,
            retrieval_set.own,
        )

    def take(self, rows: NDArray[np.intp] | slice) -> "Candidates":
        """Those of some queries."""
        return Candidates(self.near[rows], self.lists, self.own[rows])


class Lesson:
    """Training images, each in turn the query and the others its gallery.

    The network that made the vectors has pulled those images together that it was trained on.
    `noise` loosens them, so that
    what is learned on them holds for images it has not seen: Gaussian, of that expected length, on
    vectors of unit length,
    drawn anew for each epoch; neighbours are searched among the loosened vectors.

    Args:
        train: the images, and `labels` theirs; junk is left out.
        k1: candidates of a query; k2: neighbours of a gallery image.
        noise: expected length of the noise; 0 for none.
        seed: of the noise and of the order of the queries.
        resources: for the searches.
        metric: what the distance of two vectors is; for "euclidean" they are taken as they are.

    Attributes:
        retrieval_set: queries and gallery of the epoch begun last.
        candidates: theirs.

    Raises:
        ValueError: lengths that differ, or no identity with two images.
    """

    retrieval_set: RetrievalSet
    candidates: Candidates

    def __init__(
        self,
        train: Features,
        labels: Labels,
        *,
        k1: int,
        k2: int,
        noise: float,
        seed: int,
        resources: Resources,
        metric: Metric = "cosine",
    ) -> None:
        self.train, self.labels = drop_junk(train, labels)
        self.metric: Metric = metric
        self.k1, self.k2, self.noise, self.seed, self.resources = k1, k2, noise, seed, resources
        self.queries = np.flatnonzero(self.labels.role == NORMAL)
        _, count = np.unique(self.labels.identity[self.queries], return_counts=True)
        if not (count > 1).any():
            raise ValueError("no identity has two images: there is no right match to learn from")
        self._begun = -1

    def batches(self, epoch: int, size: int) -> list[NDArray[np.intp]]:
        """Begin an epoch: its images, and each query once, in a new order, in batches of `size`."""
        if self._begun < 0 or self.noise:
            features = self._loosened(epoch) if self.noise else self.train
            self.retrieval_set = RetrievalSet(
                features, Gallery(features, metric=self.metric), resources=self.resources
            )
            self.candidates = Candidates.of(self.retrieval_set, self.k1, self.k2)
        self._begun = epoch
        mixed = generator(self.seed, epoch, 0, 4).permutation(self.queries)
        return [mixed[start : start + size] for start in range(0, len(mixed), size)]

    def targets(
        self, queries: NDArray[np.intp], nodes: Int32[np.ndarray, "b n"]
    ) -> Float32[np.ndarray, "b n"]:
        """1 where a node shows its query's identity, in whatever camera; 0 else, as for distractors
        and padding (-1).
        """
        same = self.labels.identity[nodes] == self.labels.identity[queries, None]
        return (same & (nodes >= 0) & (self.labels.role[nodes] == NORMAL)).astype(np.float32)

    def _loosened(self, epoch: int) -> Features:
        drawn = generator(self.seed, epoch, 0, 5).standard_normal(
            self.train.vectors.shape, np.float32
        )
        drawn *= np.float32(self.noise / np.sqrt(self.train.width))
        drawn += normalise(self.train.vectors) if self.metric == "cosine" else self.train.vectors
        return Features(drawn, self.train.items, self.train.camera, self.train.zero)


def linked(
    logits: Float32[np.ndarray, "b n"], calibration: Sequence[float]
) -> Float32[np.ndarray, "b n"]:
    """Link probabilities, sigmoid(slope logit + offset); (1, 0) is the network's own."""
    slope, offset = calibration
    return (1 / (1 + np.exp(-np.clip(slope * logits + offset, -60, 60)))).astype(np.float32)


def fused(
    retrieval_set: RetrievalSet,
    start: int,
    stop: int,
    nodes: Int32[np.ndarray, "b n"],
    linked: Float32[np.ndarray, "b n"],
    lam: float,
) -> DistanceBlock:
    """d_o + lam (1 - probability) of the queries start .. stop-1 (Ji et al. 2021, Eq. 5); unsampled
    images have probability 0.

    So the tail is the base distance plus lam, in the base order; d_o is `original`.
    """
    distance = original(retrieval_set, start, stop)
    probability = np.zeros_like(distance)
    row, column = np.nonzero(nodes >= 0)
    probability[row, nodes[row, column]] = linked[row, column]
    distance += np.float32(lam) * (1 - probability)
    return retrieval_set.distance_block(start, distance, probability)


def original(retrieval_set: RetrievalSet, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
    """d_o of the queries start .. stop-1: 1 - cosine as it is, so that distances of different
    queries compare.

    A Euclidean distance has no scale of its own: each query's are mapped to [0, 1] over the
    gallery, so that lam keeps its
    meaning. They compare within a query alone; between queries the probability does.
    """
    distance = retrieval_set.block(start, stop)
    if retrieval_set.metric == "cosine":
        return distance
    rows = np.flatnonzero(retrieval_set.own[start:stop] >= 0)
    itself = rows, retrieval_set.own[start:stop][rows]
    distance[itself] = np.inf
    least = distance.min(axis=1, keepdims=True)
    distance[itself] = -np.inf
    span = distance.max(axis=1, keepdims=True) - least
    distance[itself] = 0
    usable = np.isfinite(span) & (span > 0)
    distance -= np.where(usable, least, 0)
    distance *= np.where(usable, 1 / np.where(usable, span, 1), 0).astype(np.float32)
    return distance


Judged = tuple[Int32[np.ndarray, "b n"], Float32[np.ndarray, "b n"], Float32[np.ndarray, "b m m"]]
"""Nodes (gallery rows, -1 is padding), logits and adjacency of some queries' graphs; no method must
give the adjacency (m = 0) but for an explanation (m = n)."""


@runtime_checkable
class Judging(Protocol):
    """A network at work on the queries and gallery of one pool.

    Attributes:
        retrieval_set: those.
        graph_bytes: memory that a graph takes.
    """

    retrieval_set: RetrievalSet

    @property
    def graph_bytes(self) -> int:
        """Memory that a graph takes."""
        ...

    def judge(self, part: slice) -> Judged:
        """The graphs of some queries."""
        ...


def answers(
    judging: Judging, lam: float, calibration: Sequence[float], what: str
) -> Iterator[DistanceBlock]:
    """Distances and link probabilities of all queries, in blocks."""
    retrieval_set = judging.retrieval_set
    for start, stop in retrieval_set.blocks(
        len(retrieval_set.gallery) * 4 + judging.graph_bytes, what=f"{what} graphs"
    ):
        parts = [judging.judge(part) for part in slices(start, stop, GRAPHS)]
        nodes, logits = (
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
        )
        yield fused(retrieval_set, start, stop, nodes, linked(logits, calibration), lam)


def explained(judging: Judging, lam: float, calibration: Sequence[float]) -> Explanation:
    """The graph of the pool's only query, from the same forward pass as its distances.

    Raises:
        ValueError: not one query.
    """
    retrieval_set = single_query(judging.retrieval_set)
    nodes, logits, weights = judging.judge(slice(0, 1))
    probability = np.where(
        np.isneginf(logits), np.float32(0), linked(logits, calibration)
    )  # not judged: exactly 0
    block = fused(retrieval_set, 0, 1, nodes, probability, lam)
    real = nodes[0] >= 0
    return build_explanation(
        retrieval_set, block, nodes[0, real], edges_of_matrix(weights[0][np.ix_(real, real)])
    )
