"""CAGCN: for each query a graph of its hardest gallery candidates, on which a residual network
judges each pair in context.

Ji et al.: Context-Aware Graph Convolution Network for Target Re-identification, AAAI 2021.
Equations are that paper's.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graphreid.gallery import RetrievalSet
from graphreid.graphs import adjacency
from graphreid.methods.fitted import need_fitted, need_width, restored
from graphreid.methods.link_prediction.candidates import Candidates, Judged, Lesson
from graphreid.methods.link_prediction.layers import PairClassifier, ResidualGraphLayer
from graphreid.methods.link_prediction.predictor import Linked
from graphreid.methods.link_prediction.query_graphs import LocalGraphs
from graphreid.methods.link_prediction.validation import Auto, Validation
from graphreid.models.losses import focal_loss
from graphreid.protocols import ONLINE, fingerprint
from graphreid.resources import Resources, slices
from graphreid.seeding import seeded
from graphreid.training.loop import cosine, optimise, stamp
from graphreid.training.precision import Precision, bf16
from graphreid.types import Features, Labels

GRAPHS = 32
"""Graphs that go through the network together: more do not fit a processor's caches."""
Logits = Float[Tensor, "b n"]
Weights = Float[Tensor, "b n n"]


class Reasoning(nn.Module):
    """From pairs and what joins them to a logit a pair.

    Args:
        inputs: entries of an embedding, d.
        width: hidden entries, h; a linear map comes first where it differs from d.
        layers: residual graph layers.
        attention: entries of phi(V) and phi'(V); 0 for binary edges.
        of_pairs: V is the pair's difference, not the gallery image's embedding.
        scaled: divide the dot product of Eq. 2 by the root of `attention`.
    """

    def __init__(
        self, inputs: int, width: int, layers: int, attention: int, *, of_pairs: bool, scaled: bool
    ) -> None:
        super().__init__()
        self.project = None if inputs == width else nn.Linear(inputs, width, bias=False)
        self.first = ResidualGraphLayer(width)
        self.layers = nn.ModuleList(ResidualGraphLayer(width) for _ in range(layers - 1))
        self.classifier = PairClassifier(inputs, width)
        # phi above phi', one map
        self.phi = nn.Linear(inputs, 2 * attention, bias=False) if attention else None
        self.of_pairs, self.scaled = of_pairs, scaled

    def node_maps(self) -> Float[Tensor, "c d"]:
        """All linear maps of a pair's difference at once: the network's first, and the classifier's
        of the input.
        """
        first = self.first.map if self.project is None else self.project
        return torch.cat([first.weight, self.classifier.of_input.weight])

    def edge_maps(self) -> Float[Tensor, "c d"]:
        """phi and phi' of Eq. 2 at once; no rows for binary edges."""
        return self.classifier.of_input.weight[:0] if self.phi is None else self.phi.weight

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        images: Float[Tensor, "b n d"],
        joined: Bool[Tensor, "b n n"],
        real: Bool[Tensor, "b n"],
    ) -> tuple[Logits, Weights]:
        """Logits and adjacency from differences X and gallery embeddings."""
        sides = functional.linear(x if self.of_pairs else images, self.edge_maps())
        return self.reason(x, functional.linear(x, self.node_maps()), sides, joined, real)

    def reason(
        self,
        x: Float[Tensor, "b n d"] | None,
        mapped: Float[Tensor, "b n c"],
        sides: Float[Tensor, "b n e"],
        joined: Bool[Tensor, "b n n"],
        real: Bool[Tensor, "b n"],
    ) -> tuple[Logits, Weights]:
        """The same from what the linear maps gave; `x` is not asked for where a map comes first."""
        first, known = mapped.chunk(2, dim=2)
        z, ready = (first, None) if x is None or self.project is not None else (x, first)
        weights = self._weights(sides, joined)
        z = self.first(z, weights, real, ready)
        for layer in self.layers:
            z = layer(z, weights, real)
        return self.classifier(known, z), weights

    def _weights(self, sides: Float[Tensor, "b n e"], joined: Bool[Tensor, "b n n"]) -> Weights:
        if self.phi is None:
            return adjacency.uniform(joined)
        left, right = sides.chunk(2, dim=2)
        score = left @ right.mT
        return adjacency.attention(score / left.shape[2] ** 0.5 if self.scaled else score, joined)

    @torch.inference_mode()
    def table(self, vectors: Float32[np.ndarray, "m d"], device: str) -> Float32[np.ndarray, "m c"]:
        """What all linear maps give for images by themselves: that of a pair is the difference of
        the two.
        """
        maps = torch.cat([self.node_maps(), self.edge_maps()]).T * vectors.shape[1] ** 0.5
        out = np.empty((len(vectors), maps.shape[1]), np.float32)
        for part in slices(0, len(vectors), 4096):
            out[part] = (torch.from_numpy(vectors[part]).to(device) @ maps).cpu().numpy()
        return out


@final
@dataclass(eq=False)
class CAGCN(Linked):
    """A graph of up to k gallery candidates a query; its network gives each the probability of
    showing the query's identity.

    The defaults fit in minutes on two processor cores; `presets["paper"]` is as published.

    Attributes:
        sampler: "hgs", the two-hop hard gallery sampler (Eq. 1), or "plain", the k nearest (Table
            3).
        k1: first-hop images. k2: neighbours of a gallery image, for the second hop and for edges.
            k: nodes, at most.
        edges: whom a node hears (Eq. 2): "hgs", its first `links` two-hop neighbours in the graph;
            "knn", of its own k2 neighbours alone; "full", all others (SGGNN's graph).
        links: k', edges of a node, at most.
        edge_weight: "attention", the softmax of Eq. 2, or "binary", all edges of a node alike.
        edge_input: V of Eq. 2: "gallery", the gallery image's embedding, or "pair", the difference
            to the query's.
        scale_attention: divide the dot product by the root of its width.
        attention_width: entries of phi(V) and phi'(V).
        self_loops: every node hears itself too; one that hears nobody else always does.
        layers: residual graph layers (Eqs. 3-4).
        width: hidden entries, at most those of an embedding; None for as many.
        lam: weight of the predicted distance (Eq. 5); "auto" chooses it on the validation
            identities.
        alpha: weight of positives in the focal loss, and 1 - alpha of negatives; None for 1 each.
        gamma: the focal loss's exponent.
        optimizer: "sgd" with momentum 0.9, or "adamw".
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: "constant", or "cosine", to 0 at the last epoch.
        batch: graphs in a batch.
        epochs: how often each training image is the query, at most.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length, against their
            being closer together than those of identities that the embedder has not seen.
        calibrate: fit slope and offset of the logit on the validation identities, so that 0.8 is
            right in 80 %.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it. It matters for
            training alone.
        seed: of all that is random.

    Raises:
        ValueError: a value out of its range.
    """

    sampler: Literal["hgs", "plain"] = "hgs"
    k1: int = 140
    k2: int = 10
    k: int = 200
    edges: Literal["hgs", "knn", "full"] = "hgs"
    links: int = 8
    edge_weight: Literal["attention", "binary"] = "attention"
    edge_input: Literal["gallery", "pair"] = "gallery"
    scale_attention: bool = True
    attention_width: int = 256
    self_loops: bool = False
    layers: int = 4
    width: int | None = 512
    lam: float | Auto = 2.0
    alpha: float | None = 0.25
    gamma: float = 2.0
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: float = 0.001
    weight_decay: float = 0.01
    schedule: Literal["constant", "cosine"] = "cosine"
    batch: int = 16
    epochs: int = 4
    patience: int | None = 4
    noise: float = 1.0
    calibrate: bool = True
    precision: Precision = "auto"
    seed: int = 0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: tuple[Reasoning, Hashable] | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "cagcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
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
    }

    def __post_init__(self) -> None:
        for key in ("k", "links", "layers", "batch", "epochs", "attention_width", "k1"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 1")
        for key in ("k2", "gamma", "rate", "weight_decay", "noise"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must not be negative")
        if self.width is not None and self.width < 2:
            raise ValueError(f"width is {self.width}: it must be at least 2")
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
    ) -> "CAGCN":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        Args:
            train: each image in turn is the query and the others its gallery; `labels` theirs.
            validation: images of other identities: the best epoch by their mAP is kept, lam and
                calibration follow them.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint after each epoch; where there is one, training goes on from
                it.

        Raises:
            ValueError: no identity has two images, an identity is in both sets, or lam is "auto"
                and there is no validation.
        """
        resources, graphs = resources or Resources(), self._graphs()
        lesson = Lesson(
            train,
            labels,
            k1=graphs.near,
            k2=self.k2,
            noise=self.noise,
            seed=self.seed,
            resources=resources,
        )
        held = (
            None
            if validation is None
            else Validation(*validation, train, lesson.labels, seed=self.seed, resources=resources)
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
            lambda epoch: lesson.batches(epoch, self.batch),
            lambda queries: {"focal": self._loss(network, lesson, queries)},
            epochs=self.epochs,
            seed=self.seed,
            schedule=cosine(self.epochs) if self.schedule == "cosine" else lambda _: 1.0,
            validate=None
            if held is None
            else lambda _: held.best(_Judging(graphs, network, held.retrieval_set), self.lam),
            patience=self.patience,
            folder=folder,
            stamp=stamp(self, (train, labels), validation),
            what=self.name,
            resources=resources,
        )
        self.learned(network, lesson.labels, history, held)
        return self

    def _graphs(self) -> LocalGraphs:
        return LocalGraphs(
            self.sampler, self.k1, self.k2, self.k, self.edges, self.links, self.self_loops
        )

    def _build(self, inputs: int) -> Reasoning:
        return Reasoning(
            inputs,
            inputs if self.width is None else min(self.width, inputs),
            self.layers,
            self.attention_width if self.edge_weight == "attention" else 0,
            of_pairs=self.edge_input == "pair",
            scaled=self.scale_attention,
        )

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                network.parameters(), self.rate, momentum=0.9, weight_decay=self.weight_decay
            )
        return torch.optim.AdamW(network.parameters(), self.rate, weight_decay=self.weight_decay)

    def _loss(
        self, network: Reasoning, lesson: Lesson, queries: NDArray[np.intp]
    ) -> Float[Tensor, ""]:
        graphs, vectors, device = (
            self._graphs(),
            lesson.retrieval_set.gallery.vectors,
            lesson.resources.device,
        )
        nodes, places = graphs.build(lesson.candidates.take(queries))
        joined, real = graphs.joined(nodes, places, device)
        scale = np.float32(vectors.shape[1] ** 0.5)
        images = torch.from_numpy(vectors[nodes] * scale).to(device)
        x = torch.from_numpy(vectors[queries, None] * scale).to(device) - images
        target = torch.from_numpy(lesson.targets(queries, nodes)).to(device)
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=bf16(self.precision, device)
        ):
            logits = network(x, images, joined, real)[0]
        return focal_loss(logits.float()[real], target[real], self.alpha, self.gamma)

    def judging(self, retrieval_set: RetrievalSet) -> "_Judging":
        """The network at work on a pool.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        need_fitted(self)
        width = self.state_["classifier.of_input.weight"].shape[1]
        if self._kept is None:
            network = restored(lambda: self._build(width), self.state_, self.name)
            # what is kept with a gallery depends on the weights alone
            self._kept = network, (self.name, fingerprint(self)[1])
        network, key = self._kept
        need_width(retrieval_set, width, self.name)
        return _Judging(
            self._graphs(), network.to(retrieval_set.resources.device), retrieval_set, key
        )


class _Judging:
    """A network at work on one pool. With a key, what its linear maps give for each gallery image
    is kept with the gallery.
    """

    def __init__(
        self,
        graphs: LocalGraphs,
        network: Reasoning,
        retrieval_set: RetrievalSet,
        key: Hashable = None,
    ) -> None:
        self.graphs, self.network, self.retrieval_set, self.device = (
            graphs,
            network.eval(),
            retrieval_set,
            retrieval_set.resources.device,
        )
        self.candidates = Candidates.of(retrieval_set, graphs.near, graphs.k2)
        gallery = retrieval_set.gallery

        def table(rows: NDArray[np.intp]) -> Float32[np.ndarray, "m c"]:
            return network.table(gallery.vectors[rows], self.device)

        made = gallery.per_image(key, table) if key else table(np.arange(len(gallery)))
        self.table = torch.from_numpy(made).to(self.device)
        self.images = torch.from_numpy(gallery.vectors).to(self.device)

    @property
    def graph_bytes(self) -> int:
        """Of a node its gathered row and some six of the hidden ones; of a pair of nodes two
        weights and a mark.
        """
        n = min(self.graphs.k, len(self.retrieval_set.gallery))
        return (
            n * 4 * (self.table.shape[1] + 6 * self.network.classifier.of_state.in_features)
            + n * n * 9
        )

    def judge(self, part: slice) -> Judged:
        """The graphs of some queries, from rows that the linear maps gave for query and gallery
        image apart.
        """
        nodes, places = self.graphs.build(self.candidates.take(part))
        network, own = self.network, self.retrieval_set.query_vectors[part]
        split = network.node_maps().shape[0]
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            joined, real = self.graphs.joined(nodes, places, self.device)
            rows = torch.from_numpy(nodes).to(self.device).long().clamp(min=0)
            theirs = self.table.index_select(0, rows.flatten()).view(*rows.shape, -1)
            mine = torch.from_numpy(network.table(own, self.device)).to(self.device)[:, None]
            x = None
            if network.project is None:
                near = self.images.index_select(0, rows.flatten()).view(*rows.shape, -1)
                x = (torch.from_numpy(own).to(self.device)[:, None] - near) * near.shape[2] ** 0.5
            sides = (
                mine[..., split:] - theirs[..., split:] if network.of_pairs else theirs[..., split:]
            )
            logits, weights = network.reason(
                x, mine[..., :split] - theirs[..., :split], sides, joined, real
            )
        return nodes, logits.cpu().numpy(), weights.cpu().numpy()
