"""HRNet: a query and its nearest are related as images and as pairs, and both decide the distance.

The paper: HRNet, hybrid relationships among individual and pairwise images (AAAI). Equations are
its own: the edges are in `graph`, the network in `model`, its losses in `losses`. `fit` trains it
on given embeddings; `models.hrnet` trains it together with the embedder, as the paper does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.ego_graphs import EgoGraphs, explain_graph, rescored_block
from graphreid.methods.fitting import (
    FittedNetwork,
    fit_network,
    fitted_network,
    half_precision,
    need_fitted,
)
from graphreid.methods.hrnet.losses import RelationObjective
from graphreid.methods.hrnet.model import HybridRelations, Related
from graphreid.methods.hrnet.options import Graphs, Losses, Network, Training
from graphreid.methods.hrnet.training_set import RelationTrainingSet
from graphreid.methods.link_prediction.calibration import fit_calibration
from graphreid.methods.link_prediction.scoring import (
    UNCALIBRATED,
    ScoredGraphs,
    link_probability,
)
from graphreid.options import NonNegative, check_options
from graphreid.resources import Resources, slices
from graphreid.types import DistanceBlock, Explanation, Features, Labels

GRAPHS = 16
"""Graphs that go through the network together."""


@final
@dataclass(eq=False)
class HRNet:
    """A graph of a query and its nearest gallery images, once with images as nodes and once with
    pairs.

    A distance is 1 - cosine of the images' new features, plus lam times 1 - the probability that a
    pair is of one identity. The defaults fit in minutes on two processor cores; `PAPER` is as
    published.

    Attributes:
        graphs: nodes and edges of the two graphs.
        network: which graphs there are, and their layers.
        losses: on the graphs.
        training: batches and schedule.
        lam: weight of 1 - probability in a distance.

    Raises:
        ValueError: a value out of its range.
    """

    graphs: Graphs = field(default_factory=Graphs)
    network: Network = field(default_factory=Network)
    losses: Losses = field(default_factory=Losses)
    training: Training = field(default_factory=Training)
    lam: NonNegative = 0.2

    state_: dict[str, Tensor] = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _fitted: FittedNetwork[HybridRelations] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "hrnet"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    PAPER: ClassVar[dict[str, Any]] = {
        "nodes": 120,
        "k": 10,
        "attention": "all",
        "init": "default",
        "layers": 1,
        "alpha": 0.9,
        "beta": 0.8,
        "lam": 1.0,
        "readout": "linear",
        "calibrate": False,
        "balance": False,
        "batches": "random",
        "rate": 3.5e-4,
        "weight_decay": 5e-4,
        "schedule": "steps",
        "epochs": 200,
        "patience": None,
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": PAPER}

    def __post_init__(self) -> None:
        check_options(self)
        if not (self.network.individual or self.lam):
            raise ValueError("lam is 0 and individual is off: nothing would tell images apart")

    @property
    def setting(self) -> Literal["online"]:
        """Always "online": no query has an influence on another."""
        return "online"

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
        options = self.training
        training_set = RelationTrainingSet(train, labels, options)

        def losses(objective: RelationObjective, rows: NDArray[np.intp]) -> dict[str, Tensor]:
            with half_precision(options.precision, resources.device):
                return objective(*training_set.take(rows, resources.device))

        epochs = options.epochs
        by_cosine = options.schedule == "cosine"
        fit = fit_network(
            self,
            build=lambda: self.objective(train.width, training_set.classes),
            batches=training_set.batches,
            losses=losses,
            score=lambda objective, held_out: held_out.score(
                RelationScorer(self, objective.relations, held_out.retrieval_set).distances()
            ),
            train=(train, labels),
            used_labels=training_set.labels,
            validation=validation,
            options=options,
            epochs=epochs,
            milestones=None if by_cosine else (0.2 * epochs, 0.6 * epochs),
            precision=options.precision,
            resources=resources,
            folder=folder,
        )
        network = fit.module.relations
        held_out = fit.validation
        self.learned(network)
        self.record_ = fit.record
        if held_out is not None:
            scorer = RelationScorer(self, network, held_out.retrieval_set)
            if self.network.pairwise and options.calibrate:
                self.calibration_ = fit_calibration(scorer, held_out)
            score = held_out.score(scorer.distances(self.calibration_))
            self.record_["validation"] = held_out.record(score)
        return self

    def learned(self, network: HybridRelations) -> None:
        """Take a network that was trained, here or together with an embedder."""
        self.state_ = {key: value.detach().cpu() for key, value in network.state_dict().items()}
        self.calibration_ = [*UNCALIBRATED]
        self._fitted = None

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: 1 - cosine + lam (1 - probability),
        beyond the graph d_o + 2 + lam.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        yield from scorer.distances(self.calibration_)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """A o C of one query's graph, of the last layer (with no graph of images, G), and ranks
        before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        return scorer.explain(self.calibration_)

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
        scorer = self.scorer(RetrievalSet(features, Gallery(features), resources=resources))
        unit = scorer.images
        with scorer.retrieval_set.resources.limits(), torch.inference_mode():
            return scorer.network(unit[None] * unit.shape[1] ** 0.5, len(features))

    def objective(self, width: int, classes: int) -> RelationObjective:
        """The two graphs, not trained, and what they are trained by (Eq. 14)."""
        return RelationObjective(self._build(width), width, classes, self.losses)

    def scorer(self, retrieval_set: RetrievalSet) -> "RelationScorer":
        """The fitted network for some queries and a gallery.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        if self._fitted is None:
            need_fitted(self)
            any_map = next(name for name in self.state_ if name.endswith("map.weight"))
            self._fitted = fitted_network(self, self._build, any_map)
        network = self._fitted.for_set(retrieval_set, cosine_only=True)
        return RelationScorer(self, network, retrieval_set)

    def _build(self, width: int) -> HybridRelations:
        return HybridRelations(width, self.graphs, self.network)


class Scores(NamedTuple):
    """What the two graphs say of b queries' k nearest."""

    distance: Float32[np.ndarray, "b k"]
    logits: Float32[np.ndarray, "b k"]  # 0 with no graph of pairs


class RelationScorer:
    """A network with the queries and the gallery that it scores.

    Args:
        method: its options.
        network: fitted or in training.
        retrieval_set: queries and gallery.
    """

    def __init__(
        self, method: HRNet, network: HybridRelations, retrieval_set: RetrievalSet
    ) -> None:
        self.method = method
        self.network = network.eval()
        self.retrieval_set = retrieval_set
        device = retrieval_set.resources.device
        self.images = torch.from_numpy(retrieval_set.gallery.vectors).to(device)
        self.graphs = EgoGraphs.of_queries(retrieval_set, method.graphs.nodes)

    @property
    def graph_bytes(self) -> int:
        """Of a node ten rows of its width; of a pair of nodes six weights."""
        n = min(self.method.graphs.nodes, len(self.retrieval_set.gallery)) + 1
        return n * 40 * self.images.shape[1] + n * n * 24

    def score(self, queries: slice) -> ScoredGraphs:
        """Nodes and logits of some queries, for the calibration."""
        nodes = self.graphs.nearest.index[queries]
        logits = self._scores(self._related(queries)).logits
        return ScoredGraphs(nodes, logits, np.empty((len(nodes), 0, 0), np.float32))

    def distances(self, calibration: Sequence[float] = UNCALIBRATED) -> Iterator[DistanceBlock]:
        """Distances and probabilities of all queries, in blocks; with no graph of pairs, distances
        alone.

        Args:
            calibration: slope and offset of the logit, for the probabilities alone.
        """
        for start, stop in self.retrieval_set.blocks(self.graph_bytes, what="hrnet graphs"):
            parts = [self._scores(self._related(part)) for part in slices(start, stop, GRAPHS)]
            scores = Scores(*(np.concatenate(each) for each in zip(*parts, strict=True)))
            yield self._block(start, scores, calibration)

    def explain(self, calibration: Sequence[float]) -> Explanation:
        """The graph of the only query."""
        related = self._related(slice(0, 1))
        if related.weights is not None:
            adjacency = related.weights[0]
        else:
            assert related.pairs is not None  # noqa: S101  # one graph at least there is
            adjacency = related.pairs[0, 0]
        block = self._block(0, self._scores(related), calibration)
        return explain_graph(self.graphs, block, adjacency.float().cpu().numpy())

    def _related(self, part: slice) -> Related:
        """Both graphs of some queries; node 0 is the query, and the one anchor."""
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            unit = self.graphs.features(part, self.images)  # [b, n, d]
            return self.network(unit * unit.shape[2] ** 0.5, 1)

    def _scores(self, related: Related) -> Scores:
        distance = logits = torch.zeros_like(related.images[0][:, 1:, 0])
        if related.weights is not None:
            x = functional.normalize(related.images[-1].float(), dim=2)
            distance = (1 - (x[:, 1:] @ x[:, 0, :, None])[..., 0]).clamp(min=0)
        if related.logits is not None:
            logits = related.logits[:, 0, 1:].float()
            distance = distance + self.method.lam * torch.sigmoid(-logits)
        return Scores(distance.cpu().numpy(), logits.cpu().numpy())

    def _block(self, start: int, scores: Scores, calibration: Sequence[float]) -> DistanceBlock:
        probability = None
        if self.method.network.pairwise:
            probability = link_probability(scores.logits, calibration)
        offset = self.method.unscored_offset
        return rescored_block(self.graphs, start, scores.distance, offset, probability)
