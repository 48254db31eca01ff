"""An ego graph of an image: the image itself, the anchor, and its nearest gallery images.

Node 0 is the anchor, and nodes 1 .. k are its nearest, nearest first. Methods that make new
features of these nodes (FFGNN, HRNet) rank the nearest again by them, and leave all other images in
the order of the base distance.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from graphreid.gallery import RetrievalSet, normalise
from graphreid.graphs.explanation import build_explanation, edges_of_matrix, single_query
from graphreid.seeding import generator
from graphreid.types import DistanceBlock, Explanation, Features, Neighbors

ROUNDING = 1e-6
"""Cosines of float32 vectors may differ by so much between processors, and no more."""


@dataclass(frozen=True, eq=False)
class EgoGraphs:
    """The ego graphs of some anchors.

    Attributes:
        retrieval_set: whose gallery it is.
        vectors: float32 [m, d], the anchors'.
        nearest: their nearest gallery images, [m, k]; an anchor that is in the gallery is not among
            its own.
        own: int64 [m], the gallery row that an anchor is itself, or -1.
    """

    retrieval_set: RetrievalSet
    vectors: Float32[np.ndarray, "m d"]
    nearest: Neighbors
    own: Int64[np.ndarray, " m"]

    @classmethod
    def of_queries(cls, retrieval_set: RetrievalSet, k: int) -> "EgoGraphs":
        """The graphs of the queries, with at most k gallery images."""
        own = retrieval_set.own
        if (own >= 0).all():
            # every query is in the gallery, so its list is among the gallery's
            lists = retrieval_set.neighbors(k, side="gallery")
            nearest = Neighbors(lists.index[own], lists.distance[own], lists.farthest[own])
        else:
            nearest = retrieval_set.neighbors(k, side="query")
        return cls(retrieval_set, retrieval_set.query_vectors, nearest, own)

    @classmethod
    def of_gallery(cls, retrieval_set: RetrievalSet, k: int) -> "EgoGraphs":
        """The graphs of the gallery's images, with at most k others."""
        gallery = retrieval_set.gallery
        nearest = retrieval_set.neighbors(k, side="gallery")
        return cls(retrieval_set, gallery.vectors, nearest, np.arange(len(gallery)))

    def features(self, part: slice, images: Float32[Tensor, "g d"]) -> Float32[Tensor, "b n d"]:
        """The nodes' vectors of some graphs.

        Args:
            part: the graphs.
            images: the gallery's vectors, on the device where the features are wanted.
        """
        nearest = torch.from_numpy(self.nearest.index[part]).to(images.device).long()
        anchors = torch.from_numpy(self.vectors[part]).to(images.device)
        return torch.cat([anchors[:, None], images[nearest]], 1)


def rescored_block(
    graphs: EgoGraphs,
    start: int,
    distance: Float32[np.ndarray, "b k"],
    offset: float,
    probability: Float32[np.ndarray, "b k"] | None = None,
) -> DistanceBlock:
    """Distances of some queries to the whole gallery: new ones to their nearest, base distance +
    offset to all other images.

    Args:
        graphs: of all queries.
        start: the first query of the block.
        distance: new distances to the nearest.
        offset: more than any of them.
        probability: that the nearest show the query's identity; it is 0 for all other images.
    """
    retrieval_set = graphs.retrieval_set
    stop = start + len(distance)
    index = graphs.nearest.index[start:stop]
    of_gallery = retrieval_set.block(start, stop)  # [b, g]
    of_gallery += np.float32(offset)
    np.put_along_axis(of_gallery, index, distance, axis=1)
    if probability is None:
        return retrieval_set.distance_block(start, of_gallery)
    linked = np.zeros_like(of_gallery)
    np.put_along_axis(linked, index, probability, axis=1)
    return retrieval_set.distance_block(start, of_gallery, linked)


def explain_graph(
    graphs: EgoGraphs, block: DistanceBlock, adjacency: Float32[np.ndarray, "n n"]
) -> Explanation:
    """The graph of the only query.

    Args:
        graphs: that graph.
        block: the method's distances.
        adjacency: entry (i, j): the weight with which node i aggregates from node j; node 0 is the
            query.

    Raises:
        ValueError: not one query.
    """
    edges = edges_of_matrix(adjacency[1:, 1:])
    nodes = graphs.nearest.index[0]
    return build_explanation(
        single_query(graphs.retrieval_set), block, nodes, edges, adjacency[0, 1:]
    )


def top_k(
    score: Float[Tensor, "b n m"], count: int, slack: Float[Tensor, "b n m"] | float
) -> Bool[Tensor, "b n m"]:
    """Which `count` entries of each row are largest; of equal ones the first.

    Args:
        score: at least `count` entries in a row.
        count: entries of a row.
        slack: scores that differ by no more than this are equal: what a processor's rounding may
            add to a score, so that all processors choose alike.
    """
    last = score.topk(count, dim=2, sorted=False).values.amin(2, keepdim=True)
    chosen = score >= last - slack
    many = chosen.sum(2, dtype=torch.int32) > count  # the few rows with equal scores at the end
    larger = (score > last + slack)[many]
    equal = chosen[many] & ~larger
    left = count - larger.sum(1, keepdim=True)
    chosen[many] = larger | (equal & (equal.cumsum(1) <= left))
    return chosen


def with_noise(
    features: Features, noise: float, *, seed: int, epoch: int
) -> Float32[np.ndarray, "n d"]:
    """Vectors of unit length with Gaussian noise of that expected length, of unit length again.

    Images that an embedder was trained on lie closer together than others; noise loosens them, so
    that what is learned on them holds for new images too.

    Args:
        features: the images.
        noise: expected length of the noise.
        seed: of the draw.
        epoch: its number; every epoch draws anew.
    """
    draw = generator(seed, epoch, 0, 5)
    drawn = draw.standard_normal(features.vectors.shape, np.float32)
    drawn *= np.float32(noise / np.sqrt(features.width))
    drawn += normalise(features.vectors)
    return normalise(drawn)
