"""SGGNN: pair features of a query's nearest images, mixed by how similar those images are.

Shen, Li, Yi, Chen, Wang: Person Re-identification with Deep Similarity-Guided Graph Neural
Network, ECCV 2018. Here it runs on frozen embeddings: the image network below the pair features is
the embedder's part. `graph.py` has its nodes, `model.py` its network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.query_graphs import Candidates
from graphreid.methods.fitting import FittedNetwork, fitted_network
from graphreid.methods.link_prediction.scoring import (
    ScoredGraphs,
    distance_blocks,
    explain_links,
)
from graphreid.methods.link_prediction.training import Batch, LinkTrainingSet, train_links
from graphreid.methods.sggnn.graph import graph_nodes
from graphreid.methods.sggnn.model import SGGNNNetwork
from graphreid.methods.sggnn.options import Graph, Network, Training
from graphreid.options import NonNegative, check_options
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Explanation, Features, Labels


@final
@dataclass(eq=False)
class SGGNN:
    """A complete graph of the k nearest gallery images of each query, in which a network predicts
    links.

    Attributes:
        graph: nodes.
        network: sizes and the share of messages.
        training: optimizer and schedule.
        lam: the weight of 1 - probability in the distance; "auto" chooses it on the validation
            identities.

    Raises:
        ValueError: a value out of its range.
    """

    graph: Graph = field(default_factory=Graph)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)
    lam: NonNegative | Literal["auto"] = 1.0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _fitted: FittedNetwork[SGGNNNetwork] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "sggnn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def setting(self) -> Literal["online"]:
        """Always "online": no query has an influence on another."""
        return "online"

    @property
    def unscored_offset(self) -> float:
        """lam: what is added to the base distance of an image outside the graph."""
        return self.lam_ if self.lam == "auto" else self.lam

    @property
    def min_distance(self) -> float:
        """0: neither the base distance nor lam (1 - probability) is below it."""
        return 0.0

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> "SGGNN":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        Args:
            train: embeddings; each image in turn is the query and the others are its gallery.
            labels: of the images.
            validation: images of other identities. The epoch of their best mAP is kept;
                calibration and lam "auto" follow them.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint after each epoch; a later call goes on from it.

        Raises:
            ValueError: no identity has two images, an identity is in both sets, or lam is "auto"
                without validation.
        """
        options = self.training
        training_set = LinkTrainingSet(
            train,
            labels,
            k1=self.graph.k,
            k2=0,
            noise=options.noise,
            seed=options.seed,
            resources=resources or Resources(),
        )
        fit = train_links(
            self,
            network=lambda: self._build(train.width),
            training_set=training_set,
            logits=lambda network, queries: self._logits(network, training_set, queries),
            loss=functional.binary_cross_entropy_with_logits,
            scorer=lambda network, retrieval_set: SGGNNScorer(network, self.graph, retrieval_set),
            batches=lambda epoch: training_set.batches(epoch, options.batch),
            options=options,
            validation=validation,
            folder=folder,
        )
        self.state_ = fit.state
        self.lam_ = fit.lam
        self.calibration_ = fit.calibration
        self.record_ = fit.record
        self._fitted = None
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """d_o + lam (1 - probability) of every query to the gallery, in blocks.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        yield from distance_blocks(scorer, self.unscored_offset, self.calibration_, self.name)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The graph of one query: W, each node's probability, its rank before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        return explain_links(scorer, self.unscored_offset, self.calibration_)

    def scorer(self, retrieval_set: RetrievalSet) -> "SGGNNScorer":
        """The fitted network for some queries and a gallery.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        if self._fitted is None:
            self._fitted = fitted_network(self, self._build, "norm.weight")
        return SGGNNScorer(self._fitted.for_set(retrieval_set), self.graph, retrieval_set)

    def _build(self, inputs: int) -> SGGNNNetwork:
        return SGGNNNetwork(inputs, self.network)

    def _logits(
        self, network: SGGNNNetwork, training_set: LinkTrainingSet, queries: Batch
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Logits and targets of the nodes of some queries' graphs."""
        nodes = graph_nodes(training_set.candidates.take(queries), self.graph)
        gallery = training_set.vectors(nodes)  # [b, n, d]
        real = torch.from_numpy(nodes >= 0).to(gallery.device)
        logits = network(training_set.vectors(queries), gallery, real)[0]  # [b, n]
        targets = torch.from_numpy(training_set.targets(queries, nodes)).to(gallery.device)
        return logits[real], targets[real]


class SGGNNScorer:
    """A network with the queries and the gallery that it scores."""

    def __init__(self, network: SGGNNNetwork, options: Graph, retrieval_set: RetrievalSet) -> None:
        self.network = network.eval()
        self.options = options
        self.retrieval_set = retrieval_set
        self.device = retrieval_set.resources.device
        self.candidates = Candidates.of(retrieval_set, options.k, 0)
        self.gallery = torch.from_numpy(retrieval_set.gallery.vectors).to(self.device)

    @property
    def graph_bytes(self) -> int:
        """Memory of a graph: each node has three input rows and four hidden ones, each pair of
        nodes two weights and an edge.
        """
        n = min(self.options.k, len(self.retrieval_set.gallery))
        feature = self.network.feature
        return n * 4 * (3 * feature.in_features + 4 * feature.out_features) + n * n * 9

    def score(self, queries: slice) -> ScoredGraphs:
        """Logits and adjacency of some queries' graphs."""
        nodes = graph_nodes(self.candidates.take(queries), self.options)
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            rows = torch.from_numpy(nodes).to(self.device).long()
            near = self.gallery.index_select(0, rows.clamp(min=0).flatten())
            near = near.view(*rows.shape, -1)  # [b, n, d]
            query = torch.from_numpy(self.retrieval_set.query_vectors[queries]).to(self.device)
            scale = near.shape[2] ** 0.5  # as in training: entries of about unit variance
            logits, weights = self.network(query * scale, near * scale, rows >= 0)
        return ScoredGraphs(nodes, logits.cpu().numpy(), weights.cpu().numpy())
