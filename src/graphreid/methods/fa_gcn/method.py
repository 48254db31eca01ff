"""FA-GCN: every image's vector made anew from itself and its neighbours on the affinity graph of
the whole gallery.

Feature Aggregation Graph Convolutional Network, the first half of "FA-GCN and EC-GCN" for object
re-identification; `ec_gcn.py` is the other half, `fa_ec_gcn.py` both. Equations are that paper's.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs.aggregation import weighted_sum
from graphreid.graphs.csr import with_self
from graphreid.graphs.explanation import explain_receptive_field, single_query
from graphreid.graphs.sparse_adjacency import SparseAdjacency, receptive
from graphreid.knn.exact import Metric, block_distances
from graphreid.methods.fa_gcn.mahalanobis import within
from graphreid.methods.fitted import need_fitted, need_width, record, restored
from graphreid.methods.link_prediction.candidates import Lesson
from graphreid.methods.link_prediction.validation import Validation
from graphreid.models.losses import supervised_contrastive
from graphreid.protocols import ONLINE, TRANSDUCTIVE, Explanation, fingerprint, need_cosine
from graphreid.resources import Resources
from graphreid.seeding import generator, seeded
from graphreid.training.loop import cosine, optimise, stamp, steps
from graphreid.types import NORMAL, DistanceBlock, Features, Labels, Neighbors

Distance = Literal["mahalanobis", "euclidean", "cosine"]
DISTANCES: tuple[Distance, ...] = ("mahalanobis", "euclidean", "cosine")
PASSES = 20
"""Full-batch epochs that make one round of training, which ends with a checkpoint and a
validation.
"""
WITHIN, LENGTH = "within", "length"
"""Names of what the distances need, beside the layers' weights."""
Vectors = NDArray[np.float32]
State = dict[str, Tensor]


def affinity(near: Neighbors) -> Float32[np.ndarray, "n w"]:
    """A~ = D^-1 (A + I), a row an image: the weight of itself, then of each neighbour, by its
    cosine (Eqs. 1-2).

    A cosine below 0 counts as 0, so that D is positive.
    """
    similar = np.maximum(1 - near.distance, 0)
    weights = np.concatenate([np.ones((len(similar), 1), np.float32), similar], axis=1)
    return weights / weights.sum(axis=1, keepdims=True)


class Aggregation(nn.Module):
    """Z' = ReLU([Z || A~ Z] W), layer after layer (Eq. 2), and a classifier for training (Eq. 3).

    Args:
        inputs: entries of an embedding, d, and of what comes out.
        layers: how many.
        classes: identities; 0 leaves the classifier out.
    """

    def __init__(self, inputs: int, layers: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(2 * inputs, inputs, bias=False) for _ in range(layers)
        )
        self.classifier = nn.Linear(inputs, classes) if classes else None

    def forward(
        self, z: Float[Tensor, "n d"], graph: list[tuple[Tensor, SparseAdjacency]]
    ) -> Float[Tensor, "m d"]:
        """The last layer's nodes; for each layer its nodes' places among the nodes before, and
        their rows of A~.
        """
        for layer, (itself, adjacency) in zip(self.layers, graph, strict=True):
            z = torch.relu(layer(torch.cat([z[itself], adjacency @ z], 1)))
        return z

    @torch.inference_mode()
    def step(self, layer: int, z: Vectors, heard: Vectors, device: str) -> Vectors:
        """One layer for some nodes of which A~ Z is known."""
        out = np.empty_like(z)
        for start in range(0, len(z), 4096):
            part = slice(start, start + 4096)
            both = torch.from_numpy(np.concatenate([z[part], heard[part]], axis=1)).to(device)
            out[part] = torch.relu(self.layers[layer](both)).cpu().numpy()
        return out


@final
@dataclass(eq=False)
class FAGCN:
    """New vectors from a graph network on the nearest neighbours of all images, ranked by
    Mahalanobis distance.

    The defaults fit in minutes on two processor cores; `presets["paper"]` is as published for
    Market-1501.

    Attributes:
        k: neighbours that an image hears, by their cosine (Eq. 1). The paper has 3, 10 and 20 for
            its three data sets.
        layers: of the network (Eq. 2).
        distance: "mahalanobis", with the covariance of what differs within an identity;
            "euclidean"; or "cosine". It can be changed after the fit.
        setting: "online": the gallery's vectors are made of the gallery alone, and a query hears
            its nearest gallery images; "transductive": queries and gallery are one graph.
        identity_weight: of the identity loss beside the contrastive one; 1 is Eq. 7.
        tau: the contrastive loss's temperature (Eq. 6).
        include_self: an image stands in its own softmax, as Eq. 6 is printed.
        optimizer: "adam", or "adamw".
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: "steps", times 0.1 after 50, 80 and 90 % of the epochs, or "cosine", to 0 at the
            last.
        batch: identities whose images make a batch; None for all at once, and then a checkpoint and
            validation every 20 epochs.
        epochs: how often each image is learned from.
        patience: validations without a better mAP after which training stops; None for never.
        seed: of all that is random.

    Raises:
        ValueError: a value out of its range.
    """

    k: int = 7
    layers: int = 1
    distance: Distance = "mahalanobis"
    setting: str = ONLINE
    identity_weight: float = 0.0
    tau: float = 0.07
    include_self: bool = False
    optimizer: Literal["adam", "adamw"] = "adamw"
    rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["steps", "cosine"] = "cosine"
    batch: int | None = 64
    epochs: int = 20
    patience: int | None = None
    seed: int = 0

    state_: State = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: tuple[Aggregation, Hashable] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "fa-gcn"
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            **{"k": 3, "identity_weight": 1.0, "batch": None, "epochs": 2000, "patience": None},
            **{"optimizer": "adam", "rate": 1e-4, "weight_decay": 0.0, "schedule": "steps"},
        }
    }

    def __post_init__(self) -> None:
        for key in ("k", "layers", "epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 1")
        for key in ("identity_weight", "rate", "weight_decay"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must not be negative")
        if self.tau <= 0:
            raise ValueError(f"tau is {self.tau}: it must be positive")
        if self.batch is not None and self.batch < 2:
            raise ValueError(
                f"batch is {self.batch}: it must be at least 2, for there must be somebody else in "
                f"it"
            )
        if self.setting not in self.settings:
            raise ValueError(
                f"setting is {self.setting!r}: choose one of {', '.join(sorted(self.settings))}"
            )

    @property
    def metric(self) -> Metric:
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
        lesson = Lesson(
            train, labels, k1=self.k, k2=0, noise=0.0, seed=self.seed, resources=resources
        )
        held = (
            None
            if validation is None
            else Validation(*validation, train, lesson.labels, seed=self.seed, resources=resources)
        )
        graph = _Training(self, lesson)
        with seeded(self.seed):
            network = Aggregation(
                train.width, self.layers, graph.classes if self.identity_weight else 0
            ).to(resources.device)
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        rounds = graph.rounds
        history = optimise(
            network,
            kind(network.parameters(), self.rate, weight_decay=self.weight_decay),
            graph.batches,
            lambda rows: graph.losses(network, rows),
            epochs=rounds,
            seed=self.seed,
            schedule=cosine(rounds)
            if self.schedule == "cosine"
            else steps([0.5 * rounds, 0.8 * rounds, 0.9 * rounds]),
            validate=None
            if held is None
            else lambda _: self._scores(network, lesson, held, (self.distance,))[self.distance],
            patience=self.patience,
            folder=folder,
            stamp=stamp(self, (train, labels), validation),
            what=self.name,
            resources=resources,
        )
        self.state_, self._kept = self._settled(network, lesson), None
        self.record_ = record(lesson.labels, history, "fp32")
        self.record_["epochs"] = min(self.epochs, len(history) * graph.passes)
        if held is not None:
            scores = self._scores(network, lesson, held, DISTANCES)
            self.record_["validation"] = held.record(scores[self.distance]) | {
                "mAP_of_distance": scores
            }
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The queries' and the gallery's new vectors, of length 1 in the root mean square of
        training; `metric` compares them.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        retrieval_set, known = RetrievalSet(query, gallery, resources=resources), gallery.features
        queries, images = self._vectors(retrieval_set)
        make = lambda: Features(images, known.items, known.camera, "keep")  # noqa: E731
        key = (self._network(retrieval_set)[1], self.distance, "features")
        made = gallery.derived(key, make) if self.setting == ONLINE else make()
        return Features(queries, query.items, query.camera, "keep"), made

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: sqrt((z_p - z_g)^T M (z_p - z_g)).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        yield from _compared(retrieval_set, *self._vectors(retrieval_set), self.metric)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """A~ around one query: its nearest, whom these hear, and so on by layers; ranks before and
        after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        retrieval_set, union = (
            single_query(RetrievalSet(query, gallery, resources=resources)),
            self.setting == TRANSDUCTIVE,
        )
        block = next(_compared(retrieval_set, *self._vectors(retrieval_set), self.metric))
        every = (
            retrieval_set.neighbors(self.k, side="union")
            if union
            else retrieval_set.neighbors(self.k, side="gallery")
        )
        lists, weights = with_self(every.index), affinity(every)
        if union:
            near, said = every.index[retrieval_set.nodes[0]], weights[retrieval_set.nodes[0], 1:]
        else:
            mine = retrieval_set.neighbors(self.k, side="query")
            near, said = mine.index[0], affinity(mine)[0, 1:]
        return explain_receptive_field(
            retrieval_set, block, lists, weights, near, said, self.layers
        )

    def _vectors(self, retrieval_set: RetrievalSet) -> tuple[Vectors, Vectors]:
        """The new vectors of queries and gallery, in the space of the distance."""
        network, key = self._network(retrieval_set)
        resources = retrieval_set.resources
        if self.setting == TRANSDUCTIVE:
            union = _placed(
                self._states(
                    network,
                    retrieval_set.union_vectors,
                    retrieval_set.neighbors(self.k, side="union"),
                    resources,
                )[-1],
                self.state_,
                self.distance,
            )
            return union[retrieval_set.nodes], union[: retrieval_set.gallery_count]
        vectors = retrieval_set.gallery.vectors

        def made() -> list[Vectors]:
            near = retrieval_set.neighbors(self.k, side="gallery")
            return self._states(network, vectors, near, resources)

        states = retrieval_set.derived((key, "states"), made)
        images = retrieval_set.derived(
            (key, self.distance), lambda: _placed(states[-1], self.state_, self.distance)
        )
        near = retrieval_set.neighbors(self.k, side="query")
        weights, z = affinity(near), _scaled(retrieval_set.query_vectors)
        for layer, others in enumerate(states[:-1]):
            # the query's row of A~: itself, and gallery images as the gallery has them
            heard = weights[:, :1] * z + weighted_sum(
                others, near.index, weights[:, 1:], resources=resources
            )
            z = network.step(layer, z, heard, resources.device)
        queries = _placed(z, self.state_, self.distance)
        # a query that is in the gallery has its vector there
        there = retrieval_set.own >= 0
        queries[there] = images[retrieval_set.own[there]]
        return queries, images

    def _states(
        self, network: Aggregation, vectors: Vectors, near: Neighbors, resources: Resources
    ) -> list[Vectors]:
        """Z of every layer, the input's first."""
        lists, weights = with_self(near.index), affinity(near)
        states = [_scaled(vectors)]
        with resources.limits():
            for layer in range(self.layers):
                heard = weighted_sum(states[-1], lists, weights, resources=resources)
                states.append(network.step(layer, states[-1], heard, resources.device))
        return states

    def _settled(self, network: Aggregation, lesson: Lesson) -> State:
        """The weights as they are, and what the distances need of the training images' last Z."""
        retrieval_set = lesson.retrieval_set
        z = self._states(
            network,
            retrieval_set.gallery.vectors,
            retrieval_set.neighbors(self.k, side="gallery"),
            retrieval_set.resources,
        )[-1]
        rows = np.flatnonzero(lesson.labels.role == NORMAL)
        known = z[rows].astype(np.float64)
        root = within(known, lesson.labels.identity[rows])
        return {
            **{
                name: value.detach().cpu().clone()
                for name, value in network.layers.state_dict().items()
            },
            WITHIN: torch.from_numpy((root / _length(known @ root)).astype(np.float32)),
            LENGTH: torch.tensor(_length(known), dtype=torch.float32),
        }

    def _scores(
        self,
        network: Aggregation,
        lesson: Lesson,
        held: Validation,
        distances: tuple[Distance, ...],
    ) -> dict[str, float]:
        """The mAP of the weights as they are on validation identities, by each distance."""
        network.eval()
        state, retrieval_set = self._settled(network, lesson), held.retrieval_set
        z = self._states(
            network,
            retrieval_set.gallery.vectors,
            retrieval_set.neighbors(self.k, side="gallery"),
            retrieval_set.resources,
        )[-1]
        scores: dict[str, float] = {}
        for each in distances:
            images = _placed(z, state, each)
            metric: Metric = "cosine" if each == "cosine" else "euclidean"
            scores[each] = round(
                held.score(_compared(retrieval_set, images[retrieval_set.own], images, metric)), 5
            )
        return scores

    def _network(self, retrieval_set: RetrievalSet) -> tuple[Aggregation, Hashable]:
        need_cosine(retrieval_set, self.name)
        need_fitted(self)
        width = self.state_["0.weight"].shape[0]
        if self._kept is None:
            weights = {
                f"layers.{name}": value
                for name, value in self.state_.items()
                if name not in (WITHIN, LENGTH)
            }
            network = restored(lambda: Aggregation(width, self.layers, 0), weights, self.name)
            self._kept = network, fingerprint(self)[1]
        network, learned = self._kept
        need_width(retrieval_set, width, self.name)
        return network.to(retrieval_set.resources.device), (self.name, self.k, learned)


class _Training:
    """The graph of all training images, and the losses of some of them.

    Attributes:
        lesson: the images.
        classes: identities.
        rounds: parts of the training, each with a checkpoint.
    """

    def __init__(self, method: FAGCN, lesson: Lesson) -> None:
        lesson.batches(0, len(lesson.train))  # makes the pool; nothing in it changes with the epoch
        near = lesson.retrieval_set.neighbors(method.k, side="gallery")
        self.method, self.lesson = method, lesson
        self.lists, self.weights = with_self(near.index), affinity(near)
        self.device = lesson.resources.device
        self.vectors = torch.from_numpy(_scaled(lesson.retrieval_set.gallery.vectors)).to(
            self.device
        )
        rows = np.flatnonzero(lesson.labels.role == NORMAL)
        names, place = np.unique(lesson.labels.identity[rows], return_inverse=True)
        self.classes, self.label = len(names), np.full(len(lesson.train), -1)
        self.label[rows] = place
        self.rows_of = np.split(
            rows[np.argsort(place, kind="stable")], np.cumsum(np.bincount(place))[:-1]
        )
        self.passes = PASSES if method.batch is None else 1
        self.rounds = -(-method.epochs // self.passes)

    def batches(self, part: int) -> list[NDArray[np.intp]]:
        """The images of each batch of a round: all of some identities, drawn anew."""
        size, seed = self.method.batch, self.method.seed
        if size is None:
            passes = min(self.passes, self.method.epochs - part * self.passes)
            return [np.concatenate(self.rows_of)] * passes
        mixed = generator(seed, part, 0, 4).permutation(self.classes)
        chosen = [mixed[start : start + size] for start in range(0, self.classes, size)]
        return [np.concatenate([self.rows_of[identity] for identity in some]) for some in chosen]

    def losses(self, network: Aggregation, rows: NDArray[np.intp]) -> dict[str, Tensor]:
        """The contrastive loss of some images, and the identity loss (Eqs. 4-7)."""
        graph: list[tuple[Tensor, SparseAdjacency]] = []
        for nodes, heard in receptive(self.lists, rows, self.method.layers):
            itself = torch.from_numpy(heard[:, 0].astype(np.int64)).to(self.device)
            graph.append((itself, SparseAdjacency(heard, self.weights[nodes], self.device)))
        z = network(self.vectors, graph)
        label = torch.from_numpy(self.label[rows]).to(self.device)
        block = self.lesson.resources.rows(len(rows) * 16, what="the contrastive loss")
        losses = {
            "contrastive": supervised_contrastive(
                z, label, self.method.tau, include_self=self.method.include_self, rows=block
            )
        }
        if network.classifier is not None:
            losses["identity"] = self.method.identity_weight * functional.cross_entropy(
                network.classifier(z), label
            )
        return losses


def _compared(
    retrieval_set: RetrievalSet, queries: Vectors, images: Vectors, metric: Metric
) -> Iterator[DistanceBlock]:
    if metric == "cosine":
        queries, images = normalise(queries), normalise(images)
    for start, stop in retrieval_set.blocks(fixed_bytes=images.nbytes, what="fa-gcn distances"):
        yield retrieval_set.distance_block(
            start, block_distances(queries[start:stop], images, metric, retrieval_set.resources)
        )


def _placed(
    z: Float32[np.ndarray, "n d"], state: State, distance: Distance
) -> Float32[np.ndarray, "n d"]:
    """z where its distance is Euclidean, or the cosine's; the unit is the root mean square length
    of training images.
    """
    return z @ state[WITHIN].numpy() if distance == "mahalanobis" else z / state[LENGTH].numpy()


def _scaled(vectors: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Vectors of unit length with entries of unit size in the mean."""
    return vectors * np.float32(vectors.shape[1] ** 0.5)


def _length(z: Float64[np.ndarray, "n d"]) -> float:
    """Root mean square length; 1 where all are 0."""
    return float(np.sqrt(np.square(z).sum(axis=1).mean())) or 1.0
