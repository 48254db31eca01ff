"""FFGNN: each image takes up what the images of its neighbourhood say, and is compared by what
comes of it.

The paper: Feature-Fusing Graph Neural Network (FFGNN), for person re-identification. Equations are
its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import adjacency
from graphreid.graphs.ego_graphs import Around, Lesson, explained, rescored
from graphreid.graphs.explanation import single_query
from graphreid.methods.fitted import need_fitted, need_width, record, restored
from graphreid.methods.link_prediction.layers import NodeBatchNorm
from graphreid.methods.link_prediction.validation import Validation
from graphreid.models.losses import batch_hard_triplet
from graphreid.protocols import ONLINE, Explanation, fingerprint, need_cosine
from graphreid.resources import Resources, slices
from graphreid.seeding import seeded
from graphreid.training.loop import optimise, stamp, steps
from graphreid.training.precision import Precision, bf16, trained_in
from graphreid.types import DistanceBlock, Features, Labels

GRAPHS = 16
"""Graphs that go through the network together."""
Square = Float[Tensor, "b n n"]
Rows = Float[Tensor, "b n d"]


class Fusion(nn.Module):
    """X <- (1 - alpha) X + alpha ReLU(BN(S X W)), some times, each with its own W and BN (Eqs.
    11-12).
    """

    def __init__(self, width: int, iterations: int, alpha: float, *, identity: bool) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(iterations))
        self.norms = nn.ModuleList(NodeBatchNorm(width) for _ in range(iterations))
        self.alpha = alpha
        for each in self.maps if identity else ():
            nn.init.eye_(each.weight)  # type: ignore[arg-type]  # a list of modules does not say of which

    def forward(self, x: Rows, s: Square) -> Rows:
        """The fused features of all nodes."""
        for map_, norm in zip(self.maps, self.norms, strict=True):
            x = self._mixed(x, norm(s @ map_(x)))
        return x

    def of_first(self, x: Rows, s: Square) -> Float[Tensor, "b d"]:
        """The first node's alone, for which the last two iterations need only those that it hears,
        and itself.
        """
        last, x_of = len(self.maps) - 1, x
        heard = s[:, 0] > 0
        order = s[:, 0].masked_fill(~heard, -1)
        order[:, 0] = torch.inf
        places = order.topk(int(heard.sum(1).max()), dim=1).indices
        for step, (map_, norm) in enumerate(zip(self.maps, self.norms, strict=True)):
            own = x_of
            if step == last:
                weights, own = (
                    s[:, :1] if last == 0 else s[:, 0].gather(1, places)[:, None],
                    x_of[:, :1],
                )
            elif step == last - 1:
                weights = s.gather(1, places[..., None].expand(-1, -1, s.shape[2]))
                own = x_of.gather(1, places[..., None].expand(-1, -1, x.shape[2]))
            else:
                weights = s
            x_of = self._mixed(own, norm(map_(weights @ x_of)))
        return x_of[:, 0]

    def _mixed(self, x: Rows, heard: Rows) -> Rows:
        return (1 - self.alpha) * x + self.alpha * torch.relu(heard)


@final
@dataclass(eq=False)
class FFGNN:
    """A graph of an image and its K nearest; a network fuses their features, and cosine compares
    what comes out.

    `distances` reranks a query's K nearest by the fused features in the query's graph. `transform`
    gives each image the feature it has in its own graph, for another method to go on with
    (`FILE+k-reciprocal`).

    The defaults fit in minutes on two processor cores; `presets["paper"]` is as published.

    Attributes:
        k: K, gallery images in a graph beside its anchor, at most those there are.
        edges: A is "joint", lam Jaccard + (1 - lam) cosine (Eq. 8), or "cosine" alone (Table 1).
        mask: keep the `tau` largest entries of each row of A (Eqs. 9-10).
        reciprocal: k of the k-reciprocal sets (Eq. 5).
        tau: entries that the mask keeps, a node's own counted.
        lam: weight of the Jaccard similarity in [0, 1].
        scope: whose nearest the reciprocal sets are made of: the "graph"'s, or the whole
            "gallery"'s. In a random training graph they are always the graph's.
        iterations: of the fusion; each has its own weights.
        alpha: how much of a feature is taken up in each iteration, in [0, 1] (Eq. 12).
        init: W begins as "identity", or at random ("default").
        identity: train with the softmax loss (Eq. 13). triplet: with the triplet loss (Eq. 14).
            verification: with Eq. 15.
        margin: beta of the triplet loss.
        sampling: a training graph is an image and its K nearest ("retrieval"), or identities at
            random with four images each, K+1 in all ("random"; Table 1).
        rate: the learning rate of Adam; a tenth after each third of the epochs.
        weight_decay: of all weights.
        batch: graphs in a step.
        epochs: each draws new anchors, a fifth of the images, at most `anchors`.
        anchors: of an epoch, at most; None for all of the fifth.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length, against their
            being closer together than those of identities that the embedder has not seen.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it. It matters for
            training alone.
        seed: of all that is random.

    Raises:
        ValueError: a value out of its range.
    """

    k: int = 200
    edges: Literal["joint", "cosine"] = "joint"
    mask: bool = True
    reciprocal: int = 20
    tau: int = 20
    lam: float = 0.7
    scope: Literal["graph", "gallery"] = "gallery"
    iterations: int = 3
    alpha: float = 0.3
    init: Literal["identity", "default"] = "identity"
    identity: bool = True
    triplet: bool = True
    verification: bool = True
    margin: float = 0.3
    sampling: Literal["retrieval", "random"] = "retrieval"
    rate: float = 3e-4
    weight_decay: float = 5e-4
    batch: int = 4
    epochs: int = 6
    anchors: int | None = 1000
    patience: int | None = 4
    noise: float = 0.0
    precision: Precision = "auto"
    seed: int = 0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: Fusion | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "ffgnn"
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "k": 150,
            "scope": "graph",
            "rate": 3e-4,
            "weight_decay": 5e-4,
            "batch": 1,
            "epochs": 15,
            "anchors": None,
            "patience": None,
        }
    }

    def __post_init__(self) -> None:
        for key in ("k", "reciprocal", "tau", "iterations", "batch", "epochs", "anchors"):
            if (getattr(self, key) or 1) < 1 or getattr(self, key) == 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 1")
        for key in ("rate", "weight_decay", "noise", "margin"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must not be negative")
        for key in ("lam", "alpha"):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be between 0 and 1")
        if not (self.identity or self.triplet or self.verification):
            raise ValueError(
                "identity, triplet and verification are all off: train with one at least"
            )

    @property
    def setting(self) -> str:
        """Always "online": no query has an influence on another."""
        return ONLINE

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
        lesson = Lesson(
            train,
            labels,
            k=self.k,
            sampling=self.sampling,
            most=self.anchors,
            noise=self.noise,
            seed=self.seed,
            resources=resources,
        )
        held = (
            None
            if validation is None
            else Validation(*validation, train, lesson.labels, seed=self.seed, resources=resources)
        )
        with seeded(self.seed):
            network = self._build(train.width)
            classifier = nn.Linear(train.width, max(lesson.classes, 1))
            both = nn.ModuleDict({"fusion": network, "classifier": classifier}).to(resources.device)
        history = optimise(
            both,
            torch.optim.Adam(both.parameters(), self.rate, weight_decay=self.weight_decay),
            lambda epoch: lesson.batches(epoch, self.batch),
            lambda batch: self._losses(network, classifier, lesson, batch),
            epochs=self.epochs,
            seed=self.seed,
            schedule=steps((self.epochs / 3, self.epochs * 2 / 3)),
            validate=None
            if held is None
            else lambda _: held.score(_Fusing(self, network, held.retrieval_set).distances()),
            patience=self.patience,
            folder=folder,
            stamp=stamp(self, (train, labels), validation),
            what=self.name,
            resources=resources,
        )
        self.state_, self._kept = (
            {key: value.detach().cpu() for key, value in network.state_dict().items()},
            None,
        )
        self.record_ = record(lesson.labels, history, trained_in(self.precision, resources.device))
        if held is not None:
            self.record_["validation"] = held.record(max(epoch["score"] for epoch in history))
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The fused feature that each image has in its own graph, of gallery images beside itself;
        kept with the gallery.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        fusing = self._fusing(RetrievalSet(query, gallery, resources=resources))
        images = fusing.retrieval_set.derived((fingerprint(self), "fused"), fusing.of_gallery)
        queries = fusing.of_queries()
        there = fusing.retrieval_set.own >= 0
        # one image has one vector, to the last digit
        queries[there] = images[fusing.retrieval_set.own[there]]
        given = gallery.features
        return Features(queries, query.items, query.camera, "keep"), Features(
            images, given.items, given.camera, "keep"
        )

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: 1 - cosine of fused features in its
        graph, 2 + d_o beyond.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        yield from self._fusing(RetrievalSet(query, gallery, resources=resources)).distances()

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """S of one query's graph: what it and its nearest take up of each other in an iteration,
        and ranks before and after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        return self._fusing(
            single_query(RetrievalSet(query, gallery, resources=resources))
        ).explained()

    @property
    def lists(self) -> int:
        """Neighbours in the whole gallery that reciprocal sets are made of; 0 where the graph's own
        are.
        """
        return self.reciprocal if self.scope == "gallery" and self.edges == "joint" else 0

    def _build(self, width: int) -> Fusion:
        return Fusion(width, self.iterations, self.alpha, identity=self.init == "identity")

    def graphs(self, unit: Rows, mutual: Bool[Tensor, "b n n"] | None = None) -> Square:
        """S of graphs from their nodes' vectors of unit length (Eqs. 2-10).

        Args:
            unit: the vectors.
            mutual: who is in whose reciprocal set, by the whole gallery's neighbours; None for the
                graph's own.
        """
        c = (unit @ unit.mT).clamp(min=0)  # Eq. 3; below 0 it would be no weight
        c.diagonal(dim1=1, dim2=2).fill_(1)
        a = c
        if self.edges == "joint":
            mutual = adjacency.reciprocal(c, self.reciprocal) if mutual is None else mutual
            # a node's own k, itself, and by the gallery's lists the anchor too
            a = (
                self.lam * adjacency.jaccard(c * mutual, self.reciprocal + 2) + (1 - self.lam) * c
            )  # Eqs. 6-8
        if self.mask:
            a = adjacency.largest(a, self.tau)  # Eqs. 9-10
        return adjacency.normalised(a)  # Eq. 2

    def _losses(
        self, network: Fusion, classifier: nn.Linear, lesson: Lesson, batch: NDArray[np.intp]
    ) -> dict[str, Tensor]:
        unit, target, mutual = lesson.graphs(
            batch, self.lists if self.sampling == "retrieval" else 0
        )
        s = self.graphs(unit, mutual)
        with torch.autocast(
            unit.device.type, torch.bfloat16, enabled=bf16(self.precision, unit.device.type)
        ):
            x = network(unit * unit.shape[2] ** 0.5, s)
            logits = classifier(x) if self.identity else None
        x, parts = x.float(), dict[str, Tensor]()
        if logits is not None:  # Eq. 13, the mean; a distractor is of no class
            parts["identity"] = functional.cross_entropy(
                logits.float()[target >= 0], target[target >= 0]
            )
        if self.triplet:  # Eq. 14, its sign and its minimum over the other identities as meant
            each = [
                batch_hard_triplet(some, of, self.margin)
                for some, of in zip(x, target, strict=True)
            ]
            parts["triplet"] = torch.stack(each).mean()
        if self.verification:  # Eq. 15, the mean; who distractors are among themselves is not known
            unit = functional.normalize(x, dim=2)
            same = target[:, :, None] == target[:, None]
            known = (target[:, :, None] >= 0) | (target[:, None] >= 0)
            parts["verification"] = (same.float() - unit @ unit.mT)[known].square().mean()
        return parts

    def _fusing(self, retrieval_set: RetrievalSet) -> "_Fusing":
        need_cosine(retrieval_set, self.name)
        need_fitted(self)
        width = self.state_["maps.0.weight"].shape[0]
        if self._kept is None:
            self._kept = restored(lambda: self._build(width), self.state_, self.name)
        need_width(retrieval_set, width, self.name)
        return _Fusing(self, self._kept.to(retrieval_set.resources.device), retrieval_set)


class _Fusing:
    """A network at work on one pool."""

    def __init__(self, method: FFGNN, network: Fusion, retrieval_set: RetrievalSet) -> None:
        self.method, self.network, self.retrieval_set, self.device = (
            method,
            network.eval(),
            retrieval_set,
            retrieval_set.resources.device,
        )
        self.images = torch.from_numpy(retrieval_set.gallery.vectors).to(self.device)

    def distances(self) -> Iterator[DistanceBlock]:
        """Distances of all queries, in blocks."""
        around = Around.queries(self.retrieval_set, self.method.k)
        for start, stop in self.retrieval_set.blocks(self._graph_bytes, what="ffgnn graphs"):
            apart = [self._apart(around, part)[0] for part in slices(start, stop, GRAPHS)]
            yield rescored(around, start, np.concatenate(apart), self.method.unscored_offset)

    def explained(self) -> Explanation:
        """The graph of the only query."""
        around = Around.queries(self.retrieval_set, self.method.k)
        apart, s = self._apart(around, slice(0, 1))
        return explained(
            around, rescored(around, 0, apart, self.method.unscored_offset), s[0].cpu().numpy()
        )

    def _apart(self, around: Around, part: slice) -> tuple[Float32[np.ndarray, "b k"], Square]:
        """1 - cosine of some queries' fused features and their nearest images', and S."""
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            unit, s = self._inputs(around, part)
            x = functional.normalize(self.network(unit, s), dim=2)
            cosine = (x[:, 1:] @ x[:, 0, :, None])[..., 0]
            return (1 - cosine).clamp(min=0).cpu().numpy(), s

    def of_gallery(self) -> Float32[np.ndarray, "g d"]:
        """The fused feature of each gallery image in its own graph."""
        return self._anchors(Around.gallery(self.retrieval_set, self.method.k))

    def of_queries(self) -> Float32[np.ndarray, "q d"]:
        """The fused feature of each query in its graph."""
        return self._anchors(Around.queries(self.retrieval_set, self.method.k))

    def _anchors(self, around: Around) -> Float32[np.ndarray, "m d"]:
        count, resources = len(around.vectors), self.retrieval_set.resources
        out = np.empty(around.vectors.shape, np.float32)
        step = resources.rows(
            self._graph_bytes, fixed_bytes=out.nbytes, most=GRAPHS, what="ffgnn graphs"
        )
        parts = list(slices(0, count, step))
        for part in resources.track("fusing features", parts, len(parts)):
            with resources.limits(), torch.inference_mode():
                out[part] = self.network.of_first(*self._inputs(around, part)).cpu().numpy()
        return out

    def _inputs(self, around: Around, part: slice) -> tuple[Rows, Square]:
        near = torch.from_numpy(around.near.index[part]).to(self.device).long()
        own = torch.from_numpy(around.vectors[part]).to(self.device)[:, None]
        unit = torch.cat([own, self.images[near]], 1)
        mutual = None
        if self.method.lists:
            mutual = around.mutual(np.arange(part.start, part.stop), self.method.lists).to(
                self.device
            )
        return unit * unit.shape[2] ** 0.5, self.method.graphs(unit, mutual)

    @property
    def _graph_bytes(self) -> int:
        """Of a node six rows of its width; of a pair of nodes eight weights and four marks."""
        n = min(self.method.k, len(self.retrieval_set.gallery)) + 1
        return n * 24 * self.images.shape[1] + n * n * 36
