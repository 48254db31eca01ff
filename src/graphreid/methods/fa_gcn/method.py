"""FA-GCN: every image gets a new vector from itself and its neighbours in one graph of all images.

The feature aggregation network of the paper of FA-GCN and EC-GCN for object re-identification;
equations are that paper's. The network is in `model`, its graph in `graph`, the distance's matrix
in `mahalanobis`. EC-GCN is `methods.ec_gcn`, and both together are `methods.fa_ec_gcn`.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float32, Float64
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.explanation import explain_receptive_field, single_query
from graphreid.methods.fa_gcn.graph import AffinityGraph, TrainingGraph
from graphreid.methods.fa_gcn.mahalanobis import root_of_precision
from graphreid.methods.fa_gcn.model import FeatureAggregation, losses
from graphreid.methods.fitting import FittedNetwork, Validation, fit_network, fitted_network
from graphreid.options import AtLeastTwo, Count, NonNegative, Positive, Seed, Setting, check_options
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Explanation, Features, Labels

Distance = Literal["mahalanobis", "euclidean", "cosine"]
DISTANCES: tuple[Distance, ...] = ("mahalanobis", "euclidean", "cosine")
WITHIN = "within"
LENGTH = "length"
"""Tensors that the distances need, kept beside the layers' weights: the root of the Mahalanobis
distance's matrix, and the root mean square length of the training images' new vectors.
"""
Vectors = Float32[np.ndarray, "n d"]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Graph:
    """The graph of all images.

    Attributes:
        k: nearest others that an image has edges from, by cosine (Eq. 1). The paper has 3, 10 and
            20 for its three data sets.
    """

    k: Count = 7

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Network:
    """The network.

    Attributes:
        layers: L (Eq. 2).
    """

    layers: Count = 1

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """How it is trained.

    Attributes:
        identity_weight: of the identity loss beside the contrastive one; 1 is Eq. 7.
        tau: the contrastive loss's temperature (Eq. 6).
        include_self: an image stands in its own softmax, as Eq. 6 is printed.
        optimizer: "adam", or "adamw".
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: "steps", times 0.1 after 50, 80 and 90 % of the epochs, or "cosine", to 0 at the
            last.
        batch: identities whose images make a batch, at least 2; None for all at once, and then a
            checkpoint and a validation every 20 epochs.
        epochs: how often each image is learned from.
        patience: validations without a better mAP after which training stops; None for never.
        seed: of all that is random.
    """

    identity_weight: NonNegative = 0.0
    tau: Positive = 0.07
    include_self: bool = False
    optimizer: Literal["adam", "adamw"] = "adamw"
    rate: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01
    schedule: Literal["steps", "cosine"] = "cosine"
    batch: AtLeastTwo | None = 64
    epochs: Count = 20
    patience: Count | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_options(self)


@final
@dataclass(eq=False)
class FAGCN:
    """New vectors from a graph network on the nearest neighbours of all images, ranked by
    Mahalanobis distance.

    The defaults fit in minutes on two processor cores; `PAPER` is as published for Market-1501.

    Attributes:
        graph: see `Graph`.
        network: see `Network`.
        training: see `Training`.
        distance: "mahalanobis", with the covariance of what differs within an identity;
            "euclidean"; or "cosine". It can be changed after the fit.
        setting: "online": the gallery's vectors are made of the gallery alone, and a query has
            edges from its nearest gallery images; "transductive": queries and gallery are one
            graph.

    Raises:
        ValueError: a value out of its range.
    """

    graph: Graph = field(default_factory=Graph)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)
    distance: Distance = "mahalanobis"
    setting: Setting = "online"

    state_: State = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _fitted: FittedNetwork[FeatureAggregation] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "fa-gcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online", "transductive"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True
    PAPER: ClassVar[dict[str, Any]] = {
        "k": 3,
        "identity_weight": 1.0,
        "batch": None,
        "epochs": 2000,
        "patience": None,
        "optimizer": "adam",
        "rate": 1e-4,
        "weight_decay": 0.0,
        "schedule": "steps",
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": PAPER}

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def metric(self) -> Literal["cosine", "euclidean"]:
        """What the distance of two new vectors is: a Mahalanobis distance is a Euclidean one of
        mapped vectors.
        """
        return "cosine" if self.distance == "cosine" else "euclidean"

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> "FAGCN":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        Args:
            train: the images of the graph, and `labels` theirs. Distractors are nodes that nothing
                is learned from.
            validation: images of other identities: the best weights by their mAP are kept.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint after each epoch; where there is one, training goes on from
                it.

        Raises:
            ValueError: no identity has two images, or an identity is in both sets.
        """
        resources = resources or Resources()
        training = self.training
        images = TrainingGraph(
            train,
            labels,
            k=self.graph.k,
            batch=training.batch,
            epochs=training.epochs,
            seed=training.seed,
            resources=resources,
        )
        classes = images.classes if training.identity_weight else 0
        rounds = images.rounds
        by_cosine = training.schedule == "cosine"
        fit = fit_network(
            self,
            build=lambda: FeatureAggregation(train.width, self.network.layers, classes),
            batches=images.batches,
            losses=lambda network, rows: self._losses(network, images, rows),
            score=lambda network, held_out: self._mean_ap(network, images, held_out),
            train=(train, labels),
            used_labels=images.labels,
            validation=validation,
            options=training,
            epochs=rounds,
            optimizer=training.optimizer,
            milestones=None if by_cosine else [0.5 * rounds, 0.8 * rounds, 0.9 * rounds],
            resources=resources,
            folder=folder,
        )
        self.state_ = self._learned_state(fit.module, images)
        self._fitted = None
        self.record_ = fit.record
        self.record_["epochs"] = min(training.epochs, len(fit.history) * images.epochs_a_round)
        if fit.validation is not None:
            scores = self._scores(fit.module, images, fit.validation, DISTANCES)
            self.record_["validation"] = fit.validation.record(scores[self.distance])
            self.record_["validation"]["mAP_of_distance"] = scores
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The queries' and the gallery's new vectors, of length 1 in the root mean square of
        training; `metric` compares them.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        queries, images = self.aggregated(query, gallery, resources=resources)
        return queries, images.features

    def aggregated(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Gallery]:
        """What `transform` gives, the gallery's new vectors as a gallery of `metric`, which is kept
        with the old one where it is of it alone.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        old = gallery.features
        queries, images = self._new_vectors(retrieval_set)

        def new_gallery() -> Gallery:
            features = Features(images, old.items, old.camera, "keep")
            return Gallery(features, metric=self.metric)

        key = (self._network_of(retrieval_set)[1], self.distance, "gallery")
        made = gallery.derived(key, new_gallery) if self.setting == "online" else new_gallery()
        return Features(queries, query.items, query.camera, "keep"), made

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: sqrt((z_p - z_g)^T M (z_p - z_g)).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        queries, images = self.aggregated(query, gallery, resources=resources)
        yield from _compared(RetrievalSet(queries, images, resources=resources))

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """A~ of the images that one query's vector depends on: its nearest, their sources, and so
        on by layers; and ranks before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        retrieval_set = single_query(RetrievalSet(query, gallery, resources=resources))
        block = next(self.distances(query, gallery, resources=resources))
        if self.setting == "transductive":
            graph = AffinityGraph.of(retrieval_set.neighbors(self.graph.k, side="union"))
            row = int(retrieval_set.nodes[0])
            own_sources = graph.sources[row]
            own_weights = graph.weights[row]
        else:
            graph = AffinityGraph.of(retrieval_set.neighbors(self.graph.k, side="gallery"))
            of_query = AffinityGraph.of(retrieval_set.neighbors(self.graph.k, side="query"))
            own_sources = of_query.sources[0]
            own_weights = of_query.weights[0]
        return explain_receptive_field(
            retrieval_set,
            block,
            graph.sources,
            graph.weights,
            own_sources[1:],
            own_weights[1:],
            self.network.layers,
        )

    def _new_vectors(
        self, retrieval_set: RetrievalSet
    ) -> tuple[Float32[np.ndarray, "q d"], Float32[np.ndarray, "g d"]]:
        """The new vectors of queries and gallery, in the space of the distance."""
        network, key = self._network_of(retrieval_set)
        device = retrieval_set.resources.device
        k = self.graph.k
        with retrieval_set.resources.limits():
            if self.setting == "transductive":
                graph = AffinityGraph.of(retrieval_set.neighbors(k, side="union"))
                z = network.aggregate(retrieval_set.union_vectors, graph, device)[-1]
                union = _in_space(z, self.state_, self.distance)
                return union[retrieval_set.nodes], union[: retrieval_set.gallery_count]

            def states_of_gallery() -> list[Vectors]:
                graph = AffinityGraph.of(retrieval_set.neighbors(k, side="gallery"))
                return network.aggregate(retrieval_set.gallery.vectors, graph, device)

            states = retrieval_set.derived((key, "states"), states_of_gallery)
            images = retrieval_set.derived(
                (key, self.distance), lambda: _in_space(states[-1], self.state_, self.distance)
            )
            graph = AffinityGraph.of(retrieval_set.neighbors(k, side="query"))
            z = network.aggregate_query(retrieval_set.query_vectors, states, graph, device)
        queries = _in_space(z, self.state_, self.distance)
        # a query that is in the gallery has its vector there
        inside = retrieval_set.own >= 0
        queries[inside] = images[retrieval_set.own[inside]]
        return queries, images

    def _losses(
        self, network: FeatureAggregation, images: TrainingGraph, rows: NDArray[np.intp]
    ) -> dict[str, Tensor]:
        """The parts of L_fa (Eqs. 4-7) for some training images."""
        resources = images.retrieval_set.resources
        training = self.training
        device = resources.device
        z = network(images.inputs, images.graph.receptive_field(rows, self.network.layers, device))
        return losses(
            network,
            z,
            torch.from_numpy(images.target[rows]).to(device),
            identity_weight=training.identity_weight,
            tau=training.tau,
            include_self=training.include_self,
            rows=resources.rows(len(rows) * 16, what="the contrastive loss"),
        )

    def _learned_state(self, network: FeatureAggregation, images: TrainingGraph) -> State:
        """The layers' weights, and what the distances need of the training images' Z^L."""
        resources = images.retrieval_set.resources
        with resources.limits():
            unit = images.retrieval_set.gallery.vectors
            z = network.aggregate(unit, images.graph, resources.device)[-1]
        known = images.target >= 0
        z = z[known].astype(np.float64)
        root = root_of_precision(z, images.target[known])
        weights = {
            name: value.detach().cpu().clone()
            for name, value in network.layers.state_dict().items()
        }
        # the unit of both distances is the root mean square length
        root = (root / _mean_length(z @ root)).astype(np.float32)
        length = torch.tensor(_mean_length(z), dtype=torch.float32)
        return {**weights, WITHIN: torch.from_numpy(root), LENGTH: length}

    def _mean_ap(
        self, network: FeatureAggregation, images: TrainingGraph, held: Validation
    ) -> float:
        """The mAP of the weights as they are on validation identities, by the distance in use."""
        return self._scores(network, images, held, (self.distance,))[self.distance]

    def _scores(
        self,
        network: FeatureAggregation,
        images: TrainingGraph,
        held: Validation,
        distances: tuple[Distance, ...],
    ) -> dict[str, float]:
        """The mAP of the weights as they are on validation identities, by each distance."""
        network.eval()
        state = self._learned_state(network, images)
        retrieval_set = held.retrieval_set
        resources = retrieval_set.resources
        old = retrieval_set.gallery
        with resources.limits():
            graph = AffinityGraph.of(retrieval_set.neighbors(self.graph.k, side="gallery"))
            z = network.aggregate(old.vectors, graph, resources.device)[-1]
        scores: dict[str, float] = {}
        for distance in distances:
            new = Features(_in_space(z, state, distance), old.features.items, zero="keep")
            gallery = Gallery(new, metric="cosine" if distance == "cosine" else "euclidean")
            queries = new.take(retrieval_set.own)  # each is in the gallery
            blocks = _compared(RetrievalSet(queries, gallery, resources=resources))
            scores[distance] = round(held.score(blocks), 5)
        return scores

    def _network_of(self, retrieval_set: RetrievalSet) -> tuple[FeatureAggregation, Hashable]:
        """The fitted network, and what the gallery's states are kept under."""
        if self._fitted is None:
            self._fitted = fitted_network(self, self._build, WITHIN, weights=_layer_weights)
        network = self._fitted.for_set(retrieval_set, cosine_only=True)
        return network, (self._fitted.key, self.graph.k)

    def _build(self, width: int) -> FeatureAggregation:
        return FeatureAggregation(width, self.network.layers)


def _layer_weights(state: State) -> State:
    """The network's weights among what is learned."""
    return {
        f"layers.{name}": value for name, value in state.items() if name not in (WITHIN, LENGTH)
    }


def _compared(retrieval_set: RetrievalSet) -> Iterator[DistanceBlock]:
    """Distances of new vectors, in blocks."""
    held = retrieval_set.gallery.vectors.nbytes
    for start, stop in retrieval_set.blocks(fixed_bytes=held, what="fa-gcn distances"):
        yield retrieval_set.distance_block(start, retrieval_set.block(start, stop))


def _in_space(z: Vectors, state: State, distance: Distance) -> Vectors:
    """z where its distance is Euclidean, or the cosine's; the unit is the root mean square length
    of training images.
    """
    return z @ state[WITHIN].numpy() if distance == "mahalanobis" else z / state[LENGTH].numpy()


def _mean_length(z: Float64[np.ndarray, "n d"]) -> float:
    """Root mean square length; 1 where all are 0."""
    return float(np.sqrt(np.square(z).sum(axis=1).mean())) or 1.0
