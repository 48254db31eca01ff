"""CAGCN: link prediction on a graph of each query's hardest gallery candidates.

Ji et al.: Context-Aware Graph Convolution Network for Target Re-identification, AAAI 2021.
Equations are that paper's. `graph.py` has its graph (Eqs. 1-2), `model.py` its network (Eqs. 2-4),
this file training and distances (Eq. 5), `options.py` every option.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.query_graphs import Candidates
from graphreid.methods.cagcn.graph import first_hop, query_graphs
from graphreid.methods.cagcn.model import CAGCNNetwork
from graphreid.methods.cagcn.options import Graph, Network, Training
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
class CAGCN:
    """A graph of up to k gallery candidates for each query, in which a network predicts links.

    The link probability of a candidate is that it shows the query's identity. The defaults fit in
    minutes on two processor cores; `PAPER` is as published.

    Attributes:
        graph: nodes and edges.
        network: layers and sizes.
        training: loss, optimizer and schedule.
        lam: lambda of Eq. 5, the weight of 1 - probability; "auto" chooses it on the validation
            identities.

    Raises:
        ValueError: a value out of its range.
    """

    graph: Graph = field(default_factory=Graph)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)
    lam: NonNegative | Literal["auto"] = 2.0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _fitted: FittedNetwork[CAGCNNetwork] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "cagcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    # the text's "alpha and gamma are set to 2 and 0.25" is a slip against the loss's usual names
    PAPER: ClassVar[dict[str, Any]] = {
        "k1": 70,
        "k2": 20,
        "k": 100,
        "scale_attention": False,
        "layers": 9,
        "width": None,
        "lam": 1.0,
        "optimizer": "sgd",
        "rate": 0.01,
        "weight_decay": 1e-4,
        "schedule": "constant",
        "batch": 4,
        "epochs": 500,
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
    ) -> "CAGCN":
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
            k1=first_hop(self.graph),
            k2=self.graph.k2,
            noise=options.noise,
            seed=options.seed,
            resources=resources or Resources(),
        )
        fit = train_links(
            self,
            network=lambda: self._build(train.width),
            training_set=training_set,
            logits=lambda network, queries: self._logits(network, training_set, queries),
            loss=self._loss,
            scorer=lambda network, retrieval_set: CAGCNScorer(network, self.graph, retrieval_set),
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
        """d_o + lam (1 - probability) of every query to the gallery, in blocks (Eq. 5).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        yield from distance_blocks(scorer, self.unscored_offset, self.calibration_, self.name)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The graph of one query: A of Eq. 2, each node's probability, its rank before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        scorer = self.scorer(RetrievalSet(query, gallery, resources=resources))
        return explain_links(scorer, self.unscored_offset, self.calibration_)

    def scorer(self, retrieval_set: RetrievalSet) -> "CAGCNScorer":
        """The fitted network for some queries and a gallery.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        if self._fitted is None:
            self._fitted = fitted_network(self, self._build, "classifier.of_input.weight")
        network = self._fitted.for_set(retrieval_set)
        return CAGCNScorer(network, self.graph, retrieval_set, self._fitted.key)

    def _build(self, inputs: int) -> CAGCNNetwork:
        return CAGCNNetwork(inputs, self.network)

    def _logits(
        self, network: CAGCNNetwork, training_set: LinkTrainingSet, queries: Batch
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Logits and targets of the nodes of some queries' graphs."""
        candidates = training_set.candidates.take(queries)
        graphs = query_graphs(candidates, self.graph, training_set.resources.device)
        gallery = training_set.vectors(graphs.nodes)  # [b, n, d]
        x = training_set.vectors(queries)[:, None] - gallery  # node features, f_p - f_g
        logits = network(x, gallery, graphs.edges, graphs.real)[0]  # [b, n]
        # a pair is positive if the identity is the same, in the same camera too
        targets = torch.from_numpy(training_set.targets(queries, graphs.nodes)).to(x.device)
        return logits[graphs.real], targets[graphs.real]

    def _loss(self, logits: Float[Tensor, " m"], targets: Float[Tensor, " m"]) -> Float[Tensor, ""]:
        return focal_loss(logits, targets, self.training.alpha, self.training.gamma)


class CAGCNScorer:
    """A network with the queries and the gallery that it scores.

    The network's linear maps are made once for each image, and those of a pair follow by a
    subtraction.

    Args:
        network: in training or fitted.
        options: of the graphs.
        retrieval_set: queries and gallery.
        key: of the network's weights: under it the gallery keeps its images' maps for later calls;
            None for a network in training.
    """

    def __init__(
        self,
        network: CAGCNNetwork,
        options: Graph,
        retrieval_set: RetrievalSet,
        key: Hashable = None,
    ) -> None:
        self.network = network.eval()
        self.options = options
        self.retrieval_set = retrieval_set
        self.device = retrieval_set.resources.device
        self.candidates = Candidates.of(retrieval_set, first_hop(options), options.k2)
        gallery = retrieval_set.gallery

        def maps(rows: NDArray[np.intp]) -> Float32[np.ndarray, "g c"]:
            return network.per_image_maps(gallery.vectors[rows], self.device)

        made = gallery.per_image(key, maps) if key else maps(np.arange(len(gallery)))
        self.gallery_maps = torch.from_numpy(made).to(self.device)
        self.gallery = torch.from_numpy(gallery.vectors).to(self.device)

    @property
    def graph_bytes(self) -> int:
        """Memory of a graph: each node has its maps and about six hidden rows, each pair of nodes
        two weights and an edge.
        """
        n = min(self.options.k, len(self.retrieval_set.gallery))
        width = self.network.classifier.of_state.in_features
        return n * 4 * (self.gallery_maps.shape[1] + 6 * width) + n * n * 9

    def score(self, queries: slice) -> ScoredGraphs:
        """Logits and adjacency of some queries' graphs."""
        network = self.network
        vectors = self.retrieval_set.query_vectors[queries]
        split = network.node_maps().shape[0]
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            graphs = query_graphs(self.candidates.take(queries), self.options, self.device)
            rows = torch.from_numpy(graphs.nodes).to(self.device).long().clamp(min=0)
            of_node = _gather(self.gallery_maps, rows)  # [b, n, c]
            of_query = torch.from_numpy(network.per_image_maps(vectors, self.device))
            of_query = of_query.to(self.device)[:, None]  # [b, 1, c]
            mapped = of_query[..., :split] - of_node[..., :split]  # of f_p - f_g
            relations = of_node[..., split:]
            if network.options.edge_input == "pair":
                relations = of_query[..., split:] - relations
            x = None
            if network.project is None:
                gallery = _gather(self.gallery, rows)
                query = torch.from_numpy(vectors).to(self.device)[:, None]
                x = (query - gallery) * gallery.shape[2] ** 0.5
            logits, adjacency = network.from_maps(x, mapped, relations, graphs.edges, graphs.real)
        return ScoredGraphs(graphs.nodes, logits.cpu().numpy(), adjacency.cpu().numpy())


def _gather(table: Float[Tensor, "g c"], rows: Tensor) -> Float[Tensor, "b n c"]:
    return table.index_select(0, rows.flatten()).view(*rows.shape, -1)
