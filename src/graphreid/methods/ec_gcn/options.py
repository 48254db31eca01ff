"""The options of EC-GCN by group: its graphs, its network and its training."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from graphreid.options import (
    AtLeastTwo,
    Count,
    NonNegative,
    OpenFraction,
    Seed,
    check_options,
)

WIDEST = 256
"""Hidden entries by default, at most."""


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a query's graph.

    Attributes:
        k1: images that get a link probability, the query's nearest.
        k2: neighbours of each of them that are nodes besides; a graph has at most k1 k2 nodes.
        links: e, nearest neighbours of a node to which it has edges, where they are nodes (Eq. 10).
        self_loops: every node has a self-loop; one without other edges always has.
    """

    k1: Count = 50
    k2: Count = 10
    links: Count = 10
    self_loops: bool = True

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Network:
    """The network on a query's graph.

    Attributes:
        layers: L', graph layers (Eq. 11).
        width: hidden entries h; None for the d of an embedding, at most WIDEST.
    """

    layers: Count = 3
    width: AtLeastTwo | None = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Attributes:
        sampler: "rpgs", k1 of the gamma k1 nearest images, drawn so that positives and negatives
            are equally likely (Eq. 9), or "hgs", the k1 nearest, as always at inference (Eq. 8).
        gamma: from how many times k1 images "rpgs" draws.
        loss: "focal" (Eq. 12), as published, or "ce", cross-entropy.
        alpha: weight of links in the focal loss, and 1 - alpha of the others; None for 1 each.
        focus: upsilon, the exponent of the focal loss.
        optimizer: "sgd" with momentum 0.9, or "adamw".
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: of the learning rate: "steps", times 0.1 after each epoch; "cosine", down to 0 at
            the last; or "constant".
        batch: graphs in a batch.
        queries: training images that are queries in an epoch, drawn anew for each; None for all.
        epochs: rounds of so many queries, at most.
        patience: epochs without a better validation mAP after which training stops; None for never.
        noise: expected length of the Gaussian noise on training embeddings of unit length. Images
            that the embedder was trained on lie closer together than others; noise loosens them.
        metric: the distance of two training vectors; at inference it is the gallery's.
        calibrate: fit slope and offset of the logit on the validation identities (Platt scaling).
        precision: "bf16", "fp32", or "auto": bf16 where the hardware multiplies it natively.
        seed: of everything random.
    """

    sampler: Literal["rpgs", "hgs"] = "rpgs"
    gamma: Annotated[float, Ge(1)] = 1.5
    loss: Literal["focal", "ce"] = "ce"
    alpha: OpenFraction | None = 0.25
    focus: NonNegative = 2.0
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01
    schedule: Literal["steps", "cosine", "constant"] = "cosine"
    batch: Count = 16
    queries: Count | None = 2500
    epochs: Count = 2
    patience: Count | None = None
    noise: NonNegative = 0.0
    metric: Literal["cosine", "euclidean"] = "cosine"
    calibrate: bool = True
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_options(self)
