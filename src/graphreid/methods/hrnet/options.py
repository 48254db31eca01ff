"""The options of HRNet by group: its two graphs, the network on them, and its training."""

from dataclasses import dataclass
from typing import Literal

from graphreid.options import AtLeastTwo, Count, Fraction, NonNegative, Seed, check_options


@dataclass(frozen=True)
class Graphs:
    """Nodes and edges of the graph of images and of the graph of pairs.

    Attributes:
        nodes: gallery images beside the query, at most those there are.
        graph: edges of the graph of images: "local", from a node's k nearest, or "full", from all
            ("IR*" in Table 1).
        k: nodes that an image has edges from, itself counted (Eq. 1).
        self_in_c: an image is among its own k nearest; beside it, I of Eq. 3 adds the image itself
            in any case.
        edges: pairs that a pair has edges from, the nearest and itself counted, or "full" (Fig. 4).
    """

    nodes: Count = 300
    graph: Literal["local", "full"] = "local"
    k: Count = 10
    self_in_c: bool = True
    edges: Count | Literal["full"] = "full"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Network:
    """The network on the two graphs.

    Attributes:
        individual: use the graph of images ("IR" in Table 1).
        pairwise: use the graph of pairs ("PR").
        propagation: let a pair take up features of its two images ("IGP", Eqs. 7-9).
        attention: the softmax of Eq. 2 is over "all" nodes, as printed, or over the "linked" ones,
            those that C keeps.
        layers: of the graph of images.
        alpha: how much of a pair is kept (Eq. 7).
        beta: how much of the rest comes from other pairs, and not from images (Eq. 7).
        readout: the probability is a linear function of u', as printed, or of its "absolute"
            entries: a difference and its negative then say the same.
        init: weights begin at random ("default"), or W of the graph of images as the identity, and
            pairs with the differences of their images' new features ("identity").
    """

    individual: bool = True
    pairwise: bool = True
    propagation: bool = True
    attention: Literal["all", "linked"] = "linked"
    layers: Count = 2
    alpha: Fraction = 0.1
    beta: Fraction = 0.1
    readout: Literal["linear", "absolute"] = "absolute"
    init: Literal["default", "identity"] = "identity"

    def __post_init__(self) -> None:
        check_options(self)
        if not (self.individual or self.pairwise):
            raise ValueError("individual and pairwise are both off: one graph at least is needed")


@dataclass(frozen=True)
class Losses:
    """The losses on the two graphs (Eq. 14).

    Attributes:
        constraint: lambda, the weight of the consistent node constraint ("CNC", Eqs. 4-5); 0 for
            none.
        margin: omega of the constraint.
        smoothing: of the labels of the graph of images.
        balance: in Eq. 13, pairs of one identity weigh as much as those of two, all together.
    """

    constraint: NonNegative = 0.1
    margin: NonNegative = 0.3
    smoothing: Fraction = 0.1
    balance: bool = False

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """How the network is trained on embeddings.

    Attributes:
        batches: of identities drawn at "random", or of some that are "near" each other, as they are
            in a graph at test.
        identities: in a batch.
        images: of each of them.
        rate: the learning rate of Adam at its highest.
        weight_decay: of all weights.
        schedule: "steps", a tenth after 0.2 and 0.6 of the epochs, or "cosine", to 0 at the last
            epoch.
        epochs: how often the training images are gone through, at most.
        patience: epochs without a better mAP on validation identities after which training stops;
            None for never.
        noise: expected length of the noise on training embeddings of unit length, which lie closer
            together than those of identities that the embedder has not seen.
        calibrate: fit slope and offset of the logit on the validation identities, for the
            probabilities that are given; distances have the network's own, for a larger gallery is
            harder.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it.
        seed: of all that is random.
    """

    batches: Literal["random", "near"] = "random"
    identities: AtLeastTwo = 11
    images: AtLeastTwo = 6
    rate: NonNegative = 1e-3
    weight_decay: NonNegative = 5e-4
    schedule: Literal["steps", "cosine"] = "cosine"
    epochs: Count = 15
    patience: Count | None = None
    noise: NonNegative = 0.0
    calibrate: bool = True
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_options(self)
