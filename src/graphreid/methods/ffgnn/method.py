"""FFGNN: the features of an image and its K nearest are fused in a graph, and compared by cosine.

The paper: Feature-Fusing Graph Neural Network (FFGNN), for person re-identification. Equations are
its own: the edges are in `graph`, the network and its losses in `model`, the training graphs in
`training_set`. The paper's last step, fine-tuning the backbone with the graph, is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.ego_graphs import EgoGraphs, explain_graph, rescored_block
from graphreid.methods.ffgnn.graph import Nodes, Square, adjacency, reciprocal_in_gallery
from graphreid.methods.ffgnn.model import FeatureFusion, FusionObjective, losses, node_features
from graphreid.methods.ffgnn.options import Graph, Network, Training
from graphreid.methods.ffgnn.training_set import EgoGraphTrainingSet
from graphreid.methods.fitting import (
    FittedNetwork,
    fit_network,
    fitted_network,
    half_precision,
)
from graphreid.options import check_options
from graphreid.resources import Resources, slices
from graphreid.types import DistanceBlock, Explanation, Features, Labels

GRAPHS = 16
"""Graphs that go through the network together."""


@final
@dataclass(eq=False)
class FFGNN:
    """A graph of an image and its K nearest; a network fuses their features, and cosine compares
    the fused ones.

    `distances` ranks a query's K nearest again by the fused features in the query's graph.
    `transform` gives each image the feature that it has in its own graph, for another method to go
    on with (`FILE+k-reciprocal`).

    The defaults fit in minutes on two processor cores; `PAPER` is as published.

    Attributes:
        graph: nodes and edges.
        network: iterations and their start.
        training: losses, training graphs and schedule.

    Raises:
        ValueError: a value out of its range.
    """

    graph: Graph = field(default_factory=Graph)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)

    state_: dict[str, Tensor] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _fitted: FittedNetwork[FeatureFusion] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "ffgnn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    PAPER: ClassVar[dict[str, Any]] = {
        "k": 150,
        "scope": "graph",
        "rate": 3e-4,
        "weight_decay": 5e-4,
        "batch": 1,
        "epochs": 15,
        "anchors": None,
        "patience": None,
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": PAPER}

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def setting(self) -> Literal["online"]:
        """Always "online": no query has an influence on another."""
        return "online"

    @property
    def unscored_offset(self) -> float:
        """2, more than any distance of an image in the graph."""
        return 2.0

    @property
    def min_distance(self) -> float:
        """0: a distance is 1 - cosine."""
        return 0.0

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> "FFGNN":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        Args:
            train: a fifth of the images are anchors in turn, the others their gallery; `labels`
                theirs.
            validation: images of other identities: the best epoch by their mAP is kept.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint after each epoch; where there is one, training goes on from
                it.

        Raises:
            ValueError: no identity has two images, or an identity is in both sets.
        """
        resources = resources or Resources()
        options = self.training
        training_set = EgoGraphTrainingSet(
            train, labels, graph=self.graph, training=options, resources=resources
        )
        fit = fit_network(
            self,
            build=lambda: FusionObjective(train.width, training_set.classes, self.network),
            batches=training_set.batches,
            losses=lambda objective, batch: self._losses(objective, training_set, batch),
            score=lambda objective, held_out: held_out.score(
                FeatureFuser(self, objective.fusion, held_out.retrieval_set).distances()
            ),
            train=(train, labels),
            used_labels=training_set.labels,
            validation=validation,
            options=options,
            epochs=options.epochs,
            milestones=(options.epochs / 3, options.epochs * 2 / 3),
            precision=options.precision,
            resources=resources,
            folder=folder,
        )
        learned = fit.module.fusion.state_dict()
        self.state_ = {key: value.detach().cpu() for key, value in learned.items()}
        self._fitted = None
        self.record_ = fit.record
        if fit.validation is not None:
            best = max(epoch["score"] for epoch in fit.history)
            self.record_["validation"] = fit.validation.record(best)
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The fused feature that each image has in its own graph, of gallery images beside itself;
        the gallery's are kept with it.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        fuser = self.fuser(retrieval_set)
        # what the gallery keeps follows from the weights, the graph and alpha
        key = (self._network().key, self.graph, self.network)
        images = retrieval_set.derived(key, fuser.of_gallery)
        queries = fuser.of_queries()
        inside = retrieval_set.own >= 0
        # one image has one vector, to the last digit
        queries[inside] = images[retrieval_set.own[inside]]
        old = gallery.features
        return (
            Features(queries, query.items, query.camera, "keep"),
            Features(images, old.items, old.camera, "keep"),
        )

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: 1 - cosine of fused features in its
        graph, 2 + d_o beyond.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        yield from self.fuser(RetrievalSet(query, gallery, resources=resources)).distances()

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """S of one query's graph: the weights with which it and its nearest take up each other's
        features in an iteration; and ranks before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        return self.fuser(RetrievalSet(query, gallery, resources=resources)).explain()

    def fuser(self, retrieval_set: RetrievalSet) -> "FeatureFuser":
        """The fitted network for some queries and a gallery.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        network = self._network().for_set(retrieval_set, cosine_only=True)
        return FeatureFuser(self, network, retrieval_set)

    def _network(self) -> FittedNetwork[FeatureFusion]:
        if self._fitted is None:
            self._fitted = fitted_network(self, self._build, "maps.0.weight")
        return self._fitted

    def _build(self, width: int) -> FeatureFusion:
        return FeatureFusion(width, self.network)

    def _losses(
        self,
        objective: FusionObjective,
        training_set: EgoGraphTrainingSet,
        batch: NDArray[np.intp],
    ) -> dict[str, Tensor]:
        unit, target, reciprocal = training_set.graphs(batch)
        s = adjacency(unit, self.graph, reciprocal)
        with half_precision(self.training.precision, unit.device):
            x = objective.fusion(node_features(unit), s)  # [b, n, d]
            logits = objective.classifier(x).float() if self.training.identity else None
        return losses(x.float(), logits, target, self.training)


class FeatureFuser:
    """A network with the queries and the gallery whose features it fuses.

    Args:
        method: its options.
        network: fitted or in training.
        retrieval_set: queries and gallery.
    """

    def __init__(self, method: FFGNN, network: FeatureFusion, retrieval_set: RetrievalSet) -> None:
        self.options = method.graph
        self.offset = method.unscored_offset
        self.network = network.eval()
        self.retrieval_set = retrieval_set
        device = retrieval_set.resources.device
        self.images = torch.from_numpy(retrieval_set.gallery.vectors).to(device)

    def distances(self) -> Iterator[DistanceBlock]:
        """Distances of all queries, in blocks."""
        graphs = EgoGraphs.of_queries(self.retrieval_set, self.options.k)
        for start, stop in self.retrieval_set.blocks(self._graph_bytes, what="ffgnn graphs"):
            parts = [self._to_nearest(graphs, part)[0] for part in slices(start, stop, GRAPHS)]
            yield rescored_block(graphs, start, np.concatenate(parts), self.offset)

    def explain(self) -> Explanation:
        """The graph of the only query."""
        graphs = EgoGraphs.of_queries(self.retrieval_set, self.options.k)
        distance, s = self._to_nearest(graphs, slice(0, 1))
        block = rescored_block(graphs, 0, distance, self.offset)
        return explain_graph(graphs, block, s[0].cpu().numpy())

    def of_gallery(self) -> Float32[np.ndarray, "g d"]:
        """The fused feature of each gallery image in its own graph."""
        return self._of_anchors(EgoGraphs.of_gallery(self.retrieval_set, self.options.k))

    def of_queries(self) -> Float32[np.ndarray, "q d"]:
        """The fused feature of each query in its graph."""
        return self._of_anchors(EgoGraphs.of_queries(self.retrieval_set, self.options.k))

    def _to_nearest(
        self, graphs: EgoGraphs, part: slice
    ) -> tuple[Float32[np.ndarray, "b k"], Square]:
        """1 - cosine of some queries' fused features and their nearest images', and S."""
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            x, s = self._inputs(graphs, part)
            fused = functional.normalize(self.network(x, s), dim=2)  # [b, n, d]
            cosine = (fused[:, 1:] @ fused[:, 0, :, None])[..., 0]  # of node 0, the query
            return (1 - cosine).clamp(min=0).cpu().numpy(), s

    def _of_anchors(self, graphs: EgoGraphs) -> Float32[np.ndarray, "m d"]:
        """The fused features of node 0 alone."""
        resources = self.retrieval_set.resources
        out = np.empty(graphs.vectors.shape, np.float32)
        step = resources.rows(
            self._graph_bytes, fixed_bytes=out.nbytes, most=GRAPHS, what="ffgnn graphs"
        )
        parts = list(slices(0, len(out), step))
        for part in resources.track("fusing features", parts, len(parts)):
            with resources.limits(), torch.inference_mode():
                out[part] = self.network.of_anchor(*self._inputs(graphs, part)).cpu().numpy()
        return out

    def _inputs(self, graphs: EgoGraphs, part: slice) -> tuple[Nodes, Square]:
        """X^0 and S of some graphs."""
        unit = graphs.features(part, self.images)
        options = self.options
        reciprocal = None
        if options.edges == "joint" and options.scope == "gallery":
            rows = np.arange(part.start, part.stop)
            reciprocal = reciprocal_in_gallery(graphs, rows, options.reciprocal).to(unit.device)
        return node_features(unit), adjacency(unit, options, reciprocal)

    @property
    def _graph_bytes(self) -> int:
        """Of a node six rows of its width; of a pair of nodes eight weights and four marks."""
        n = min(self.options.k, len(self.retrieval_set.gallery)) + 1
        return n * 24 * self.images.shape[1] + n * n * 36
