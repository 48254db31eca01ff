"""The training of a network on labelled images, for every embedder that is trained from pixels."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

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
from graphreid.models.options import Input, Network, Training
from graphreid.options import flat_options
from graphreid.resources import Resources
from graphreid.seeding import generator, seeded
from graphreid.training import processes
from graphreid.training.augmentation import Padding, erase, flip, pad_crop
from graphreid.training.loop import Batches, History, Schedule, cosine, optimise, steps
from graphreid.training.precision import trained_in
from graphreid.training.samplers import pk_batches
from graphreid.types import NORMAL, Features, Labels

N = TypeVar("N", bound=BNNeck)

SHOWN = 160_000
EPOCHS = 16
"""Where the number of epochs follows from the data: images shown in all, at least; and epochs, at
least.
"""
Beside = Callable[[int, int], nn.Module]
"""From a vector's width and the number of classes to a module that gives more losses: of (f_t [b,
d], classes [b]).
"""


@runtime_checkable
class EmbedderOptions(Protocol):
    """Options of an embedder that is trained from pixels."""

    network: Network
    input: Input
    training: Training


@dataclass(frozen=True, eq=False)
class Trained(Generic[N]):
    """A trained network, and metadata of its training.

    Attributes:
        network: in evaluation mode.
        size: (height, width) of its images.
        history: a record an epoch; empty for a network from a file.
        precision: that it was trained in; older files don't say it.
        matched: which of the first weights found their place, where a file was given.
        skipped: images that could not be read.
        beside: the module that was trained together with it.
    """

    network: N
    size: tuple[int, int]
    history: History = field(default_factory=list[dict[str, int | float]])
    precision: Literal["bf16", "fp32"] | None = None
    matched: WeightMatch | None = None
    skipped: int = 0
    beside: nn.Module | None = None

    def embed(self, images: Images, *, flip_average: bool, resources: Resources | None) -> Features:
        """A vector for each image, float32 [n, d], in their order.

        Args:
            images: the images.
            flip_average: a vector is the mean of the image's and its mirror image's.
            resources: device, memory, threads, progress.

        Raises:
            ValueError: an image that can't be read.
        """
        blocks = self.blocks(images, flip_average=flip_average, resources=resources)
        vectors = np.concatenate([*blocks])
        return Features(vectors, images.items, images.camera)  # type: ignore[arg-type]  # text is coded there

    def blocks(
        self,
        images: Images,
        *,
        flip_average: bool,
        start: int = 0,
        batch: int | None = None,
        resources: Resources | None = None,
    ) -> Iterator[Float32[np.ndarray, "b d"]]:
        """The vectors of images start .. n-1, a block at a time (see `extraction.blocks`).

        Raises:
            ValueError: an image that can't be read.
        """
        extractor = extraction.Extractor(self.network, flip_average=flip_average)
        yield from extraction.blocks(
            extractor, images, self.size, start=start, batch=batch, resources=resources
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learned, for a file: tensors by name (the classifier is among them), and plain
        metadata.
        """
        tensors = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        return tensors, {"size": self.size, "precision": self.precision}


def restored(
    build: Callable[[int, tuple[int, int]], N],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    options: EmbedderOptions,
) -> Trained[N]:
    """What `Trained.state` gave.

    Args:
        build: from the number of classes and the images' size to a network.
        tensors: by name.
        metadata: beside them.
        options: of the embedder.

    Raises:
        ValueError: tensors of another network.
    """
    size = int(metadata["size"][0]), int(metadata["size"][1])
    with seeded(options.training.seed):  # what is drawn here is replaced
        network = build(len(tensors.get("classifier.weight", ())), size)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"weights of another network than {options.network.backbone}: "
            f"{str(error).splitlines()[1]}"
        ) from None
    return Trained(network.eval(), size, precision=metadata.get("precision"))


def build_backbone(options: Network, size: tuple[int, int]) -> nn.Module:
    """The backbone for images of a size, with random weights."""
    height, width = size
    return backbone(
        options.backbone,
        height=height,
        width=width,
        last_stride=options.last_stride,
        pooling=options.pooling,
        channels=options.channels,
    )


class TrainingImages(NamedTuple):
    """What a training goes through.

    Attributes:
        pixels: of the images.
        target: their classes.
        resources: device, memory, threads, progress.
        run: the run's folder, or None.
    """

    pixels: Pixels
    target: Int64[np.ndarray, " n"]
    resources: Resources
    run: Path | None


def train_from_pixels(
    options: EmbedderOptions,
    images: Images,
    labels: Labels,
    *,
    build: Callable[[int, tuple[int, int]], N],
    objective: Callable[[N, nn.Module | None, bool], nn.Module],
    batches: Callable[[nn.Module, TrainingImages], Callable[[int], Batches[Any]]],
    resources: Resources | None,
    run: Path | None,
    on_error: OnError,
    beside: Beside | None = None,
) -> Trained[N]:
    """Train a network on labelled images.

    Args:
        options: of the embedder.
        images: the images; junk and distractors among them are left out.
        labels: theirs.
        build: from the number of classes and the images' size to a network.
        objective: from the network, the module beside it and whether to train in bf16, to a module
            from a batch to losses.
        batches: from the objective and the images to the batches of an epoch.
        resources: device, memory for pixels, threads, progress.
        run: a folder for checkpoint/ and log.jsonl; where it has a checkpoint, training goes on
            from there.
        on_error: "stop" at an image that can't be read, or "skip" it.
        beside: makes a module that is trained together with the network, by losses of its own.

    Raises:
        ValueError: too few identities, an image that can't be read, weights that don't match, a
            loss that isn't finite.
    """
    resources = resources or Resources()
    resources = replace(resources, device=processes.local_device(resources.device))
    training = options.training
    images, identity = _to_train_on(images, labels)
    size = _size(options.input, images)
    pixels = Pixels(images, *size, resources=resources, on_error=on_error)
    identity = identity[pixels.kept]
    names, target = np.unique(identity, return_inverse=True)
    matched = None
    with seeded(training.seed):
        network = build(len(names), size)
        module = None if beside is None else beside(network.neck.num_features, len(names))
        if options.network.weights is not None:
            matched = load_weights(
                network.backbone,
                options.network.weights,
                allow_partial=options.network.allow_partial,
            )
        precision = trained_in(training.precision, resources.device)
        whole = objective(network, module, precision == "bf16")
    channels_last(whole.to(resources.device))
    learned = [parameter for parameter in whole.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    epochs = training.epochs or max(EPOCHS, math.ceil(SHOWN / len(pixels)))
    metadata = {"bf16": precision == "bf16", "beside": repr(module)}
    history = optimise(
        whole,
        adam(learned, lr=training.rate, weight_decay=training.weight_decay),
        batches(whole, TrainingImages(pixels, target, resources, run)),
        processes.data_parallel(whole, resources.device),
        epochs=epochs,
        seed=training.seed,
        schedule=_schedule(training, epochs),
        accumulate=training.accumulate,
        folder=run,
        stamp=_stamp({**flat_options(options), **metadata}, pixels.images, identity),
        resources=resources,
    )
    skipped = len(images) - len(pixels)
    return Trained(network.eval(), size, history, precision, matched, skipped, module)


def _to_train_on(images: Images, labels: Labels) -> tuple[Images, Int64[np.ndarray, " n"]]:
    if len(images) != len(labels):
        raise ValueError(f"{len(labels)} labels for {len(images)} images: give one each")
    rows = np.flatnonzero(labels.role == NORMAL)
    if len(np.unique(labels.identity[rows])) < 2:
        raise ValueError(
            "training needs images of at least 2 identities (junk and distractors don't count)"
        )
    return images.take(rows), labels.identity[rows]


def _size(options: Input, images: Images) -> tuple[int, int]:
    if options.height is not None and options.width is not None:
        return options.height, options.width
    return size_of_aspect(median_aspect(images))


def _schedule(training: Training, epochs: int) -> Schedule:
    if training.schedule == "cosine":
        return cosine(epochs, warmup=min(training.warmup, epochs / 2))
    return steps(training.milestones, warmup=training.warmup)


def _stamp(settings: Mapping[str, Any], images: Images, identity: Int64[np.ndarray, " n"]) -> str:
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    digest.update(
        "\n".join([images.contents(), *images.items.tolist()]).encode() + identity.tobytes()
    )
    return digest.hexdigest()


class PixelBatches:
    """The batches of an epoch: pixels in [0, 1] after augmentation, and classes.

    Args:
        options: of the embedder.
        images: what is gone through.
        epoch: its number; every epoch draws anew.

    Attributes:
        lists: rows of the images of each batch.
        device: where the batches are.
    """

    def __init__(self, options: EmbedderOptions, images: TrainingImages, epoch: int) -> None:
        training = options.training
        self.options = options
        self.pixels = images.pixels
        self.target = images.target
        self.device = images.resources.device
        self.epoch = epoch
        lists = pk_batches(
            images.target,
            identities=training.batch_identities,
            images=training.batch_images,
            seed=training.seed,
            epoch=epoch,
        )
        self.lists: list[Rows] = [*processes.shard(lists)]

    def __len__(self) -> int:
        return len(self.lists)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        fill = torch.tensor(PIXEL_MEAN, device=self.device).view(1, 3, 1, 1)
        padding = self.options.input.padding
        raw_batches = self.pixels.batches(self.lists)
        for step, (rows, raw) in enumerate(zip(self.lists, raw_batches, strict=True)):
            pixels = extraction.to_tensor(raw, self.device)
            batch = self.augmented(pixels, step, padding, fill)
            yield batch, torch.from_numpy(self.target[rows]).to(self.device)

    def augmented(
        self,
        batch: Float32[Tensor, "b c h w"],
        step: int,
        padding: Padding,
        fill: Float32[Tensor, "#1 c #1 #1"] | None,
    ) -> Float32[Tensor, "b c h w"]:
        """Mirrored, moved and erased as the step's pixels are, whatever the channels mean."""
        options = self.options.input
        seed = self.options.training.seed
        draw = generator(seed, self.epoch, step * processes.world_size() + processes.rank(), 1)
        batch = flip(batch, draw) if options.flip else batch
        return erase(pad_crop(batch, draw, options.pad, padding), draw, options.erasing, fill)
