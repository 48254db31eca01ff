"""The options of a network that is trained from pixels, by group; BoT and ICG share them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

from graphreid.options import Count, check_options

Rate = Annotated[int | float, Gt(0)]
"""A number above 0."""
Weight = Annotated[int | float, Ge(0)]
"""A number, at least 0."""
Share = Annotated[int | float, Interval(ge=0, le=1)]
"""A number in [0, 1]."""


@dataclass(frozen=True)
class Network:
    """The backbone, and the vectors that are made of it.

    Attributes:
        backbone: a model of timm by name, or a ResNet of timm with _ibn_a behind it.
        channels: widths of a ResNet's four stages in place of its own.
        last_stride: stride of a ResNet's last stage.
        pooling: timm's name; "avg" is global average pooling.
        neck: vectors are f_i, after the batch norm; or else f_t, before it.
        weights: a file with the backbone's first weights, such as ImageNet's; None for random ones.
        allow_partial: take such weights although not all match.
    """

    backbone: str = "resnet50"
    channels: tuple[int, ...] | None = None
    last_stride: Literal[1, 2] = 1
    pooling: str = "avg"
    neck: bool = True
    weights: str | None = None
    allow_partial: bool = False

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Input:
    """The images' size, and what is done to training images.

    Attributes:
        height: of the images in pixels; None (both): from the median aspect of the training images,
            about 48 x 48 in area.
        width: of the images in pixels, or None.
        flip: mirror half of the training images. Wrong for characters and text.
        pad: pixels by which training images are padded before a random crop, that is, moved at
            most.
        padding: "zeros" or "edge".
        erasing: probability that a rectangle of a training image is blanked.
    """

    height: Count | None = 256
    width: Count | None = 128
    flip: bool = True
    pad: Annotated[int, Ge(0)] = 10
    padding: Literal["zeros", "edge"] = "zeros"
    erasing: Share = 0.5

    def __post_init__(self) -> None:
        check_options(self)
        if (self.height is None) != (self.width is None):
            raise ValueError(
                f"height is {self.height} and width is {self.width}: give both, or neither"
            )


@dataclass(frozen=True)
class Losses:
    """The losses of a vector: identity, triplet and center loss (Luo et al. 2019).

    Attributes:
        margin: of the triplet loss; None for the soft margin.
        triplet_weight: of the triplet loss; the identity loss has 1.
        smoothing: of the identity loss's labels.
        center_weight: of the center loss; 0 for none.
        center_rate: step of the centers, which have an update of their own.
    """

    margin: int | float | None = 0.3
    triplet_weight: Weight = 1
    smoothing: Share = 0.1
    center_weight: Weight = 5e-4
    center_rate: Weight = 0.5

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    """Batches and schedule.

    Attributes:
        epochs: how often the training images are gone through; None for as many as show 160,000
            images, at least 16.
        optimizer: "adam" (weight decay in the gradient, as published) or "adamw" (decoupled).
        rate: the learning rate at its highest.
        weight_decay: of all weights.
        schedule: "steps" (x0.1 at the milestones) or "cosine" (to 0 at the end).
        milestones: epochs, for steps.
        warmup: epochs in which the rate rises linearly from a tenth.
        batch_identities: P, identities in a batch.
        batch_images: K, images of each.
        accumulate: batches whose gradients are averaged for one step.
        precision: "bf16" (autocast), "fp32", or "auto": bf16 on processors with instructions for
            it, and on CUDA devices. It matters for training; vectors are computed in fp32.
        seed: of all that is random.
    """

    epochs: Count | None = 120
    optimizer: Literal["adam", "adamw"] = "adam"
    rate: Rate = 3.5e-4
    weight_decay: Weight = 5e-4
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = (40, 70)
    warmup: Weight = 10
    batch_identities: Count = 16
    batch_images: Count = 4
    accumulate: Count = 1
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Annotated[int, Interval(ge=0, le=2**32 - 1)] = 0

    def __post_init__(self) -> None:
        check_options(self)
