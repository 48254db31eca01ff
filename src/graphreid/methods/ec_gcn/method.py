"""EC-GCN: is there a link between a query and each of its nearest images? Judged on a graph of them
and their neighbours.

Evaluation Connectivity Graph Convolutional Network, the second half of "FA-GCN and EC-GCN" for
object re-identification; `fa_gcn.py` is the other half, `fa_ec_gcn.py` both. Equations are that
paper's.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from torch import Tensor, nn

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import samplers as sampling
from graphreid.graphs.sparse_adjacency import SparseAdjacency, receptive_fields
from graphreid.knn.exact import Metric
from graphreid.methods.fitted import need_fitted, need_width, restored
from graphreid.methods.link_prediction.candidates import Candidates, Judged, Lesson, explained
from graphreid.methods.link_prediction.packed_graphs import Subgraphs
from graphreid.methods.link_prediction.predictor import Linked
from graphreid.methods.link_prediction.validation import Auto, Validation
from graphreid.models.losses import focal_loss
from graphreid.protocols import ONLINE, Explanation, fingerprint
from graphreid.resources import Resources, slices
from graphreid.seeding import generator, seeded
from graphreid.training.loop import Schedule, cosine, optimise, stamp, steps
from graphreid.training.precision import Precision, bf16
from graphreid.types import Features, Labels

WIDEST = 256
"""Hidden entries by default, at most."""
Batch = tuple[int, NDArray[np.intp]]
"""An epoch and some queries."""


class _Known(TypedDict):
    seed: int
    metric: Metric


class Connectivity(nn.Module):
    """ReLU(BN(A~ Z W)), layer after layer (Eq. 11), and three linear layers to "linked" and "not
    linked".

    Args:
        inputs: entries of a node's difference to the query, d.
        width: hidden entries, h.
        layers: L'.
    """

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Linear(width if layer else inputs, width, bias=False) for layer in range(layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers))
        self.head = nn.Sequential(
            nn.Linear(width, width),
            nn.PReLU(),
            nn.Linear(width, width),
            nn.PReLU(),
            nn.Linear(width, 2),
        )

    def forward(
        self, heard: Float[Tensor, "m h"], graph: list[SparseAdjacency]
    ) -> Float[Tensor, "r h"]:
        """The last layer's nodes, from A~ X W of the first layer and A~ of each further one."""
        z = torch.relu(self.norms[0](heard))
        for a, linear, norm in zip(graph, self.maps[1:], self.norms[1:], strict=True):
            z = torch.relu(norm(linear(a @ z)))
        return z

    def linked(self, z: Float[Tensor, "r h"]) -> Float[Tensor, " r"]:
        """The logit of a link: of a softmax over the two, the difference."""
        out = self.head(z)
        return out[:, 0] - out[:, 1]

    @torch.inference_mode()
    def table(self, vectors: Float32[np.ndarray, "m d"], device: str) -> Float32[np.ndarray, "m h"]:
        """F W of the first layer, an image by itself; in float32, for near-equal rows are
        subtracted.
        """
        weight = self.maps[0].weight.float().T * vectors.shape[1] ** 0.5
        out = np.empty((len(vectors), weight.shape[1]), np.float32)
        for part in slices(0, len(vectors), 4096):
            out[part] = (torch.from_numpy(vectors[part]).to(device) @ weight).cpu().numpy()
        return out


@final
@dataclass(eq=False)
class ECGCN(Linked):
    """A graph of each query's k1 nearest images and their neighbours, whose network gives each of
    the k1 a link probability.

    The defaults fit in minutes on two processor cores; `presets["paper"]` is as published.

    Attributes:
        sampler: in training, "rpgs", k1 of the nearest gamma k1 drawn so that right and wrong are
            alike (Eq. 9), or "hgs", the k1 nearest, as always at inference (Eq. 8).
        k1: images that are judged. k2: neighbours of each that are nodes besides; no graph has more
            than k1 k2 nodes.
        gamma: from how many times k1 "rpgs" draws.
        links: e, nearest neighbours that a node hears where they are nodes of its graph (Eq. 10).
        self_loops: every node hears itself too; one that hears nobody else always does.
        layers: L', graph layers (Eq. 11).
        width: hidden entries; None for those of an embedding, at most WIDEST.
        lam: weight of the link's distance (Eq. 13), 0.4 in the paper; "auto" chooses it on the
            validation identities.
        loss: "focal" (Eq. 12), as published, or "ce", cross-entropy.
        alpha: weight of links in the focal loss, and 1 - alpha of no links; None for 1 each.
        focus: the focal loss's exponent, upsilon.
        optimizer: "sgd" with momentum 0.9, or "adamw".
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: "steps", times 0.1 after each epoch; "cosine", to 0 at the last; or "constant".
        batch: graphs in a batch.
        queries: training images that are the query in an epoch, drawn anew for each; None for all.
        epochs: rounds of so many queries, at most.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length, against their
            being closer together than those of identities that the embedder has not seen.
        metric: what the distance of two training vectors is; at inference it is the gallery's.
        calibrate: fit slope and offset of the logit on the validation identities, so that 0.8 is
            right in 80 %.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it. It matters for
            training alone.
        seed: of all that is random.

    Raises:
        ValueError: a value out of its range.
    """

    sampler: Literal["rpgs", "hgs"] = "rpgs"
    k1: int = 50
    k2: int = 10
    gamma: float = 1.5
    links: int = 10
    self_loops: bool = True
    layers: int = 3
    width: int | None = None
    lam: float | Auto = 1.0
    loss: Literal["focal", "ce"] = "ce"
    alpha: float | None = 0.25
    focus: float = 2.0
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["steps", "cosine", "constant"] = "cosine"
    batch: int = 16
    queries: int | None = 2500
    epochs: int = 2
    patience: int | None = None
    noise: float = 0.0
    metric: Metric = "cosine"
    calibrate: bool = True
    precision: Precision = "auto"
    seed: int = 0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: tuple[Connectivity, Hashable] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "ec-gcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
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
    }

    def __post_init__(self) -> None:
        for key in ("k1", "k2", "links", "layers", "batch", "epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 1")
        for key in ("focus", "rate", "weight_decay", "noise"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must not be negative")
        if self.gamma < 1:
            raise ValueError(
                f"gamma is {self.gamma}: it must be at least 1, for k1 are drawn from gamma k1"
            )
        if self.width is not None and self.width < 2:
            raise ValueError(f"width is {self.width}: it must be at least 2")
        if self.queries is not None and self.queries < 1:
            raise ValueError(f"queries is {self.queries}: it must be at least 1")
        if self.lam != "auto" and self.lam < 0:
            raise ValueError(f"lam is {self.lam}: it must not be negative")
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}: it must be between 0 and 1")

    @property
    def setting(self) -> str:
        """Always "online": no query has an influence on another."""
        return ONLINE

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
            train: images that are the query in turn, the others its gallery; `labels` theirs.
            validation: images of other identities: the best epoch by their mAP is kept, lam and
                calibration follow them.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint after each epoch; where there is one, training goes on from
                it.

        Raises:
            ValueError: no identity has two images, an identity is in both sets, or lam is "auto"
                and there is no validation.
        """
        resources, known = resources or Resources(), _Known(seed=self.seed, metric=self.metric)
        wide = math.ceil(self.gamma * self.k1) if self.sampler == "rpgs" else self.k1
        lesson = Lesson(
            train,
            labels,
            k1=wide,
            k2=self._graphs().hops,
            noise=self.noise,
            resources=resources,
            **known,
        )
        held = (
            None
            if validation is None
            else Validation(*validation, train, lesson.labels, resources=resources, **known)
        )
        if self.lam == "auto" and held is None:
            raise ValueError(
                "lam='auto' is chosen on validation identities: give them, or a number"
            )
        with seeded(self.seed):
            network = self._build(train.width).to(resources.device)
        history = optimise(
            network,
            self._optimizer(network),
            lambda epoch: self._batches(lesson, epoch),
            lambda batch: {self.loss: self._loss(network, lesson, *batch)},
            epochs=self.epochs,
            seed=self.seed,
            schedule=self._schedule(),
            validate=None
            if held is None
            else lambda _: held.best(
                _Judging(self._graphs(), network, held.retrieval_set), self.lam
            ),
            patience=self.patience,
            folder=folder,
            stamp=stamp(self, (train, labels), validation),
            what=self.name,
            resources=resources,
        )
        self.learned(network, lesson.labels, history, held)
        return self

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The graph of one query: what each node hears, its probability (0 where it is not judged),
        its rank before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        return explained(
            self.judging(RetrievalSet(query, gallery, resources=resources), whole=True),
            self.unscored_offset,
            self.calibration_,
        )

    def _build(self, inputs: int) -> Connectivity:
        return Connectivity(
            inputs, min(inputs, WIDEST) if self.width is None else self.width, self.layers
        )

    def _graphs(self) -> Subgraphs:
        return Subgraphs(self.k1, self.k2, self.links, self.self_loops)

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                network.parameters(), self.rate, momentum=0.9, weight_decay=self.weight_decay
            )
        return torch.optim.AdamW(network.parameters(), self.rate, weight_decay=self.weight_decay)

    def _schedule(self) -> Schedule:
        if self.schedule == "steps":
            return steps(range(1, self.epochs))
        return cosine(self.epochs) if self.schedule == "cosine" else lambda _: 1.0

    def _batches(self, lesson: Lesson, epoch: int) -> list[Batch]:
        """An epoch's batches; the last may be smaller."""
        most = len(lesson.queries) if self.queries is None else self.queries
        batches = lesson.batches(epoch, self.batch)
        return [(epoch, some) for some in batches[: -(-most // self.batch)]]

    def _loss(
        self, network: Connectivity, lesson: Lesson, epoch: int, queries: NDArray[np.intp]
    ) -> Float[Tensor, ""]:
        """The loss of the 1-hop nodes of some queries' graphs."""
        candidates = lesson.candidates.take(queries)
        near = candidates.near
        if self.sampler == "rpgs":
            draws = [generator(self.seed, epoch, int(query), 7) for query in queries]
            near = sampling.random_probability(
                near, lesson.targets(queries, near) > 0.5, self.k1, draws
            )
        graphs = self._graphs().build(near, candidates)
        vectors, device = lesson.retrieval_set.gallery.vectors, lesson.resources.device
        # F W once for each image of the batch, in float32: A~ (F - 1 f_p) W = A~ F W - 1 f_p W, for
        # A~'s rows sum to 1
        images, place = np.unique(np.concatenate([graphs.rows, queries]), return_inverse=True)
        of_image = torch.from_numpy(vectors[images] * np.float32(vectors.shape[1] ** 0.5)).to(
            device
        )
        place, own = np.split(place.astype(np.int32), [len(graphs.rows)])
        mapped = network.maps[0](of_image)
        mine = mapped[torch.from_numpy(own[graphs.graph].astype(np.int64)).to(device)]
        heard = (
            SparseAdjacency(np.where(graphs.lists >= 0, place[graphs.lists], -1), None, device)
            @ mapped
            - mine
        )
        further = [SparseAdjacency(graphs.lists, None, device)] * (self.layers - 1)
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=bf16(self.precision, device)
        ):
            z = network(heard, further)
            logits = network.linked(z[torch.from_numpy(graphs.judged).to(device)])
        target = torch.from_numpy(lesson.targets(queries, near)[graphs.near >= 0]).to(device)
        focal = self.loss == "focal"
        return focal_loss(
            logits.float(), target, self.alpha if focal else None, self.focus if focal else 0.0
        )

    def judging(self, retrieval_set: RetrievalSet, *, whole: bool = False) -> "_Judging":
        """The network at work on a pool; if `whole`, with all nodes and edges, as an explanation
        shows them.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        need_fitted(self)
        width = self.state_["maps.0.weight"].shape[1]
        if self._kept is None:
            network = restored(lambda: self._build(width), self.state_, self.name)
            # what is kept with a gallery depends on the weights alone
            self._kept = network, (self.name, fingerprint(self)[1])
        network, key = self._kept
        need_width(retrieval_set, width, self.name)
        return _Judging(
            self._graphs(),
            network.to(retrieval_set.resources.device),
            retrieval_set,
            key,
            whole=whole,
        )


class _Judging:
    """A network at work on one pool. With a key, F W of its first layer is kept with the
    gallery.
    """

    def __init__(
        self,
        graphs: Subgraphs,
        network: Connectivity,
        retrieval_set: RetrievalSet,
        key: Hashable = None,
        *,
        whole: bool = False,
    ) -> None:
        self.graphs, self.network, self.retrieval_set, self.device = (
            graphs,
            network.eval(),
            retrieval_set,
            retrieval_set.resources.device,
        )
        self.whole = whole
        self.candidates = Candidates.of(retrieval_set, graphs.k1, graphs.hops)
        gallery = retrieval_set.gallery

        def table(rows: NDArray[np.intp]) -> Float32[np.ndarray, "m h"]:
            return network.table(gallery.vectors[rows], self.device)

        made = gallery.per_image(key, table) if key else table(np.arange(len(gallery)))
        self.table = torch.from_numpy(made).to(self.device)

    @property
    def graph_bytes(self) -> int:
        """Of a node three hidden rows, and its list twice with weights."""
        n = min(self.graphs.most, len(self.retrieval_set.gallery))
        return n * (12 * self.table.shape[1] + 32 * (self.graphs.links + 1))

    def judge(self, part: slice) -> Judged:
        """The 1-hop images of some queries; if `whole`, all nodes with their edges, and a logit
        without hope for the others.
        """
        candidates, network = self.candidates.take(part), self.network
        graphs = self.graphs.build(candidates.near, candidates)
        logits = np.full(graphs.near.shape, -np.inf, np.float32)
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            mine = torch.from_numpy(
                network.table(self.retrieval_set.query_vectors[part], self.device)
            ).to(self.device)
            # layer l is made for those nodes alone that the last layer hears of
            (nodes, heard), *further = receptive_fields(
                graphs.lists, graphs.judged, len(network.maps)
            )
            images = np.where(heard >= 0, graphs.rows[heard], -1).astype(np.int32)
            first = SparseAdjacency(images, None, self.device) @ self.table
            first -= mine[torch.from_numpy(graphs.graph[nodes]).to(self.device)]
            z = network(first, [SparseAdjacency(lists, None, self.device) for _, lists in further])
            logits[graphs.near >= 0] = network.linked(z).cpu().numpy()
        if not self.whole:
            return graphs.near, logits, np.empty((len(logits), 0, 0), np.float32)
        everywhere = np.full(graphs.nodes.shape, -np.inf, np.float32)
        everywhere[:, : graphs.near.shape[1]] = logits
        return graphs.nodes, everywhere, graphs.dense()
