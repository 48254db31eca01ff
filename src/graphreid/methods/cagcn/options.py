"""The options of CAGCN by group: its graphs, its network and its training."""

from dataclasses import dataclass
from typing import Literal

from graphreid.options import (
    AtLeastTwo,
    Count,
    Natural,
    NonNegative,
    OpenFraction,
    Seed,
    check_options,
)


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a query's graph.

    Attributes:
        sampler: "hgs", the two-hop hard gallery sampler (Eq. 1), or "plain", the k nearest images
            (Table 3).
        k1: first-hop images of a query.
        k2: neighbours of a gallery image, for the second hop and for edges.
        k: nodes, at most.
        edges: "hgs", to a node's first `links` two-hop neighbours in the graph (Eq. 2); "knn", to
            its own k2 neighbours alone; "full", to all other nodes (the graph of SGGNN).
        links: k', edges of a node, at most.
        self_loops: every node has a self-loop; one without other edges always has.
    """

    sampler: Literal["hgs", "plain"] = "hgs"
    k1: Count = 140
    k2: Natural = 10
    k: Count = 200
    edges: Literal["hgs", "knn", "full"] = "hgs"
    links: Count = 8
    self_loops: bool = False

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Network:
    """The network on a query's graph.

    Attributes:
        layers: residual blocks (Eqs. 3-4).
        width: hidden entries h, at most the d of an embedding; None for d.
        edge_weight: "attention", the softmax of Eq. 2, or "binary", equal weights.
        edge_input: V of Eq. 2: "gallery", the gallery image's embedding, or "pair", the difference
            to the query's.
        attention_width: entries of phi(V) and phi'(V).
        scale_attention: divide the dot product of Eq. 2 by the root of `attention_width`.
    """

    layers: Count = 4
    width: AtLeastTwo | None = 512
    edge_weight: Literal["attention", "binary"] = "attention"
    edge_input: Literal["gallery", "pair"] = "gallery"
    attention_width: Count = 256
    scale_attention: bool = True

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Attributes:
        alpha: weight of positives in the focal loss, and 1 - alpha of negatives; None for 1 each.
        gamma: the exponent of the focal loss.
        optimizer: "sgd" with momentum 0.9, or "adamw".
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: of the learning rate: "constant", or "cosine", down to 0 at the last epoch.
        batch: graphs in a batch.
        epochs: how often each training image is the query, at most.
        patience: epochs without a better validation mAP after which training stops; None for never.
        noise: expected length of the Gaussian noise on training embeddings of unit length. Images
            that the embedder was trained on lie closer together than others; noise loosens them.
        calibrate: fit slope and offset of the logit on the validation identities (Platt scaling).
        precision: "bf16", "fp32", or "auto": bf16 where the hardware multiplies it natively.
        seed: of everything random.
    """

    alpha: OpenFraction | None = 0.25
    gamma: NonNegative = 2.0
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: NonNegative = 0.001
    weight_decay: NonNegative = 0.01
    schedule: Literal["constant", "cosine"] = "cosine"
    batch: Count = 16
    epochs: Count = 4
    patience: Count | None = 4
    noise: NonNegative = 1.0
    calibrate: bool = True
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_options(self)
