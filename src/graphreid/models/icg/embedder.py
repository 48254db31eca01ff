"""ICG, parts without labels and a graph among them: from pixels to vectors of the whole, the
foreground, the structure and the parts.

"Instance-level consistent graph with unsupervised human parts for person re-identification". It
builds on BoT: the network is in `model`, the losses in `losses`, the labels that parts are learned
from in `pseudo_labels` and `clustering`, the distance in `distance`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from jaxtyping import Float32
from torch import Tensor, nn

from graphreid.datasets.images import Images
from graphreid.datasets.loading import OnError
from graphreid.models.bot import PRESETS as BOT
from graphreid.models.icg.losses import ICGObjective
from graphreid.models.icg.model import PartNetwork
from graphreid.models.icg.options import LossWeights, Parts
from graphreid.models.icg.pseudo_labels import LabelledBatches, PartLabels
from graphreid.models.options import Input, Losses, Network, Training
from graphreid.models.pixel_training import (
    PixelBatches,
    Trained,
    TrainingImages,
    build_backbone,
    restored,
    train_from_pixels,
)
from graphreid.options import check_options, flat_options
from graphreid.resources import Resources
from graphreid.types import Features, Labels

PRESETS: dict[str, Mapping[str, Any]] = {
    # section 3.1 of the paper: the fields' defaults
    "paper": {},
    # BoT's small one with narrower maps
    "small": {
        **BOT["small"],
        "map_width": 128,
        "graph_widths": (256, 256),
        "structure_width": 512,
        "every": 2,
    },
}
"""Options by name; a preset lists what differs from the paper's."""


@final
@dataclass(eq=False)
class ICG:
    """BoT with a foreground, parts found by clustering, and a graph among them; each of the three
    can be left out.

    A vector is blocks of unit length: whole | foreground | structure | part 1 | ... | part K-1,
    zeros where one is not visible.

    Attributes:
        parts: the modules, and how parts are found.
        weights: of the losses.
        network: the backbone.
        input: the images' size and augmentation.
        losses: of each group of features.
        training: batches and schedule.
        flip_average: a vector is the mean of the image's and its mirror image's.

    Raises:
        ValueError: a value outside its range, or a graph without parts.
    """

    parts: Parts = field(default_factory=Parts)
    weights: LossWeights = field(default_factory=LossWeights)
    network: Network = field(default_factory=Network)
    input: Input = field(default_factory=Input)
    losses: Losses = field(default_factory=Losses)
    training: Training = field(default_factory=Training)
    flip_average: bool = True

    trained_: Trained[PartNetwork] | None = field(default=None, init=False, repr=False)

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
    ) -> "ICG":
        """Train on labelled images, forgetting what was learned before; returns itself.

        Args:
            images: the images; junk and distractors among them are left out.
            labels: theirs.
            resources: device, memory for pixels, threads, progress.
            run: a folder for checkpoint/, log.jsonl and labels/; where it has a checkpoint,
                training goes on from there.
            on_error: "stop" at an image that can't be read, or "skip" it.

        Raises:
            ValueError: too few identities, an image that can't be read, weights that don't match, a
                loss that isn't finite.
        """
        self.trained_ = train_from_pixels(
            self,
            images,
            labels,
            build=self._build,
            objective=lambda network, _, half: ICGObjective(
                network, self.losses, self.weights, threshold=self.parts.threshold, bf16=half
            ),
            batches=self._batches,
            resources=resources,
            run=run,
            on_error=on_error,
        )
        return self

    @property
    def trained(self) -> Trained[PartNetwork]:
        """The network that was trained, or loaded, and metadata of its training.

        Raises:
            ValueError: there is none yet.
        """
        if self.trained_ is None:
            raise ValueError("ICG is not trained yet: call fit, or load a run")
        return self.trained_

    def embed(self, images: Images, *, resources: Resources | None = None) -> Features:
        """A vector for each image, float32 [n, d], in their order.

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

    def fitted(self) -> tuple[PartNetwork, tuple[int, int]]:
        """The network and its images' (height, width).

        Raises:
            ValueError: there is none yet.
        """
        return self.trained.network, self.trained.size

    @property
    def entries(self) -> int:
        """Entries of a vector, d; of a network that was fitted."""
        return sum(self.trained.network.block_widths)

    @property
    def blocks_before(self) -> int:
        """Blocks that every vector has: whole, foreground, and structure."""
        return 2 + self.parts.structure

    def columns(self, vectors: Float32[np.ndarray, "n d"], /) -> dict[str, np.ndarray]:
        """What stands beside vectors in a features file: "visibility" uint8 [n, K-1], l_k (Eq. 14),
        1 where part k is visible.
        """
        if not self.parts.clustering:
            return {}
        count = self.parts.parts - 1
        width = self.parts.map_width
        blocks = vectors[:, -count * width :].reshape(len(vectors), count, width)
        return {"visibility": (blocks != 0).any(2).astype(np.uint8)}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learned, for a file: tensors by name, and plain metadata."""
        return self.trained.state()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            ValueError: tensors of another network.
        """
        self.trained_ = restored(self._build, tensors, metadata, self)

    def _build(self, classes: int, size: tuple[int, int]) -> PartNetwork:
        options = self.parts
        return PartNetwork(
            build_backbone(self.network, size),
            classes,
            parts=options.parts if options.clustering else 0,
            width=options.map_width,
            feature_map=options.feature_map,
            attention=options.attention,
            graph=(*options.graph_widths, options.structure_width) if options.structure else (),
            min_pixels=options.least_pixels,
            before_norm=not self.network.neck,
        )

    def _batches(
        self, objective: nn.Module, images: TrainingImages
    ) -> Callable[[int], LabelledBatches]:
        """The batches of an epoch, whose labels are made before it where they are due."""
        labels = PartLabels(self.parts, self.training.seed, cast(ICGObjective, objective), images)

        def at(epoch: int) -> LabelledBatches:
            batches = PixelBatches(self, images, epoch)
            return LabelledBatches(batches, *labels.at(epoch))

        return at
