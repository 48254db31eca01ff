"""FFGNN's training graphs: a fifth of the images as anchors with the nearest of the others."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs.ego_graphs import EgoGraphs, with_noise
from graphreid.methods.ffgnn.graph import reciprocal_in_gallery
from graphreid.methods.ffgnn.options import Graph, Training
from graphreid.resources import Resources, slices
from graphreid.seeding import generator
from graphreid.training.samplers import pk_batches
from graphreid.types import Features, Labels, drop_junk

IMAGES = 4
"""Images of an identity in a graph of sampling "random"."""


class Graphs(NamedTuple):
    """A batch of training graphs of n nodes."""

    unit: Float32[Tensor, "b n d"]  # vectors of unit length
    target: Int64[Tensor, "b n"]  # classes; distractors have negative ones of their own
    reciprocal: Bool[Tensor, "b n n"] | None  # by the gallery's lists; None: not used


class EgoGraphTrainingSet:
    """Training graphs of an image and its nearest, drawn anew in each epoch.

    "retrieval" (Section 3.3): a fifth of the images are anchors, and the nearest of the others join
    them, as a gallery's do at test. "random" (Table 1): identities drawn by chance, with IMAGES
    images of each.

    Args:
        train: the images; junk is left out.
        labels: of the images.
        graph: nodes and edges.
        training: how graphs are drawn.
        resources: for the searches.

    Attributes:
        labels: without junk.
        classes: identities.

    Raises:
        ValueError: lengths that differ, or no identity with two images.
    """

    def __init__(
        self,
        train: Features,
        labels: Labels,
        *,
        graph: Graph,
        training: Training,
        resources: Resources,
    ) -> None:
        self.train, self.labels = drop_junk(train, labels)
        self.target, self.classes = self.labels.classes()
        self.graph = graph
        self.training = training
        self.resources = resources
        self.normal = np.flatnonzero(self.target >= 0)
        self._unit = normalise(self.train.vectors)

    def batches(self, epoch: int) -> list[NDArray[np.intp]]:
        """Begin an epoch: its graphs, by number, in batches."""
        options = self.training
        if options.noise:
            self._unit = with_noise(self.train, options.noise, seed=options.seed, epoch=epoch)
        fifth = max(1, round(len(self.normal) / 5))
        count = min(fifth, options.anchors or fifth)
        if options.sampling == "random":
            self._rows = self._random_graphs(epoch, count)
        else:
            self._rows = self._retrieved_graphs(epoch, fifth, count)
        return [np.arange(count)[part] for part in slices(0, count, options.batch)]

    def graphs(self, batch: NDArray[np.intp]) -> Graphs:
        """Some graphs of the epoch that was begun last."""
        rows = self._rows[batch]
        device = self.resources.device
        unit = torch.from_numpy(self._unit[rows]).to(device)
        target = torch.from_numpy(self.target[rows]).to(device)
        graph = self.graph
        reciprocal = None
        by_gallery = graph.edges == "joint" and graph.scope == "gallery"
        if by_gallery and self.training.sampling == "retrieval":
            reciprocal = reciprocal_in_gallery(self._ego_graphs, batch, graph.reciprocal).to(device)
        return Graphs(unit, target, reciprocal)

    def _retrieved_graphs(self, epoch: int, fifth: int, count: int) -> NDArray[np.intp]:
        """Rows of the first `count` anchors of a fifth, and of their nearest of the other images:
        [count, n].
        """
        mixed = generator(self.training.seed, epoch, 0, 4).permutation(self.normal)
        anchors = mixed[:count]
        others = np.setdiff1d(np.arange(len(self.train)), mixed[:fifth])
        features = Features(self._unit, self.train.items, zero="keep")
        retrieval_set = RetrievalSet(
            features.take(anchors), Gallery(features.take(others)), resources=self.resources
        )
        self._ego_graphs = EgoGraphs.of_queries(retrieval_set, self.graph.k)
        nearest = others[self._ego_graphs.nearest.index]
        return np.concatenate([anchors[:, None], nearest], axis=1)

    def _random_graphs(self, epoch: int, count: int) -> NDArray[np.intp]:
        """Rows of P identities x IMAGES, about K + 1 in a graph: [count, n]."""
        identities = min(max(2, round((self.graph.k + 1) / IMAGES)), self.classes)
        graphs: list[NDArray[np.intp]] = []
        while len(graphs) < count:
            graphs += pk_batches(
                self.target[self.normal],
                identities=identities,
                images=IMAGES,
                seed=self.training.seed,
                epoch=epoch * count + len(graphs),  # pk_batches may give fewer than are wanted
            )
        return self.normal[np.stack(graphs[:count])]
