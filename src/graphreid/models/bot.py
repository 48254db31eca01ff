"""BoT, the bag-of-tricks baseline: from pixels to vectors.

Hao Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPR
Workshops 2019.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from graphreid.datasets.images import Images
from graphreid.datasets.loading import OnError, Pixels, Rows, median_aspect, size_of_aspect
from graphreid.models import extraction
from graphreid.models.backbones import (
    PIXEL_MEAN,
    BNNeck,
    WeightMatch,
    backbone,
    channels_last,
    load_weights,
)
from graphreid.models.losses import batch_hard_triplet, center_loss, identity_loss, update_centers
from graphreid.resources import Resources
from graphreid.seeding import generator, seeded
from graphreid.training import processes
from graphreid.training.augmentation import Padding, erase, flip, pad_crop
from graphreid.training.loop import History, Schedule, cosine, optimise, steps
from graphreid.training.precision import Precision, trained_in
from graphreid.training.samplers import pk_batches
from graphreid.types import NORMAL, Features, Labels

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

Beside = Callable[[int, int], nn.Module]
"""From a vector's width and the number of classes to a module that gives more losses: of (f_t [b,
d], classes [b]).
"""

SHOWN, EPOCHS = 160_000, 16
"""Where the number of epochs follows from the data: images shown in all, at least; and epochs, at
least.
"""


@dataclass(eq=False)
class BoT:
    """A backbone with BNNeck, trained with identity, triplet and center loss; vectors are compared
    by cosine.

    Attributes:
        backbone: a model of timm by name, or a ResNet of timm with _ibn_a behind it.
        channels: widths of a ResNet's four stages in place of its own.
        last_stride: stride of a ResNet's last stage, 1 or 2.
        pooling: timm's name; "avg" is global average pooling.
        height: of the images in pixels; None (both): from the median aspect of the training images,
            about 48 x 48 in area.
        width: of the images in pixels, or None.
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
        margin: of the triplet loss; None for the soft margin.
        triplet_weight: of the triplet loss; the identity loss has 1.
        smoothing: of the identity loss's labels.
        center_weight: of the center loss; 0 for none.
        center_rate: step of the centers, which have an update of their own.
        flip: mirror half of the training images. Wrong for characters and text.
        flip_average: a vector is the mean of the image's and its mirror image's.
        neck: vectors are f_i, after the batch norm; or else f_t, before it.
        pad: pixels by which training images are padded before a random crop, that is, moved at
            most.
        padding: "zeros" or "edge".
        erasing: probability that a rectangle of a training image is blanked.
        precision: "bf16" (autocast), "fp32", or "auto": bf16 on processors with instructions for
            it, and on CUDA devices. It matters for training; vectors are computed in fp32.
        weights: a file with the backbone's first weights, such as ImageNet's; None for random ones.
        allow_partial: take such weights although not all match.
        seed: of all that is random.

    Raises:
        ValueError: a value outside its range.
    """

    backbone: str = "resnet50"
    channels: tuple[int, ...] | None = None
    last_stride: int = 1
    pooling: str = "avg"
    height: int | None = 256
    width: int | None = 128
    epochs: int | None = 120
    optimizer: Literal["adam", "adamw"] = "adam"
    rate: float = 3.5e-4
    weight_decay: int | float = 5e-4
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = (40, 70)
    warmup: int | float = 10
    batch_identities: int = 16
    batch_images: int = 4
    accumulate: int = 1
    margin: int | float | None = 0.3
    triplet_weight: int | float = 1
    smoothing: int | float = 0.1
    center_weight: int | float = 5e-4
    center_rate: int | float = 0.5
    flip: bool = True
    flip_average: bool = True
    neck: bool = True
    pad: int = 10
    padding: Padding = "zeros"
    erasing: int | float = 0.5
    precision: Precision = "auto"
    weights: str | None = None
    allow_partial: bool = False
    seed: int = 0

    network_: BNNeck | None = field(default=None, init=False, repr=False)
    size_: tuple[int, int] | None = field(default=None, init=False, repr=False)
    history_: History = field(default_factory=list[dict[str, int | float]], init=False, repr=False)
    matched_: WeightMatch | None = field(default=None, init=False, repr=False)
    skipped_: int = field(default=0, init=False, repr=False)
    trained_in_: Literal["bf16", "fp32"] | None = field(default=None, init=False, repr=False)
    beside_: nn.Module | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.height is None) != (self.width is None):
            raise ValueError(
                f"height is {self.height} and width is {self.width}: give both, or neither"
            )
        for name in (
            "epochs",
            "rate",
            "batch_identities",
            "batch_images",
            "accumulate",
            "height",
            "width",
        ):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be positive")
        for name in (
            "weight_decay",
            "warmup",
            "center_weight",
            "center_rate",
            "triplet_weight",
            "pad",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}: it must be between 0 and {2**32 - 1}")
        for name in ("smoothing", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be between 0 and 1")
        choices = {
            "last_stride": (1, 2),
            "optimizer": ("adam", "adamw"),
            "schedule": ("steps", "cosine"),
        }
        choices |= {"padding": ("zeros", "edge"), "precision": ("auto", "bf16", "fp32")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of "
                    f"{', '.join(map(str, allowed))}"
                )

    def fields(self) -> dict[str, Any]:
        """The hyper-parameters by name."""
        return {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(self)
            if entry.init
        }

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
            beside: makes a module that is trained together with the network, by losses of its own;
                it is left in `beside_`.

        Raises:
            ValueError: too few identities, an image that can't be read, weights that don't match, a
                loss that isn't finite.
        """
        resources = resources or Resources()
        resources = dataclasses.replace(resources, device=processes.local_device(resources.device))
        if len(images) != len(labels):
            raise ValueError(f"{len(labels)} labels for {len(images)} images: give one each")
        rows = np.flatnonzero(labels.role == NORMAL)
        if len(np.unique(labels.identity[rows])) < 2:
            raise ValueError(
                "training needs images of at least 2 identities (junk and distractors don't count)"
            )
        images = images.take(rows)
        self.size_ = (
            (self.height, self.width)
            if self.height and self.width
            else size_of_aspect(median_aspect(images))
        )
        pixels = Pixels(images, *self.size_, resources=resources, on_error=on_error)
        self.skipped_ = len(images) - len(pixels)
        identity = labels.identity[rows[pixels.kept]]
        names, target = np.unique(identity, return_inverse=True)
        with seeded(self.seed):
            network = self._network(len(names))
            self.beside_ = None if beside is None else beside(network.neck.num_features, len(names))
            if self.weights is not None:
                self.matched_ = load_weights(
                    network.backbone, self.weights, allow_partial=self.allow_partial
                )
            self.trained_in_ = trained_in(self.precision, resources.device)
            objective = self._objective(network, bf16=(in_bf16 := self.trained_in_ == "bf16"))
        channels_last(objective.to(resources.device))
        learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        epochs = self.epochs or max(EPOCHS, math.ceil(SHOWN / len(pixels)))
        self.history_ = optimise(
            objective,
            kind(learned, lr=self.rate, weight_decay=self.weight_decay),
            self._epochs(pixels, target, objective, resources, run),
            processes.data_parallel(objective, resources.device),
            epochs=epochs,
            seed=self.seed,
            schedule=self._schedule(epochs),
            accumulate=self.accumulate,
            folder=run,
            stamp=_stamp(
                {**self.fields(), "bf16": in_bf16, "beside": repr(self.beside_)},
                pixels.images,
                identity,
            ),
            resources=resources,
        )
        self.network_ = network.eval()
        return self

    def embed(self, images: Images, *, resources: Resources | None = None) -> Features:
        """A vector for each image, f_i, float32 [n, d], in their order.

        Raises:
            ValueError: not fitted, or an image that can't be read.
        """
        vectors = np.concatenate([*self.blocks(images, resources=resources)])
        return Features(vectors, images.items, images.camera)  # type: ignore[arg-type]  # text is coded there

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
        network, size = self.fitted()
        extractor = extraction.Extractor(network, flip_average=self.flip_average)
        yield from extraction.blocks(
            extractor, images, size, start=start, batch=batch, resources=resources
        )

    def fitted(self) -> tuple[BNNeck, tuple[int, int]]:
        """The network and its images' (height, width).

        Raises:
            ValueError: there is none yet.
        """
        if self.network_ is None or self.size_ is None:
            raise ValueError(f"{type(self).__name__} is not trained yet: call fit, or load a run")
        return self.network_, self.size_

    @property
    def entries(self) -> int:
        """Entries of a vector, d; of a network that was fitted."""
        return self.fitted()[0].neck.num_features

    def columns(self, _: Float32[np.ndarray, "n d"], /) -> dict[str, np.ndarray]:
        """What stands beside these vectors in a features file, by column: nothing."""
        return {}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learned, for a file: tensors by name (the classifier is among them), and plain
        facts.
        """
        network, size = self.fitted()
        facts = {"size": size, "precision": self.trained_in_}
        return {name: value.contiguous() for name, value in network.state_dict().items()}, facts

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            ValueError: tensors of another network.
        """
        self.size_ = (int(facts["size"][0]), int(facts["size"][1]))
        self.trained_in_ = facts.get("precision")  # older files don't say it
        with seeded(self.seed):  # what is drawn here is replaced
            network = self._network(len(tensors.get("classifier.weight", ())))
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"weights of another network than {self.backbone}: {str(error).splitlines()[1]}"
            ) from None
        self.network_ = network.eval()

    def _network(self, classes: int) -> BNNeck:
        return BNNeck(self._backbone(), classes, pooled=not self.neck)

    def _objective(self, network: BNNeck, *, bf16: bool) -> nn.Module:
        return _Objective(self, network, self.beside_, bf16=bf16)

    def _epochs(
        self,
        pixels: Pixels,
        target: Int64[np.ndarray, " n"],
        objective: nn.Module,
        resources: Resources,
        run: Path | None,
    ) -> Callable[[int], "Epoch"]:
        del objective, run
        return lambda epoch: Epoch(self, pixels, target, epoch, resources.device)

    def _backbone(self) -> nn.Module:
        height, width = self.size_ or (0, 0)
        return backbone(
            self.backbone,
            height=height,
            width=width,
            last_stride=self.last_stride,
            pooling=self.pooling,
            channels=self.channels,
        )

    def _schedule(self, epochs: int) -> Schedule:
        if self.schedule == "cosine":
            return cosine(epochs, warmup=min(self.warmup, epochs / 2))
        return steps(self.milestones, warmup=self.warmup)


class _Objective(nn.Module):
    """From a batch to the losses: triplet and center loss on f_t, identity loss on f_i."""

    centers: Tensor

    def __init__(
        self, settings: BoT, network: BNNeck, beside: nn.Module | None = None, *, bf16: bool
    ) -> None:
        super().__init__()
        self.settings, self.network, self.beside, self.bf16 = settings, network, beside, bf16
        classes, width = network.classifier.weight.shape
        self.register_buffer("centers", torch.randn(classes, width))

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Float32[Tensor, ""]]:
        """The weighted parts of the loss; in training the centers move."""
        (pixels, target), settings = batch, self.settings
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            pooled, normed = self.network(pixels)
        parts = {
            "identity": identity_loss(self.network.classifier(normed), target, settings.smoothing),
            "triplet": settings.triplet_weight
            * batch_hard_triplet(pooled, target, settings.margin),
        }
        if settings.center_weight:
            parts["center"] = settings.center_weight * center_loss(pooled, target, self.centers)
            update_centers(pooled, target, self.centers, settings.center_rate)
        return parts if self.beside is None else {**parts, **self.beside(pooled, target)}


class Epoch:
    """The batches of an epoch: pixels in [0, 1] after augmentation, and classes."""

    def __init__(
        self,
        settings: BoT,
        pixels: Pixels,
        target: Int64[np.ndarray, " n"],
        epoch: int,
        device: str,
    ) -> None:
        self.settings, self.pixels, self.target, self.epoch, self.device = (
            settings,
            pixels,
            target,
            epoch,
            device,
        )
        lists = pk_batches(
            target,
            identities=settings.batch_identities,
            images=settings.batch_images,
            seed=settings.seed,
            epoch=epoch,
        )
        self.lists: Sequence[Rows] = processes.shard(lists)

    def __len__(self) -> int:
        return len(self.lists)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        settings = self.settings
        fill = torch.tensor(PIXEL_MEAN, device=self.device).view(1, 3, 1, 1)
        for step, (rows, raw) in enumerate(
            zip(self.lists, self.pixels.batches(self.lists), strict=True)
        ):
            batch = self.augmented(
                extraction.to_tensor(raw, self.device), step, settings.padding, fill
            )
            yield batch, torch.from_numpy(self.target[rows]).to(self.device)

    def augmented(
        self,
        batch: Float32[Tensor, "b c h w"],
        step: int,
        padding: Padding,
        fill: Float32[Tensor, "#1 c #1 #1"] | None,
    ) -> Float32[Tensor, "b c h w"]:
        """Mirrored, moved and erased as the step's pixels are, whatever the channels mean."""
        draw = generator(
            self.settings.seed, self.epoch, step * processes.world_size() + processes.rank(), 1
        )
        batch = flip(batch, draw) if self.settings.flip else batch
        return erase(
            pad_crop(batch, draw, self.settings.pad, padding), draw, self.settings.erasing, fill
        )


def _stamp(settings: Mapping[str, Any], images: Images, identity: Int64[np.ndarray, " n"]) -> str:
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    digest.update(
        "\n".join([images.contents(), *images.items.tolist()]).encode() + identity.tobytes()
    )
    return digest.hexdigest()
