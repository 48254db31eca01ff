"""The options of FFGNN by group: its graph, its network and its training."""

from dataclasses import dataclass
from typing import Literal

from graphreid.options import Count, Fraction, NonNegative, Seed, check_options


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of an image's graph.

    Attributes:
        k: K, gallery images beside the anchor, at most those there are.
        edges: A is "joint", lam Jaccard + (1 - lam) cosine (Eq. 8), or "cosine" alone (Table 1).
        mask: keep the `tau` largest entries of each row of A (Eqs. 9-10).
        reciprocal: k of the k-reciprocal sets (Eq. 5).
        tau: entries that the mask keeps, a node's own counted.
        lam: lambda of Eq. 8, the weight of the Jaccard similarity.
        scope: among which images the k-reciprocal sets are found: the nodes of the "graph", or the
            whole "gallery". In a random training graph it is always the graph.
    """

    k: Count = 200
    edges: Literal["joint", "cosine"] = "joint"
    mask: bool = True
    reciprocal: Count = 20
    tau: Count = 20
    lam: Fraction = 0.7
    scope: Literal["graph", "gallery"] = "gallery"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Network:
    """The fusion of the nodes' features.

    Attributes:
        iterations: each has its own weights.
        alpha: how much of a feature is replaced in each iteration (Eq. 12).
        init: W begins as the "identity", or at random ("default").
    """

    iterations: Count = 3
    alpha: Fraction = 0.3
    init: Literal["identity", "default"] = "identity"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Attributes:
        identity: with the softmax loss (Eq. 13).
        triplet: with the triplet loss (Eq. 14).
        verification: with the verification loss (Eq. 15).
        margin: beta of the triplet loss.
        sampling: a training graph is an image and its K nearest ("retrieval"), or identities at
            random with four images each, K + 1 in all ("random"; Table 1).
        rate: the learning rate of Adam; a tenth after each third of the epochs.
        weight_decay: of all weights.
        batch: graphs in a step.
        epochs: each draws new anchors, a fifth of the images, at most `anchors`.
        anchors: of an epoch, at most; None for all of the fifth.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length, which lie closer
            together than those of identities that the embedder has not seen.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it.
        seed: of all that is random.
    """

    identity: bool = True
    triplet: bool = True
    verification: bool = True
    margin: NonNegative = 0.3
    sampling: Literal["retrieval", "random"] = "retrieval"
    rate: NonNegative = 3e-4
    weight_decay: NonNegative = 5e-4
    batch: Count = 4
    epochs: Count = 6
    anchors: Count | None = 1000
    patience: Count | None = 4
    noise: NonNegative = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_options(self)
        if not (self.identity or self.triplet or self.verification):
            raise ValueError(
                "identity, triplet and verification are all off: train with one at least"
            )
