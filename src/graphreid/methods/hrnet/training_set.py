"""HRNet's training batches: some identities with some images each, every image an anchor."""

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from graphreid.gallery import normalise
from graphreid.graphs.ego_graphs import with_noise
from graphreid.methods.hrnet.options import Training
from graphreid.training.samplers import hard_identity_batches, pk_batches
from graphreid.types import Features, Labels, drop_junk


class RelationTrainingSet:
    """Labelled images in batches (Section 4.2: 11 identities x 6 images).

    Args:
        train: the images; junk and distractors are left out.
        labels: of the images.
        options: of the batches.

    Attributes:
        labels: without junk.
        classes: identities.

    Raises:
        ValueError: fewer than two identities, or none with two images.
    """

    def __init__(self, train: Features, labels: Labels, options: Training) -> None:
        features, self.labels = drop_junk(train, labels)
        target, self.classes = self.labels.classes()
        if self.classes < 2:
            raise ValueError(
                "training needs images of at least 2 identities (junk and distractors don't count)"
            )
        self.options = options
        self._features = features.take(target >= 0)
        self._target = target[target >= 0]
        self._unit = normalise(self._features.vectors)

    def batches(self, epoch: int) -> list[NDArray[np.intp]]:
        """Begin an epoch: its batches of images."""
        options = self.options
        if options.noise:
            self._unit = with_noise(self._features, options.noise, seed=options.seed, epoch=epoch)
        identities = min(options.identities, self.classes)
        if options.batches == "near":
            return hard_identity_batches(
                self._target,
                self._unit,
                identities=identities,
                images=options.images,
                seed=options.seed,
                epoch=epoch,
            )
        return pk_batches(
            self._target,
            identities=identities,
            images=options.images,
            seed=options.seed,
            epoch=epoch,
        )

    def take(
        self, rows: NDArray[np.intp], device: str
    ) -> tuple[Float32[Tensor, "n d"], Int64[Tensor, " n"]]:
        """Vectors of unit length, and classes."""
        unit = torch.from_numpy(self._unit[rows]).to(device)
        return unit, torch.from_numpy(self._target[rows]).to(device)
