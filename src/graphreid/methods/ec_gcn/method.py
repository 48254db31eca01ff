"""EC-GCN: link prediction on a graph of each query's nearest images and their neighbours.

Evaluation Connectivity Graph Convolutional Network, the second half of "FA-GCN and EC-GCN" for
object re-identification; `methods/fa_gcn` is the other half, `methods/fa_ec_gcn` both. Equations
are that paper's. `graph.py` has its graphs (Eqs. 8-10), `model.py` its network (Eq. 11), this file
the loss (Eq. 12) and distances (Eq. 13).
"""

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.query_graphs import Candidates
from graphreid.graphs.sparse_adjacency import SparseAdjacency, receptive_fields
from graphreid.methods.ec_gcn.graph import (
    gallery_neighbors,
    most_nodes,
    packed_query_graphs,
    random_probability_sampler,
)
from graphreid.methods.ec_gcn.model import ECGCNNetwork
from graphreid.methods.ec_gcn.options import Graph, Network, Training
from graphreid.methods.fitting import FittedNetwork, fitted_network
from graphreid.methods.link_prediction.scoring import (
    ScoredGraphs,
    distance_blocks,
    explain_links,
)
from graphreid.methods.link_prediction.training import (
    Batch,
    LinkTrainingSet,
    focal_loss,
    train_links,
)
from graphreid.options import NonNegative, check_options
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Explanation, Features, Labels


@final
@dataclass(eq=False)
class ECGCN:
    """A graph of each query's k1 nearest images and their neighbours, in which a network predicts
    links to the k1.

    The link probability of an image is that it shows the query's identity. The defaults fit in
    minutes on two processor cores; `PAPER` is as published.

    Attributes:
        graph: nodes and edges.
        network: layers and sizes.
        training: sampler, loss, optimizer and schedule.
        lam: lambda of Eq. 13, the weight of 1 - probability, 0.4 in the paper; "auto" chooses it on
            the validation identities.

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
    _fitted: FittedNetwork[ECGCNNetwork] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "ec-gcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    # the optimizer is not named in the paper: CAGCN's
    PAPER: ClassVar[dict[str, Any]] = {
        "k1": 200,
        "lam": 0.4,
        "loss": "focal",
        "layers": 5,
        "width": 4096,
        "optimizer": "sgd",
        "rate": 0.01,
        "weight_decay": 1e-4,
        "schedule": "steps",
        "batch": 1,
        "queries": None,
        "epochs": 4,
        "patience": None,
        "noise": 0.0,
        "calibrate": False,
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
        """lam: what is added to the base distance of an image without a link probability."""
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
    ) -> "ECGCN":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        Args:
            train: embeddings; images are the query in turn and the others are their gallery.
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
        k1 = self.graph.k1
        training_set = LinkTrainingSet(
            train,
            labels,
            k1=math.ceil(options.gamma * k1) if options.sampler == "rpgs" else k1,
            k2=gallery_neighbors(self.graph),
            noise=options.noise,
            seed=options.seed,
            resources=resources or Resources(),
            metric=options.metric,
        )
        queries = len(training_set.queries) if options.queries is None else options.queries
        count = -(-queries // options.batch)  # batches of an epoch; the last may be smaller
        fit = train_links(
            self,
            network=lambda: self._build(train.width),
            training_set=training_set,
            logits=lambda network, queries: self._logits(network, training_set, queries),
            loss=self._loss,
            scorer=lambda network, retrieval_set: ECGCNScorer(network, self.graph, retrieval_set),
            batches=lambda epoch: training_set.batches(epoch, options.batch)[:count],
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
        """d_o + lam (1 - probability) of every query to the gallery, in blocks (Eq. 13).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        yield from distance_blocks(scorer, self.unscored_offset, self.calibration_, self.name)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The graph of one query: A~ of Eq. 10, each node's probability (0 for second-hop images),
        its rank before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        scorer = self.scorer(retrieval_set, all_nodes=True)
        return explain_links(scorer, self.unscored_offset, self.calibration_)

    def scorer(self, retrieval_set: RetrievalSet, *, all_nodes: bool = False) -> "ECGCNScorer":
        """The fitted network for some queries and a gallery.

        Args:
            retrieval_set: queries and gallery.
            all_nodes: give second-hop nodes and the adjacency too, as an explanation shows them.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        if self._fitted is None:
            self._fitted = fitted_network(self, self._build, "maps.0.weight")
        network = self._fitted.for_set(retrieval_set)
        key = self._fitted.key
        return ECGCNScorer(network, self.graph, retrieval_set, key, all_nodes=all_nodes)

    def _build(self, inputs: int) -> ECGCNNetwork:
        return ECGCNNetwork(inputs, self.network)

    def _logits(
        self, network: ECGCNNetwork, training_set: LinkTrainingSet, queries: Batch
    ) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
        """Logits and targets of the first-hop nodes of some queries' graphs."""
        candidates = training_set.candidates.take(queries)
        if self.training.sampler == "rpgs":
            candidates = self._drawn(candidates, training_set, queries)
        graphs = packed_query_graphs(candidates, self.graph)
        device = training_set.resources.device
        # F W once for each image of the batch: graphs share many
        images, place = np.unique(np.concatenate([graphs.rows, queries]), return_inverse=True)
        of_node, of_query = np.split(place.astype(np.int32), [len(graphs.rows)])
        neighbors = np.where(graphs.neighbors >= 0, of_node[graphs.neighbors], -1)
        query = torch.from_numpy(of_query[graphs.graph].astype(np.int64)).to(device)  # [m]
        with torch.autocast(torch.device(device).type, enabled=False):
            mapped = network.maps[0](training_set.vectors(images))
            product = network.first_product(mapped, neighbors, mapped[query])  # [m, h]
        # all nodes in each layer, unlike inference: batch norm sees all of V(p)
        adjacency = SparseAdjacency(graphs.neighbors, None, device)
        z = network(product, [adjacency] * (self.network.layers - 1))
        logits = network.link_logits(z[torch.from_numpy(graphs.scored).to(device)])
        targets = training_set.targets(queries, graphs.first_hop)[graphs.first_hop >= 0]
        return logits, torch.from_numpy(targets).to(device)

    def _drawn(
        self, candidates: Candidates, training_set: LinkTrainingSet, queries: Batch
    ) -> Candidates:
        """Candidates whose first hop RPGS has drawn, seeded by query and epoch."""
        nearest = candidates.nearest
        positive = training_set.targets(queries, nearest) > 0.5
        keys = [[self.training.seed, training_set.epoch, int(query), 7] for query in queries]
        generators = [np.random.default_rng(key) for key in keys]
        drawn = random_probability_sampler(nearest, positive, self.graph.k1, generators)
        return replace(candidates, nearest=drawn)

    def _loss(self, logits: Float[Tensor, " r"], targets: Float[Tensor, " r"]) -> Float[Tensor, ""]:
        """Eq. 12, or cross-entropy, which is the focal loss with exponent 0."""
        if self.training.loss == "ce":
            return focal_loss(logits, targets, None, 0.0)
        return focal_loss(logits, targets, self.training.alpha, self.training.focus)


class ECGCNScorer:
    """A network with the queries and the gallery that it scores.

    Args:
        network: in training or fitted.
        options: of the graphs.
        retrieval_set: queries and gallery.
        key: of the network's weights: under it the gallery keeps F W of its images for later
            calls; None for a network in training.
        all_nodes: give second-hop nodes and the adjacency too.
    """

    def __init__(
        self,
        network: ECGCNNetwork,
        options: Graph,
        retrieval_set: RetrievalSet,
        key: Hashable = None,
        *,
        all_nodes: bool = False,
    ) -> None:
        self.network = network.eval()
        self.options = options
        self.retrieval_set = retrieval_set
        self.all_nodes = all_nodes
        self.device = retrieval_set.resources.device
        self.candidates = Candidates.of(retrieval_set, options.k1, gallery_neighbors(options))
        gallery = retrieval_set.gallery

        def mapped(rows: NDArray[np.intp]) -> Float32[np.ndarray, "g h"]:
            return network.per_image_map(gallery.vectors[rows], self.device)

        made = gallery.per_image(key, mapped) if key else mapped(np.arange(len(gallery)))
        self.mapped = torch.from_numpy(made).to(self.device)

    @property
    def graph_bytes(self) -> int:
        """Memory of a graph: each node has three hidden rows, and its neighbours twice with
        weights.
        """
        n = min(most_nodes(self.options), len(self.retrieval_set.gallery))
        return n * (12 * self.mapped.shape[1] + 32 * (self.options.links + 1))

    def score(self, queries: slice) -> ScoredGraphs:
        """First-hop images of some queries; with `all_nodes` the whole graph of one query."""
        network = self.network
        graphs = packed_query_graphs(self.candidates.take(queries), self.options)
        first_hop = graphs.first_hop
        logits = np.full(first_hop.shape, -np.inf, np.float32)
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            vectors = self.retrieval_set.query_vectors[queries]
            of_query = torch.from_numpy(network.per_image_map(vectors, self.device))
            of_query = of_query.to(self.device)  # [b, h]
            # layer l is computed only for nodes from which a scored node aggregates later
            fields = receptive_fields(graphs.neighbors, graphs.scored, len(network.maps))
            (nodes, neighbors), *further = fields
            images = np.where(neighbors >= 0, graphs.rows[neighbors], -1).astype(np.int32)
            query = torch.from_numpy(graphs.graph[nodes]).to(self.device)
            product = network.first_product(self.mapped, images, of_query[query])
            adjacencies = [SparseAdjacency(lists, None, self.device) for _, lists in further]
            z = network(product, adjacencies)
            logits[first_hop >= 0] = network.link_logits(z).cpu().numpy()
        if not self.all_nodes:
            return ScoredGraphs(first_hop, logits, np.empty((len(logits), 0, 0), np.float32))
        of_all = np.full(graphs.nodes.shape, -np.inf, np.float32)
        of_all[:, : first_hop.shape[1]] = logits
        return ScoredGraphs(graphs.nodes, of_all, graphs.dense_adjacency())
