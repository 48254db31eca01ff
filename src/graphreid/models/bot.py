"""BoT, the bag-of-tricks baseline: from pixels to vectors.

Hao Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPR
Workshops 2019. The network is `backbones.BNNeck`: backbone -> f_t -> batch norm -> f_i ->
classifier. Triplet and center loss see f_t, the identity loss and retrieval f_i.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from graphreid.datasets.images import Images
from graphreid.datasets.loading import OnError
from graphreid.models.backbones import BNNeck
from graphreid.models.losses import batch_hard_triplet, center_loss, identity_loss, update_centers
from graphreid.models.options import Input, Losses, Network, Training
from graphreid.models.pixel_training import (
    Beside,
    PixelBatches,
    Trained,
    build_backbone,
    restored,
    train_from_pixels,
)
from graphreid.options import check_options, flat_options
from graphreid.resources import Resources
from graphreid.types import Features, Labels

PRESETS: dict[str, Mapping[str, Any]] = {
    # section 3 and 4.1 of the paper: the fields' defaults
    "paper": {},
    # minutes on two processor cores, from random weights: a thin ResNet-10, small images, a rate
    # that falls to 0
    "small": {
        "backbone": "resnet10t",
        "channels": (32, 64, 128, 256),
        "height": None,
        "width": None,
        "epochs": None,
        "optimizer": "adamw",
        "rate": 2e-3,
        "schedule": "cosine",
        "warmup": 2,
        "pad": 4,
        "padding": "edge",
        "erasing": 0,
    },
    # FFGNN, section 4.2: identity and triplet loss, 3e-4, x0.1 every 20 epochs; it does not say how
    # many epochs
    "ffgnn": {
        "height": 384,
        "width": 128,
        "epochs": 80,
        "rate": 3e-4,
        "milestones": (20, 40, 60),
        "warmup": 0,
        "center_weight": 0,
    },
    # HRNet, section 4.2: batches of 11 x 6, 200 epochs, crop and flip alone
    "hrnet": {
        "epochs": 200,
        "milestones": (40, 120),
        "warmup": 0,
        "batch_identities": 11,
        "batch_images": 6,
        "center_weight": 0,
        "erasing": 0,
    },
}
"""Settings by name; a preset lists what differs from the paper's."""


@final
@dataclass(eq=False)
class BoT:
    """A backbone with BNNeck, trained with identity, triplet and center loss; vectors are compared
    by cosine.

    Attributes:
        network: the backbone.
        input: the images' size and augmentation.
        losses: of the vectors.
        training: batches and schedule.
        flip_average: a vector is the mean of the image's and its mirror image's.

    Raises:
        ValueError: a value outside its range.
    """

    network: Network = field(default_factory=Network)
    input: Input = field(default_factory=Input)
    losses: Losses = field(default_factory=Losses)
    training: Training = field(default_factory=Training)
    flip_average: bool = True

    trained_: Trained[BNNeck] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_options(self)

    def fields(self) -> dict[str, Any]:
        """The options by flat name."""
        return flat_options(self)

    def fit(
        self,
        images: Images,
        labels: Labels,
        *,
        resources: Resources | None = None,
        run: Path | None = None,
        on_error: OnError = "stop",
        beside: Beside | None = None,
    ) -> "BoT":
        """Train on labelled images, forgetting what was learned before; returns itself.

        Args:
            images: the images; junk and distractors among them are left out.
            labels: theirs.
            resources: device, memory for pixels, threads, progress.
            run: a folder for checkpoint/ and log.jsonl; where it has a checkpoint, training goes on
                from there.
            on_error: "stop" at an image that can't be read, or "skip" it.
            beside: makes a module that is trained together with the network, by losses of its own.

        Raises:
            ValueError: too few identities, an image that can't be read, weights that don't match, a
                loss that isn't finite.
        """
        self.trained_ = train_from_pixels(
            self,
            images,
            labels,
            build=self._build,
            objective=lambda network, module, half: BoTObjective(
                network, self.losses, module, bf16=half
            ),
            batches=lambda _, given: lambda epoch: PixelBatches(self, given, epoch),
            resources=resources,
            run=run,
            on_error=on_error,
            beside=beside,
        )
        return self

    @property
    def trained(self) -> Trained[BNNeck]:
        """The network that was trained, or loaded, and metadata of its training.

        Raises:
            ValueError: there is none yet.
        """
        if self.trained_ is None:
            raise ValueError("BoT is not trained yet: call fit, or load a run")
        return self.trained_

    def embed(self, images: Images, *, resources: Resources | None = None) -> Features:
        """A vector for each image, f_i, float32 [n, d], in their order.

        Raises:
            ValueError: not fitted, or an image that can't be read.
        """
        return self.trained.embed(images, flip_average=self.flip_average, resources=resources)

    def blocks(
        self,
        images: Images,
        *,
        start: int = 0,
        batch: int | None = None,
        resources: Resources | None = None,
    ) -> Iterator[Float32[np.ndarray, "b d"]]:
        """The vectors of images start .. n-1, a block at a time (see `extraction.blocks`).

        Raises:
            ValueError: not fitted, or an image that can't be read.
        """
        yield from self.trained.blocks(
            images,
            flip_average=self.flip_average,
            start=start,
            batch=batch,
            resources=resources,
        )

    def fitted(self) -> tuple[BNNeck, tuple[int, int]]:
        """The network and its images' (height, width).

        Raises:
            ValueError: there is none yet.
        """
        return self.trained.network, self.trained.size

    @property
    def entries(self) -> int:
        """Entries of a vector, d; of a network that was fitted."""
        return self.trained.network.neck.num_features

    def columns(self, _: Float32[np.ndarray, "n d"], /) -> dict[str, np.ndarray]:
        """What stands beside these vectors in a features file, by column: nothing."""
        return {}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learned, for a file: tensors by name, and plain metadata."""
        return self.trained.state()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            ValueError: tensors of another network.
        """
        self.trained_ = restored(self._build, tensors, metadata, self)

    def _build(self, classes: int, size: tuple[int, int]) -> BNNeck:
        return BNNeck(build_backbone(self.network, size), classes, pooled=not self.network.neck)


class BoTObjective(nn.Module):
    """From a batch to the losses: triplet and center loss on f_t, identity loss on f_i.

    Args:
        network: gives f_t and f_i.
        options: weights and margins.
        beside: gives more losses of f_t.
        bf16: whether the network runs in bf16.
    """

    centers: Tensor

    def __init__(
        self, network: BNNeck, options: Losses, beside: nn.Module | None = None, *, bf16: bool
    ) -> None:
        super().__init__()
        self.options = options
        self.network = network
        self.beside = beside
        self.bf16 = bf16
        self.register_buffer("centers", torch.randn_like(network.classifier.weight))

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Float32[Tensor, ""]]:
        """The weighted parts of the loss; in training the centers move."""
        pixels, target = batch
        options = self.options
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            f_t, f_i = self.network(pixels)
        logits = self.network.classifier(f_i)
        triplet = batch_hard_triplet(f_t, target, options.margin)
        parts = {
            "identity": identity_loss(logits, target, options.smoothing),
            "triplet": options.triplet_weight * triplet,
        }
        if options.center_weight:
            parts["center"] = options.center_weight * center_loss(f_t, target, self.centers)
            update_centers(f_t, target, self.centers, options.center_rate)
        return parts if self.beside is None else {**parts, **self.beside(f_t, target)}
