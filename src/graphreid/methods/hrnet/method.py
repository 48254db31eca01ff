"""HRNet: a query and its nearest hear each other as images and as pairs, and both say who shows the
query's identity.

The paper: HRNet, hybrid relationships among individual and pairwise images (AAAI). Equations are
its own; the two graphs
are in `nn.relations`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs import ego_graphs as neighborhood
from graphreid.graphs.ego_graphs import Around, explained, rescored
from graphreid.graphs.explanation import single_query
from graphreid.methods.fitted import need_fitted, need_width, record, restored
from graphreid.methods.hrnet.relations import (
    IndividualRelation,
    PairwiseRelation,
    Related,
    RelationObjective,
    Relations,
)
from graphreid.methods.link_prediction.candidates import Judged, linked
from graphreid.methods.link_prediction.validation import UNCALIBRATED, Validation
from graphreid.protocols import ONLINE, Explanation, need_cosine
from graphreid.resources import Resources, slices
from graphreid.seeding import generator, seeded
from graphreid.training.loop import cosine, optimise, stamp, steps
from graphreid.training.precision import Precision, bf16, trained_in
from graphreid.training.samplers import near_batches, pk_batches
from graphreid.types import DistanceBlock, Features, Labels, drop_junk

GRAPHS = 16
"""Graphs that go through the network together."""


@final
@dataclass(eq=False)
class HRNet:
    """A graph of a query and its nearest gallery images, once with images as nodes and once with
    pairs.

    A distance is 1 - cosine of the images' new features, plus lam times 1 - the probability that a
    pair is of one identity.

    The defaults fit in minutes on two processor cores; `presets["paper"]` is as published.

    Attributes:
        nodes: gallery images in a graph beside the query, at most those there are.
        individual: the graph of images ("IR" in Table 1). pairwise: the graph of pairs ("PR").
        constraint: lambda, the weight of the consistent node constraint ("CNC", Eqs. 4-5); 0 for
            none.
        propagation: let pairs hear their images ("IGP", Eqs. 7-9).
        k: images that an image hears, itself counted (Eq. 1).
        graph: "local", the k nearest, or "full", all ("IR*" in Table 1).
        attention: a softmax over "all" nodes, as printed, or over the "linked" ones.
        self_in_c: an image is among its own k nearest; beside it I adds the image itself in any
            case.
        init: weights begin at random ("default"), or W of the graph of images as the identity
            ("identity"), and pairs with the differences of their images' new features.
        layers: of the graph of images.
        edges: pairs that a pair hears, the nearest and itself counted, or "full" (Fig. 4).
        alpha: how much of a pair is kept. beta: how much of what it hears comes from pairs, and not
            from images (Eq. 7).
        lam: weight of 1 - probability in a distance.
        readout: the probability is a linear function of u', as printed, or of its "absolute"
            entries: a difference and its negative then say the same.
        margin: omega of the constraint.
        smoothing: of the labels of the graph of images.
        balance: in Eq. 13, pairs of one identity weigh as much as those of two, all together.
        batches: of identities drawn at "random", or of some that are "near" each other, as they are
            in a graph at test.
        identities: in a batch. images: of each of them.
        rate: the learning rate of Adam at its highest.
        weight_decay: of all weights.
        schedule: "steps", a tenth after 0.2 and 0.6 of the epochs, or "cosine", to 0 at the last
            epoch.
        epochs: how often the training images are gone through, at most.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length, against their
            being closer together than those of identities that the embedder has not seen.
        calibrate: fit slope and offset of the logit on the validation identities, for the
            probabilities that are told; distances have the network's own, for a larger gallery is
            harder.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it. It matters for
            training alone.
        seed: of all that is random.

    Raises:
        ValueError: a value out of its range.
    """

    nodes: int = 300
    individual: bool = True
    pairwise: bool = True
    constraint: float = 0.1
    propagation: bool = True
    k: int = 10
    graph: Literal["local", "full"] = "local"
    attention: Literal["all", "linked"] = "linked"
    self_in_c: bool = True
    init: Literal["default", "identity"] = "identity"
    layers: int = 2
    edges: int | Literal["full"] = "full"
    alpha: float = 0.1
    beta: float = 0.1
    lam: float = 0.2
    readout: Literal["linear", "absolute"] = "absolute"
    margin: float = 0.3
    smoothing: float = 0.1
    balance: bool = False
    batches: Literal["random", "near"] = "random"
    identities: int = 11
    images: int = 6
    rate: float = 1e-3
    weight_decay: float = 5e-4
    schedule: Literal["steps", "cosine"] = "cosine"
    epochs: int = 15
    patience: int | None = None
    noise: float = 0.0
    calibrate: bool = True
    precision: Precision = "auto"
    seed: int = 0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: Relations | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "hrnet"
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            **{"nodes": 120, "k": 10, "attention": "all", "init": "default", "layers": 1},
            **{"alpha": 0.9, "beta": 0.8, "lam": 1.0, "readout": "linear", "calibrate": False},
            **{"balance": False, "batches": "random", "rate": 3.5e-4, "weight_decay": 5e-4},
            **{"schedule": "steps", "epochs": 200, "patience": None},
        }
    }

    def __post_init__(self) -> None:
        for key in ("nodes", "k", "layers", "epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 1")
        for key in ("identities", "images"):
            if getattr(self, key) < 2:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 2")
        for key in ("rate", "weight_decay", "noise", "margin", "constraint", "lam"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must not be negative")
        for key in ("alpha", "beta", "smoothing"):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be between 0 and 1")
        if self.edges != "full" and self.edges < 1:
            raise ValueError(f"edges is {self.edges}: it must be at least 1, or full")
        if not (self.individual or self.pairwise):
            raise ValueError("individual and pairwise are both off: one graph at least is needed")
        if not (self.individual or self.lam):
            raise ValueError("lam is 0 and individual is off: nothing would tell images apart")

    @property
    def setting(self) -> str:
        """Always "online": no query has an influence on another."""
        return ONLINE

    @property
    def unscored_offset(self) -> float:
        """2 + lam, more than any distance of an image in the graph."""
        return 2 + self.lam

    @property
    def min_distance(self) -> float:
        """0: neither part of a distance is below it."""
        return 0.0

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> "HRNet":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        The losses on the embedder's own features (L_cl, L_tr) have nothing to train, and are left
        out.

        Args:
            train: the images, distractors left out; `labels` theirs.
            validation: images of other identities: the best epoch by their mAP is kept.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint after each epoch; where there is one, training goes on from
                it.

        Raises:
            ValueError: fewer than two identities, none with two images, or an identity is in both
                sets.
        """
        resources = resources or Resources()
        lesson = _Lesson(self, train, labels, resources)
        held = (
            None
            if validation is None
            else Validation(*validation, train, lesson.labels, seed=self.seed, resources=resources)
        )
        with seeded(self.seed):
            objective = self.objective(train.width, lesson.classes).to(resources.device)
        network, half = objective.relations, bf16(self.precision, resources.device)

        def losses(rows: NDArray[np.intp]) -> dict[str, Tensor]:
            with torch.autocast(torch.device(resources.device).type, torch.bfloat16, enabled=half):
                return objective(*lesson.take(rows))

        history = optimise(
            objective,
            torch.optim.Adam(objective.parameters(), self.rate, weight_decay=self.weight_decay),
            lesson.batches,
            losses,
            epochs=self.epochs,
            seed=self.seed,
            schedule=cosine(self.epochs)
            if self.schedule == "cosine"
            else steps((0.2 * self.epochs, 0.6 * self.epochs)),
            validate=None
            if held is None
            else lambda _: held.score(_Judging(self, network, held.retrieval_set).distances()),
            patience=self.patience,
            folder=folder,
            stamp=stamp(self, (train, labels), validation),
            what=self.name,
            resources=resources,
        )
        self.learned(network)
        self.record_ = record(lesson.labels, history, trained_in(self.precision, resources.device))
        if held is not None:
            judging = _Judging(self, network, held.retrieval_set)
            if self.pairwise and self.calibrate:
                self.calibration_ = held.calibration(judging)
            self.record_["validation"] = held.record(
                held.score(judging.distances(self.calibration_))
            )
        return self

    def learned(self, network: Relations) -> None:
        """Take a network that was trained, here or together with an embedder."""
        self.state_ = {key: value.detach().cpu() for key, value in network.state_dict().items()}
        self.calibration_, self._kept = [*UNCALIBRATED], None

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: 1 - cosine + lam (1 - probability),
        beyond the graph d_o + tail.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        yield from self.judging(RetrievalSet(query, gallery, resources=resources)).distances(
            self.calibration_
        )

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """A o C of one query's graph, of the last layer (with no graph of images, G), and ranks
        before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        return self.judging(
            single_query(RetrievalSet(query, gallery, resources=resources))
        ).explained(self.calibration_)

    def build(self, width: int) -> Relations:
        """The two graphs, not trained."""
        k, linked = "full" if self.graph == "full" else self.k, self.attention == "linked"
        layers = [
            IndividualRelation(width, k, self_in_c=self.self_in_c, linked=linked)
            for _ in range(self.layers * self.individual)
        ]
        pairwise = PairwiseRelation(
            width,
            self.alpha,
            self.beta,
            propagate=self.propagation,
            edges=self.edges,
            absolute=self.readout == "absolute",
        )
        relations = Relations(layers, pairwise if self.pairwise else None)
        if self.init == "identity":
            relations.begin()
        return relations

    def graph_weights(
        self, features: Features, *, resources: Resources | None = None
    ) -> dict[str, Float32[np.ndarray, "n n"]]:
        """A o C of some images, and the sum of their graphs of pairs, G: what the paper's Fig. 5
        shows.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        related = self.related(features, resources=resources)
        made: dict[str, Float32[np.ndarray, "n n"]] = {}
        if related.weights is not None:
            made["A o C, images"] = related.weights[0].float().cpu().numpy()
        if related.pairs is not None:
            made["G, pairs"] = related.pairs[0].float().sum(0).cpu().numpy()
        return made

    def related(self, features: Features, *, resources: Resources | None = None) -> Related:
        """Both graphs over some images, each an anchor, as in training.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        judging = self.judging(RetrievalSet(features, Gallery(features), resources=resources))
        with judging.retrieval_set.resources.limits(), torch.inference_mode():
            return judging.network(
                judging.images[None] * judging.images.shape[1] ** 0.5, len(features)
            )

    def objective(self, width: int, classes: int) -> RelationObjective:
        """The two graphs, not trained, and what they are trained by (Eq. 14)."""
        return RelationObjective(
            self.build(width),
            width,
            classes,
            smoothing=self.smoothing,
            margin=self.margin,
            constraint=self.constraint,
            balance=self.balance,
        )

    def judging(self, retrieval_set: RetrievalSet) -> "_Judging":
        """The network at work on a pool.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        need_cosine(retrieval_set, self.name)
        need_fitted(self)
        width = next(
            value.shape[1] for key, value in self.state_.items() if key.endswith("map.weight")
        )
        if self._kept is None:
            self._kept = restored(lambda: self.build(width), self.state_, self.name)
        need_width(retrieval_set, width, self.name)
        return _Judging(self, self._kept.to(retrieval_set.resources.device), retrieval_set)


class _Lesson:
    """Batches of identities with some images each."""

    def __init__(
        self, method: HRNet, train: Features, labels: Labels, resources: Resources
    ) -> None:
        self.method, self.device = method, resources.device
        features, self.labels = drop_junk(train, labels)
        target, self.classes = neighborhood.classes(self.labels)
        if self.classes < 2:
            raise ValueError(
                "training needs images of at least 2 identities (junk and distractors don't count)"
            )
        self.features, self.target = features.take(target >= 0), target[target >= 0]
        self.unit = normalise(self.features.vectors)

    def batches(self, epoch: int) -> list[NDArray[np.intp]]:
        """Begin an epoch: its batches of images."""
        method = self.method
        if method.noise:
            self.unit = neighborhood.loosened(
                self.features, method.noise, generator(method.seed, epoch, 0, 5)
            )
        size = {"identities": min(method.identities, self.classes), "images": method.images}
        if method.batches == "near":
            return near_batches(self.target, self.unit, **size, seed=method.seed, epoch=epoch)
        return pk_batches(self.target, **size, seed=method.seed, epoch=epoch)

    def take(self, rows: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """Vectors [n, d] and classes [n]."""
        return torch.from_numpy(self.unit[rows]).to(self.device), torch.from_numpy(
            self.target[rows]
        ).to(self.device)


class _Judging:
    """A network at work on one pool."""

    def __init__(self, method: HRNet, network: Relations, retrieval_set: RetrievalSet) -> None:
        self.method, self.network, self.retrieval_set, self.device = (
            method,
            network.eval(),
            retrieval_set,
            retrieval_set.resources.device,
        )
        self.images = torch.from_numpy(retrieval_set.gallery.vectors).to(self.device)
        self.around = Around.queries(retrieval_set, method.nodes)

    @property
    def graph_bytes(self) -> int:
        """Of a node ten rows of its width; of a pair of nodes six weights."""
        n = min(self.method.nodes, len(self.retrieval_set.gallery)) + 1
        return n * 40 * self.images.shape[1] + n * n * 24

    def related(self, part: slice) -> Related:
        """Both graphs of some queries; node 0 is the query, and the one anchor."""
        near = torch.from_numpy(self.around.near.index[part]).to(self.device).long()
        own = torch.from_numpy(self.around.vectors[part]).to(self.device)[:, None]
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            return self.network(torch.cat([own, self.images[near]], 1) * own.shape[2] ** 0.5, 1)

    def judge(self, part: slice) -> Judged:
        """Nodes and logits of some queries; with no graph of pairs logits are 0."""
        nodes = self.around.near.index[part]
        return nodes, self._scores(self.related(part))[1], np.empty((len(nodes), 0, 0), np.float32)

    def distances(self, calibration: Sequence[float] = UNCALIBRATED) -> Iterator[DistanceBlock]:
        """Distances and probabilities of all queries, in blocks; with no graph of pairs, distances
        alone.
        """
        for start, stop in self.retrieval_set.blocks(self.graph_bytes, what="hrnet graphs"):
            scores = [self._scores(self.related(part)) for part in slices(start, stop, GRAPHS)]
            apart, logits = (np.concatenate(each) for each in zip(*scores, strict=True))
            yield self._block(start, apart, logits, calibration)

    def explained(self, calibration: Sequence[float]) -> Explanation:
        """The graph of the only query."""
        related = self.related(slice(0, 1))
        weights = (
            related.pairs[:, 0]
            if related.weights is None and related.pairs is not None
            else related.weights
        )
        assert weights is not None  # noqa: S101  # one graph at least there is
        block = self._block(0, *self._scores(related), calibration)
        return explained(self.around, block, weights[0].float().cpu().numpy())

    def _scores(
        self, related: Related
    ) -> tuple[Float32[np.ndarray, "b k"], Float32[np.ndarray, "b k"]]:
        """Distances to each query's nearest, and logits; 0 with no graph of pairs."""
        apart = logits = torch.zeros_like(related.images[0][:, 1:, 0])
        if related.weights is not None:
            x = functional.normalize(related.images[-1].float(), dim=2)
            apart = (1 - (x[:, 1:] @ x[:, 0, :, None])[..., 0]).clamp(min=0)
        if related.logits is not None:
            logits = related.logits[:, 0, 1:].float()
            apart = apart + self.method.lam * torch.sigmoid(-logits)
        return apart.cpu().numpy(), logits.cpu().numpy()

    def _block(
        self,
        start: int,
        apart: Float32[np.ndarray, "b k"],
        logits: Float32[np.ndarray, "b k"],
        calibration: Sequence[float],
    ) -> DistanceBlock:
        told = linked(logits, calibration) if self.method.pairwise else None
        return rescored(self.around, start, apart, self.method.unscored_offset, told)
