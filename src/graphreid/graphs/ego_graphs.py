"""A graph an image: the image itself, the anchor, and its nearest in the gallery. What methods
share that make new features.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs import adjacency
from graphreid.graphs.explanation import build_explanation, edges_of_matrix
from graphreid.protocols import Explanation
from graphreid.resources import Resources, slices
from graphreid.seeding import generator
from graphreid.training.samplers import pk_batches
from graphreid.types import NORMAL, DistanceBlock, Features, Labels, Neighbors, drop_junk

Sampling = Literal["retrieval", "random"]
IMAGES = 4
"""Images of an identity in a graph of sampling "random"."""


@dataclass(frozen=True, eq=False)
class Around:
    """Some anchors and their nearest gallery images.

    Attributes:
        retrieval_set: whose gallery it is.
        vectors: float32 [m, d], the anchors'.
        near: their nearest gallery images, [m, k]; an anchor that is in the gallery is not among
            its own.
        own: int64 [m], the gallery row that an anchor is itself, or -1.
    """

    retrieval_set: RetrievalSet
    vectors: Float32[np.ndarray, "m d"]
    near: Neighbors
    own: Int64[np.ndarray, " m"]

    @staticmethod
    def queries(retrieval_set: RetrievalSet, k: int) -> "Around":
        """The pool's queries."""
        if (retrieval_set.own >= 0).all():
            # every query is in the gallery, and so is its list
            wide = retrieval_set.neighbors(k, side="gallery")
            near = Neighbors(
                wide.index[retrieval_set.own],
                wide.distance[retrieval_set.own],
                wide.farthest[retrieval_set.own],
            )
            return Around(retrieval_set, retrieval_set.query_vectors, near, retrieval_set.own)
        return Around(
            retrieval_set,
            retrieval_set.query_vectors,
            retrieval_set.neighbors(k, side="query"),
            retrieval_set.own,
        )

    @staticmethod
    def gallery(retrieval_set: RetrievalSet, k: int) -> "Around":
        """The gallery's images."""
        return Around(
            retrieval_set,
            retrieval_set.gallery.vectors,
            retrieval_set.neighbors(k, side="gallery"),
            np.arange(len(retrieval_set.gallery)),
        )

    def mutual(self, rows: NDArray[np.intp], k: int) -> Bool[Tensor, "b n n"]:
        """Which nodes of some anchors' graphs are among each other's k nearest in the gallery, or
        the same.

        Nodes are the anchor and then its neighbours. The gallery's lists are its own; an anchor is
        near an image that it is no farther from than the image's k-th neighbour.
        """
        nodes, own = self.near.index[rows], self.own[rows]
        lists = self.retrieval_set.neighbors(k + 1, side="gallery")
        b, n = nodes.shape[0], nodes.shape[1] + 1
        out = torch.zeros(b, n, n, dtype=torch.bool)
        out[:, 0, 0] = True
        if n > 1:
            places = adjacency.links(nodes, lists.index, own, k2=k, wanted=k, hops=1)
            heard = adjacency.linked(torch.from_numpy(places), loops=True)
            out[:, 1:, 1:] = heard & heard.mT
            first = nodes[:, :k]
            reach = (
                lists.distance[:, k - 1]
                if lists.k >= k
                else np.full(len(lists.index), np.inf, np.float32)
            )
            near = torch.from_numpy(self.near.distance[rows, : first.shape[1]] <= reach[first])
            out[:, 0, 1 : 1 + first.shape[1]] = near
            out[:, 1 : 1 + first.shape[1], 0] = near
        return out


def rescored(
    around: Around,
    start: int,
    apart: Float32[np.ndarray, "b k"],
    unscored_offset: float,
    linked: Float32[np.ndarray, "b k"] | None = None,
) -> DistanceBlock:
    """Distances of the queries from `start` on: as given to their nearest, base distance +
    unscored_offset to
    all other images.

    Args:
        around: the queries.
        start: the first of them.
        apart: new distances to the nearest.
        unscored_offset: more than any of them.
        linked: link probabilities of the nearest; 0 for all others.
    """
    stop = start + len(apart)
    distance = around.retrieval_set.block(start, stop)
    distance += np.float32(unscored_offset)
    index = around.near.index[start:stop]
    np.put_along_axis(distance, index, apart, axis=1)
    probability = None if linked is None else np.zeros_like(distance)
    if probability is not None and linked is not None:
        np.put_along_axis(probability, index, linked, axis=1)
    return around.retrieval_set.distance_block(start, distance, probability)


def explained(
    around: Around, block: DistanceBlock, weights: Float32[np.ndarray, "n n"]
) -> Explanation:
    """The graph of the pool's only query: `weights` is who hears whom, the query first and then its
    nearest.
    """
    return build_explanation(
        around.retrieval_set,
        block,
        around.near.index[0],
        edges_of_matrix(weights[1:, 1:]),
        weights[0, 1:],
    )


class Lesson:
    """Training graphs of an image and its nearest, drawn anew in each epoch.

    "retrieval": a fifth of the images are anchors, and the nearest of the others join them, as a
    gallery's will when the
    network is at work. "random": identities drawn by chance, with IMAGES images of each.

    Args:
        train: the images, and `labels` theirs; junk is left out.
        k: images beside the anchor.
        sampling: how graphs are drawn.
        most: graphs in an epoch, at most.
        noise: expected length of Gaussian noise on vectors of unit length, drawn anew for each
            epoch.
        seed: of all draws.
        resources: for the searches.

    Attributes:
        classes: identities.

    Raises:
        ValueError: lengths that differ, or no identity with two images.
    """

    def __init__(
        self,
        train: Features,
        labels: Labels,
        *,
        k: int,
        sampling: Sampling,
        most: int | None,
        noise: float,
        seed: int,
        resources: Resources,
    ) -> None:
        self.k, self.sampling, self.most, self.noise, self.seed, self.resources = (
            k,
            sampling,
            most,
            noise,
            seed,
            resources,
        )
        self.train, self.labels = drop_junk(train, labels)
        self.queries = np.flatnonzero(self.labels.role == NORMAL)
        self.target, self.classes = classes(self.labels)
        self._unit = normalise(self.train.vectors)

    def batches(self, epoch: int, size: int) -> list[NDArray[np.intp]]:
        """Begin an epoch: its graphs, by number, in batches of `size`."""
        if self.noise:
            self._unit = loosened(self.train, self.noise, generator(self.seed, epoch, 0, 5))
        fifth = max(1, round(len(self.queries) / 5))
        count = min(fifth, self.most or fifth)
        if self.sampling == "random":
            self._rows = self._random(epoch, count)
        else:
            mixed = generator(self.seed, epoch, 0, 4).permutation(self.queries)
            self._anchors, self._others = (
                mixed[:count],
                np.setdiff1d(np.arange(len(self.train)), mixed[:fifth]),
            )
            features = Features(self._unit, self.train.items, zero="keep")
            retrieval_set = RetrievalSet(
                features.take(self._anchors),
                Gallery(features.take(self._others)),
                resources=self.resources,
            )
            self._around = Around.queries(retrieval_set, self.k)
            self._rows = np.concatenate(
                [self._anchors[:, None], self._others[self._around.near.index]], axis=1
            )
        return [np.arange(count)[part] for part in slices(0, count, size)]

    def graphs(
        self, batch: NDArray[np.intp], lists: int
    ) -> tuple[Float32[Tensor, "b n d"], Int64[Tensor, "b n"], Bool[Tensor, "b n n"] | None]:
        """Vectors of unit length, classes (distractors have negative ones of their own), and
        `Around.mutual` if `lists`.
        """
        rows, device = self._rows[batch], self.resources.device
        unit, target = torch.from_numpy(self._unit[rows]), torch.from_numpy(self.target[rows])
        mutual = self._around.mutual(batch, lists).to(device) if lists else None
        return unit.to(device), target.to(device), mutual

    def _random(self, epoch: int, count: int) -> NDArray[np.intp]:
        identity = self.target[self.queries]
        size = min(max(2, round((self.k + 1) / IMAGES)), self.classes)
        graphs: list[NDArray[np.intp]] = []
        while len(graphs) < count:
            key = epoch * count + len(graphs)
            graphs += pk_batches(
                identity, identities=size, images=IMAGES, seed=self.seed, epoch=key
            )
        return self.queries[np.stack(graphs[:count])]


def classes(labels: Labels) -> tuple[Int64[np.ndarray, " n"], int]:
    """The class of each image, from 0, and how many there are; distractors have negative classes of
    their own.

    Raises:
        ValueError: no identity with two images.
    """
    normal = labels.role == NORMAL
    names, count = np.unique(labels.identity[normal], return_counts=True)
    if not (count > 1).any():
        raise ValueError("no identity has two images: there is no right match to learn from")
    target = -1 - np.arange(len(labels))
    target[normal] = np.searchsorted(names, labels.identity[normal])
    return target, len(names)


def loosened(
    features: Features, noise: float, draw: np.random.Generator
) -> Float32[np.ndarray, "n d"]:
    """Vectors of unit length with Gaussian noise of that expected length, of unit length again."""
    drawn = draw.standard_normal(features.vectors.shape, np.float32)
    drawn *= np.float32(noise / np.sqrt(features.width))
    drawn += normalise(features.vectors)
    return normalise(drawn)
