"""FA-GCN's graph: one graph of all images, in which each has an edge from its k nearest others.

Equations are those of the paper of FA-GCN and EC-GCN for object re-identification. Training uses
the graph of all training images. At test the paper's graph is that of one query and the gallery;
`setting` says whether gallery images may have edges from queries (see `method`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.sparse_adjacency import SparseAdjacency, receptive_fields
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.types import Features, Labels, Neighbors, drop_junk

FULL_BATCH_EPOCHS = 20
"""Epochs of full-batch training between two checkpoints, each with a validation."""


def node_features(unit: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Z^0: embeddings of unit length times sqrt(d), so that the mean square of an entry is 1."""
    return unit * np.float32(unit.shape[1] ** 0.5)


def affinity_weights(neighbors: Neighbors) -> Float32[np.ndarray, "n e"]:
    """A~ = D^-1 (A + I), a row an image: its own weight, then those of its k nearest (Eqs. 1-2).

    A_ij is the cosine of i and j; a negative one counts as 0, so that D is positive (the paper
    does not say).
    """
    cosine = np.maximum(1 - neighbors.distance, 0)  # [n, k]
    itself = np.ones((len(cosine), 1), np.float32)
    row = np.concatenate([itself, cosine], axis=1)  # [n, k+1], what A + I has in a row
    return row / row.sum(axis=1, keepdims=True)  # D^-1


class LayerGraph(NamedTuple):
    """What a layer needs to make m nodes out of the n nodes that the layer before gives."""

    itself: Int64[Tensor, " m"]  # each node's place among the n
    adjacency: SparseAdjacency  # its row of A~, [m, n]


@dataclass(frozen=True, eq=False)
class AffinityGraph:
    """A~ of n images as lists of k + 1 entries a row; no (n, n) matrix is held.

    Attributes:
        sources: int32 [n, k+1], the images that each image aggregates: itself, then its k nearest.
        weights: float32 [n, k+1], their weights; each row sums to 1.
    """

    sources: Int32[np.ndarray, "n e"]
    weights: Float32[np.ndarray, "n e"]

    @classmethod
    def of(cls, neighbors: Neighbors) -> "AffinityGraph":
        """The graph of images whose nearest others are known."""
        itself = np.arange(len(neighbors.index), dtype=np.int32)[:, None]  # [n, 1]
        sources = np.concatenate([itself, neighbors.index], axis=1)  # [n, k+1]
        return cls(sources, affinity_weights(neighbors))

    def adjacency(self, device: str) -> SparseAdjacency:
        """A~, to multiply node features with."""
        return SparseAdjacency(self.sources, self.weights, device)

    def receptive_field(
        self, rows: Int64[np.ndarray, " m"], layers: int, device: str
    ) -> list[LayerGraph]:
        """The part of the graph that the last layer's nodes `rows` depend on, the first layer's
        first: a batch's cost grows with its neighbourhood, and not with the data set.
        """
        graph: list[LayerGraph] = []
        for nodes, sources in receptive_fields(self.sources, rows, layers):
            # sources are places among the layer before's nodes; the first one is the node itself
            itself = torch.from_numpy(sources[:, 0].astype(np.int64)).to(device)
            graph.append(LayerGraph(itself, SparseAdjacency(sources, self.weights[nodes], device)))
        return graph


class TrainingGraph:
    """The graph of all training images, and its batches: all images of some identities.

    Args:
        train: the images, and `labels` theirs. Junk is left out; distractors are nodes that nothing
            is learned from.
        k: neighbours of an image.
        batch: identities in a batch, None for all at once.
        epochs: of the whole training.
        seed: of the batches.
        resources: for the search of the neighbours.

    Attributes:
        labels: of the nodes.
        retrieval_set: the images as queries and gallery at once.
        graph: A~ of all of them.
        inputs: float32 [n, d], Z^0.
        target: int64 [n], the class of each image from 0, negative for distractors.
        classes: how many there are.
        rounds: parts of the training that end with a checkpoint: epochs, or FULL_BATCH_EPOCHS of
            them at once.

    Raises:
        ValueError: lengths that differ, or no identity with two images.
    """

    def __init__(
        self,
        train: Features,
        labels: Labels,
        *,
        k: int,
        batch: int | None,
        epochs: int,
        seed: int,
        resources: Resources,
    ) -> None:
        train, self.labels = drop_junk(train, labels)
        self.target, self.classes = self.labels.classes()
        self.batch = batch
        self.epochs = epochs
        self.seed = seed
        self.retrieval_set = RetrievalSet(train, Gallery(train), resources=resources)
        self.graph = AffinityGraph.of(self.retrieval_set.neighbors(k, side="gallery"))
        features = node_features(self.retrieval_set.gallery.vectors)
        self.inputs = torch.from_numpy(features).to(resources.device)
        rows = np.flatnonzero(self.target >= 0)  # distractors are in no batch
        by_class = rows[np.argsort(self.target[rows], kind="stable")]
        ends = np.cumsum(np.bincount(self.target[rows]))
        self._rows_of_class = np.split(by_class, ends[:-1])
        self.epochs_a_round = FULL_BATCH_EPOCHS if batch is None else 1
        self.rounds = -(-epochs // self.epochs_a_round)  # rounded up

    def batches(self, number: int) -> list[NDArray[np.intp]]:
        """The images of each batch of a round, drawn anew in every round."""
        if self.batch is None:
            left = self.epochs - number * self.epochs_a_round  # the last round may be shorter
            whole = np.concatenate(self._rows_of_class)
            return [whole] * min(self.epochs_a_round, left)
        mixed = generator(self.seed, number, 0, 4).permutation(self.classes)
        return [
            np.concatenate(
                [self._rows_of_class[each] for each in mixed[start : start + self.batch]]
            )
            for start in range(0, self.classes, self.batch)
        ]
