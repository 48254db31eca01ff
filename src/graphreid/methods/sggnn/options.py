"""The options of SGGNN by group: its graphs, its network and its training."""

from dataclasses import dataclass
from typing import Literal

from graphreid.options import Count, Fraction, NonNegative, Seed, check_options


@dataclass(frozen=True)
class Graph:
    """Nodes of a query's graph; edges join all of them.

    Attributes:
        k: candidates of a query, its nearest gallery images.
    """

    k: Count = 100

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Network:
    """The network on a query's graph.

    Attributes:
        width: entries h of a pair's feature, at most the d of an embedding; None for d.
        share: alpha, how much of a node's new feature comes from the messages of others.
    """

    width: Count | None = 512
    share: Fraction = 0.9

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """How the network is trained: binary cross-entropy, AdamW, a cosine schedule.

    Attributes:
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        batch: graphs in a batch.
        epochs: how often each training image is the query, at most.
        patience: epochs without a better validation mAP after which training stops; None for never.
        noise: expected length of the Gaussian noise on training embeddings of unit length.
        calibrate: fit slope and offset of the logit on the validation identities (Platt scaling).
        precision: "bf16", "fp32", or "auto": bf16 where the hardware multiplies it natively.
        seed: of everything random.
    """

    rate: NonNegative = 1e-3
    weight_decay: NonNegative = 1e-4
    batch: Count = 16
    epochs: Count = 8
    patience: Count | None = 4
    noise: NonNegative = 0.0
    calibrate: bool = True
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def optimizer(self) -> Literal["adamw"]:
        """The optimizer: not an option here."""
        return "adamw"

    @property
    def schedule(self) -> Literal["cosine"]:
        """The learning rate's schedule: not an option here."""
        return "cosine"
