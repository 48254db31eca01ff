"""SGGNN: the features of a query's pairs with its nearest gallery images, mixed once by how alike
those images are.

Shen, Li, Yi, Chen, Wang: Person Re-identification with Deep Similarity-Guided Graph Neural Network,
ECCV 2018, on frozen
embeddings: what the network does beneath the pair features is the embedder's part here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graphreid.gallery import RetrievalSet
from graphreid.graphs import adjacency
from graphreid.methods.fitted import need_fitted, need_width, restored
from graphreid.methods.link_prediction.candidates import Candidates, Judged, Lesson
from graphreid.methods.link_prediction.layers import NodeBatchNorm
from graphreid.methods.link_prediction.predictor import Linked
from graphreid.methods.link_prediction.query_graphs import LocalGraphs
from graphreid.methods.link_prediction.validation import Auto, Validation
from graphreid.protocols import ONLINE
from graphreid.resources import Resources
from graphreid.seeding import seeded
from graphreid.training.loop import cosine, optimise, stamp
from graphreid.training.precision import Precision, bf16
from graphreid.types import Features, Labels


class SimilarityGuided(nn.Module):
    """From embeddings of a query and its candidates to a logit each.

    Args:
        inputs: entries of an embedding, d.
        width: entries of a pair's feature, h.
        share: how much of a node's new feature comes from the others, in [0, 1].
    """

    def __init__(self, inputs: int, width: int, share: float) -> None:
        super().__init__()
        self.norm = NodeBatchNorm(inputs)
        self.feature = nn.Linear(inputs, width)
        self.message = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.readout = nn.Linear(width, 1)
        self.share = share

    def forward(
        self, query: Float[Tensor, "b d"], images: Float[Tensor, "b n d"], real: Bool[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n n"]]:
        """Logits and the weights W with which a node hears the others."""
        squares = (query[:, None] - images).square()
        pair = self.feature(self.norm(squares, real))  # d_i = FC(BN((f_p - f_i)^2))
        weights = self._weights(squares, images, real)
        pair = (1 - self.share) * pair + self.share * (
            weights @ self.message(pair)
        )  # d <- (1-a) d + a sum_j W_ij t_j
        return self.readout(pair)[..., 0], weights

    def _weights(
        self,
        squares: Float[Tensor, "b n d"],
        images: Float[Tensor, "b n d"],
        real: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n n"]:
        """W, the softmax over j != i of the similarity that the same pair network gives to gallery
        images i and j.

        BN, FC and read-out are linear in the squares, so the similarity is a weighted squared
        distance, and one product gives all of a graph's; what is the same for all j, the softmax
        does not see.
        """
        with torch.autocast(images.device.type, enabled=False):
            known = None if self.training else self.norm.running_var
            variance = squares[real].var(0, correction=0) if known is None else known
            of_entry = (self.readout.weight @ self.feature.weight)[0] * self.norm.weight
            of_entry = of_entry * torch.rsqrt(variance + self.norm.eps)
            score = (images.square() @ of_entry)[:, None, :] - 2 * (images * of_entry) @ images.mT
            return adjacency.attention(score, adjacency.complete(real))


@final
@dataclass(eq=False)
class SGGNN(Linked):
    """Similarity-guided graph network on the k nearest gallery images of each query.

    Attributes:
        k: candidates of a query.
        width: entries of a pair's feature, at most those of an embedding; None for as many.
        share: a, how much of a node's new feature comes from the others, in [0, 1].
        lam: weight of the predicted distance in d_o + lam (1 - probability); "auto" chooses it on
            validation identities.
        rate: the learning rate of AdamW at its highest; it falls to 0 as half a cosine.
        weight_decay: of all weights.
        batch: graphs in a batch.
        epochs: how often each training image is the query, at most.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length.
        calibrate: fit slope and offset of the logit on the validation identities, so that 0.8 is
            right in 80 %.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it. It matters for
            training alone.
        seed: of all that is random.

    Raises:
        ValueError: a value out of its range.
    """

    k: int = 100
    width: int | None = 512
    share: float = 0.9
    lam: float | Auto = 1.0
    rate: float = 1e-3
    weight_decay: float = 1e-4
    batch: int = 16
    epochs: int = 8
    patience: int | None = 4
    noise: float = 0.0
    calibrate: bool = True
    precision: Precision = "auto"
    seed: int = 0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: SimilarityGuided | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "sggnn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def __post_init__(self) -> None:
        for key in ("k", "batch", "epochs"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}: it must be at least 1")
        for key in ("rate", "weight_decay", "noise"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}: it must not be negative")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}: it must be between 0 and 1")
        if self.width is not None and self.width < 1:
            raise ValueError(f"width is {self.width}: it must be at least 1")
        if self.lam != "auto" and self.lam < 0:
            raise ValueError(f"lam is {self.lam}: it must not be negative")

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
    ) -> "SGGNN":
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
        resources = resources or Resources()
        lesson = Lesson(
            train, labels, k1=self.k, k2=0, noise=self.noise, seed=self.seed, resources=resources
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
            torch.optim.AdamW(network.parameters(), self.rate, weight_decay=self.weight_decay),
            lambda epoch: lesson.batches(epoch, self.batch),
            lambda queries: {"link": self._loss(network, lesson, queries)},
            epochs=self.epochs,
            seed=self.seed,
            schedule=cosine(self.epochs),
            validate=None
            if held is None
            else lambda _: held.best(_Judging(self.k, network, held.retrieval_set), self.lam),
            patience=self.patience,
            folder=folder,
            stamp=stamp(self, (train, labels), validation),
            what=self.name,
            resources=resources,
        )
        self.learned(network, lesson.labels, history, held)
        return self

    def _build(self, inputs: int) -> SimilarityGuided:
        return SimilarityGuided(
            inputs, inputs if self.width is None else min(self.width, inputs), self.share
        )

    def _loss(
        self, network: SimilarityGuided, lesson: Lesson, queries: NDArray[np.intp]
    ) -> Float[Tensor, ""]:
        vectors, device = lesson.retrieval_set.gallery.vectors, lesson.resources.device
        nodes, _ = _graphs(self.k).build(lesson.candidates.take(queries))
        scale = np.float32(vectors.shape[1] ** 0.5)
        images, own = (
            torch.from_numpy(vectors[rows] * scale).to(device) for rows in (nodes, queries)
        )
        real = torch.from_numpy(nodes >= 0).to(device)
        target = torch.from_numpy(lesson.targets(queries, nodes)).to(device)
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=bf16(self.precision, device)
        ):
            logits = network(own, images, real)[0]
        return functional.binary_cross_entropy_with_logits(logits.float()[real], target[real])

    def judging(self, retrieval_set: RetrievalSet) -> "_Judging":
        """The network at work on a pool.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        need_fitted(self)
        width = self.state_["norm.weight"].shape[0]
        if self._kept is None:
            self._kept = restored(lambda: self._build(width), self.state_, self.name)
        need_width(retrieval_set, width, self.name)
        return _Judging(self.k, self._kept.to(retrieval_set.resources.device), retrieval_set)


def _graphs(k: int) -> LocalGraphs:
    return LocalGraphs(sampler="plain", k1=k, k2=0, k=k, edges="full", links=1, self_loops=False)


class _Judging:
    """A network at work on one pool."""

    def __init__(self, k: int, network: SimilarityGuided, retrieval_set: RetrievalSet) -> None:
        self.graphs, self.network, self.retrieval_set, self.device = (
            _graphs(k),
            network.eval(),
            retrieval_set,
            retrieval_set.resources.device,
        )
        self.candidates = Candidates.of(retrieval_set, k, 0)
        self.images = torch.from_numpy(retrieval_set.gallery.vectors).to(self.device)

    @property
    def graph_bytes(self) -> int:
        """Of a node three rows of inputs and four hidden ones; of a pair of nodes two weights and a
        mark.
        """
        n = min(self.graphs.k, len(self.retrieval_set.gallery))
        return (
            n * 4 * (3 * self.network.feature.in_features + 4 * self.network.feature.out_features)
            + n * n * 9
        )

    def judge(self, part: slice) -> Judged:
        """The graphs of some queries."""
        nodes, _ = self.graphs.build(self.candidates.take(part))
        with self.retrieval_set.resources.limits(), torch.inference_mode():
            rows = torch.from_numpy(nodes).to(self.device).long()
            near = self.images.index_select(0, rows.clamp(min=0).flatten()).view(*rows.shape, -1)
            own = torch.from_numpy(self.retrieval_set.query_vectors[part]).to(self.device)
            scale = near.shape[2] ** 0.5
            logits, weights = self.network(own * scale, near * scale, rows >= 0)
        return nodes, logits.cpu().numpy(), weights.cpu().numpy()
