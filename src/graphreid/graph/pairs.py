"""What all methods share that build a graph of probe-gallery pairs for each probe: candidates, targets, answers."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.compute import Compute
from graphreid.gallery import Gallery, Pool, normalise
from graphreid.graph.explain import alone, explanation, of_matrix
from graphreid.neighbors import Metric
from graphreid.protocols import Explanation
from graphreid.seeding import generator
from graphreid.types import NORMAL, DistanceBlock, Features, Labels, drop_junk

GRAPHS = 32
"""Graphs that go through a network together: more do not fit a processor's caches."""


class Candidates:
    """What samplers choose from.

    Attributes:
        near: int32 [q, k1], each probe's nearest gallery images, itself left out.
        lists: int32 [g, k2 + 1], each gallery image's nearest others; one more than k2, for a probe in them is passed over.
        own: int64 [q], the gallery row that a probe itself is, or -1.
    """

    def __init__(self, near: Int32[np.ndarray, "q k1"], lists: Int32[np.ndarray, "g w"], own: Int64[np.ndarray, " q"]) -> None:
        self.near, self.lists, self.own = near, lists, own

    @classmethod
    def of(cls, pool: Pool, k1: int, k2: int) -> "Candidates":
        """The k1 nearest of each probe and the k2 nearest of each gallery image; the gallery's are kept with it."""
        if (pool.own >= 0).all():
            # every probe is in the gallery, and so is its list
            wide = pool.gallery_neighbors(max(k1, k2 + 1)).index
            return cls(wide[pool.own, :k1], wide[:, : k2 + 1], pool.own)
        return cls(pool.probe_neighbors(k1).index, pool.gallery_neighbors(k2 + 1).index, pool.own)

    def take(self, rows: NDArray[np.intp] | slice) -> "Candidates":
        """Those of some probes."""
        return Candidates(self.near[rows], self.lists, self.own[rows])


class Lesson:
    """Training images, each in turn the probe and the others its gallery.

    The network that made the vectors has pulled those images together that it was trained on. `noise` loosens them, so that
    what is learned on them holds for images it has not seen: Gaussian, of that expected length, on vectors of unit length,
    drawn anew for each epoch; neighbours are searched among the loosened vectors.

    Args:
        train: the images, and `labels` theirs; junk is left out.
        k1: candidates of a probe; k2: neighbours of a gallery image.
        noise: expected length of the noise; 0 for none.
        seed: of the noise and of the order of the probes.
        compute: for the searches.
        metric: what the distance of two vectors is; for "euclidean" they are taken as they are.

    Attributes:
        pool: probes and gallery of the epoch begun last.
        candidates: theirs.

    Raises:
        ValueError: lengths that differ, or no identity with two images.
    """

    pool: Pool
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
        compute: Compute,
        metric: Metric = "cosine",
    ) -> None:
        self.train, self.labels = drop_junk(train, labels)
        self.metric: Metric = metric
        self.k1, self.k2, self.noise, self.seed, self.compute = k1, k2, noise, seed, compute
        self.probes = np.flatnonzero(self.labels.role == NORMAL)
        _, count = np.unique(self.labels.identity[self.probes], return_counts=True)
        if not (count > 1).any():
            raise ValueError("no identity has two images: there is no right match to learn from")
        self._begun = -1

    def batches(self, epoch: int, size: int) -> list[NDArray[np.intp]]:
        """Begin an epoch: its images, and each probe once, in a new order, in batches of `size`."""
        if self._begun < 0 or self.noise:
            features = self._loosened(epoch) if self.noise else self.train
            self.pool = Pool(features, Gallery(features, metric=self.metric), compute=self.compute)
            self.candidates = Candidates.of(self.pool, self.k1, self.k2)
        self._begun = epoch
        mixed = generator(self.seed, epoch, 0, 4).permutation(self.probes)
        return [mixed[start : start + size] for start in range(0, len(mixed), size)]

    def targets(self, probes: NDArray[np.intp], nodes: Int32[np.ndarray, "b n"]) -> Float32[np.ndarray, "b n"]:
        """1 where a node shows its probe's identity, in whatever camera; 0 else, as for distractors and padding (-1)."""
        same = self.labels.identity[nodes] == self.labels.identity[probes, None]
        return (same & (nodes >= 0) & (self.labels.role[nodes] == NORMAL)).astype(np.float32)

    def _loosened(self, epoch: int) -> Features:
        drawn = generator(self.seed, epoch, 0, 5).standard_normal(self.train.vectors.shape, np.float32)
        drawn *= np.float32(self.noise / np.sqrt(self.train.width))
        drawn += normalise(self.train.vectors) if self.metric == "cosine" else self.train.vectors
        return Features(drawn, self.train.items, self.train.camera, self.train.zero)


def linked(logits: Float32[np.ndarray, "b n"], calibration: Sequence[float]) -> Float32[np.ndarray, "b n"]:
    """Link probabilities, sigmoid(slope logit + offset); (1, 0) is the network's own."""
    slope, offset = calibration
    return (1 / (1 + np.exp(-np.clip(slope * logits + offset, -60, 60)))).astype(np.float32)


def fused(
    pool: Pool, start: int, stop: int, nodes: Int32[np.ndarray, "b n"], linked: Float32[np.ndarray, "b n"], lam: float
) -> DistanceBlock:
    """d_o + lam (1 - probability) of the probes start .. stop-1 (Ji et al. 2021, Eq. 5); unsampled images have probability 0.

    So the tail is the base distance plus lam, in the base order; d_o is `original`.
    """
    distance = original(pool, start, stop)
    probability = np.zeros_like(distance)
    row, column = np.nonzero(nodes >= 0)
    probability[row, nodes[row, column]] = linked[row, column]
    distance += np.float32(lam) * (1 - probability)
    return pool.answer(start, distance, probability)


def original(pool: Pool, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
    """d_o of the probes start .. stop-1: 1 - cosine as it is, so that distances of different probes compare.

    A Euclidean distance has no scale of its own: each probe's are mapped to [0, 1] over the gallery, so that lam keeps its
    meaning. They compare within a probe alone; between probes the probability does.
    """
    distance = pool.distances(start, stop)
    if pool.metric == "cosine":
        return distance
    rows = np.flatnonzero(pool.own[start:stop] >= 0)
    itself = rows, pool.own[start:stop][rows]
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
"""Nodes (gallery rows, -1 is padding), logits and adjacency of some probes' graphs; no method must give the adjacency (m = 0)
but for an explanation (m = n)."""


@runtime_checkable
class Judging(Protocol):
    """A network at work on the probes and gallery of one pool.

    Attributes:
        pool: those.
        graph_bytes: memory that a graph takes.
    """

    pool: Pool

    @property
    def graph_bytes(self) -> int:
        """Memory that a graph takes."""
        ...

    def judge(self, part: slice) -> Judged:
        """The graphs of some probes."""
        ...


def answers(judging: Judging, lam: float, calibration: Sequence[float], what: str) -> Iterator[DistanceBlock]:
    """Distances and link probabilities of all probes, in blocks."""
    pool = judging.pool
    for start, stop in pool.blocks(len(pool.gallery) * 4 + judging.graph_bytes, what=f"{what} graphs"):
        parts = [judging.judge(part) for part in slices(start, stop, GRAPHS)]
        nodes, logits = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        yield fused(pool, start, stop, nodes, linked(logits, calibration), lam)


def explained(judging: Judging, lam: float, calibration: Sequence[float]) -> Explanation:
    """The graph of the pool's only probe, from the same forward pass as its distances.

    Raises:
        ValueError: not one probe.
    """
    pool = alone(judging.pool)
    nodes, logits, weights = judging.judge(slice(0, 1))
    probability = np.where(np.isneginf(logits), np.float32(0), linked(logits, calibration))  # not judged: exactly 0
    block = fused(pool, 0, 1, nodes, probability, lam)
    real = nodes[0] >= 0
    return explanation(pool, block, nodes[0, real], of_matrix(weights[0][np.ix_(real, real)]))


def slices(start: int, stop: int, step: int) -> Iterator[slice]:
    """start .. stop in steps."""
    for begin in range(start, stop, step):
        yield slice(begin, min(begin + step, stop))
