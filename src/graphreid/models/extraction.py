"""Computes embeddings of images with a network, one block at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from graphreid.datasets.images import Images, Resample
from graphreid.datasets.loading import Pixels
from graphreid.models.backbones import channels_last
from graphreid.resources import Resources

_INFERENCE_BYTES = 400
"""Memory per pixel in a backbone without gradients, in bytes: ResNet-50 takes about 300."""


class Extractor(nn.Module):
    """Maps pixels to embeddings, with flip averaging if wanted.

    Args:
        network: maps RGB in [0, 1], [b, 3, h, w], to (anything, vectors [b, d]). If it has a method
            `finish` from vectors to vectors, that is applied to averages.
        flip_average: average the vectors of each image and its mirror image.
        resample: interpolation by which images are resized.
    """

    def __init__(
        self, network: nn.Module, *, flip_average: bool, resample: Resample = "bilinear"
    ) -> None:
        super().__init__()
        self.network = network
        self.flip_average = flip_average
        self.resample: Resample = resample

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """The vectors, not normalised."""
        vectors = self.network(pixels)[1]
        if not self.flip_average:
            return vectors
        mean = (vectors + self.network(pixels.flip(3))[1]) / 2
        finish = getattr(self.network, "finish", None)
        return mean if finish is None else finish(mean)


def blocks(
    extractor: Extractor,
    images: Images,
    size: tuple[int, int],
    *,
    start: int = 0,
    batch: int | None = None,
    resources: Resources | None = None,
) -> Iterator[Float32[np.ndarray, "b d"]]:
    """Embeddings of images `start` to n - 1, one block at a time, in little memory.

    Args:
        extractor: the network.
        images: n images.
        size: (height, width) to which they are resized.
        start: index of the first image wanted.
        batch: images per block; None for as many as fit the memory, at most 256.
        resources: device, memory, threads, progress.

    Raises:
        ValueError: an image that can't be read.
    """
    resources = resources or Resources()
    height, width = size
    extractor = channels_last(extractor.to(resources.device)).eval()
    pixels = Pixels(
        images, height, width, resources=resources, hold=False, resample=extractor.resample
    )
    count = batch or resources.rows(
        height * width * _INFERENCE_BYTES, most=256, what="an image in the network"
    )
    lists = [
        np.arange(row, min(row + count, len(images))) for row in range(start, len(images), count)
    ]
    done = start
    for raw in pixels.batches(lists):
        with resources.limits(), torch.inference_mode():
            vectors: Tensor = extractor(to_tensor(raw, resources.device))
        yield vectors.float().cpu().numpy()
        done += len(raw)
        if resources.progress:
            resources.progress("embedding", done, len(images))


def to_tensor(raw: UInt8[np.ndarray, "b h w 3"], device: str = "cpu") -> Float32[Tensor, "b 3 h w"]:
    """Decoded pixels, uint8, as RGB in [0, 1]."""
    return torch.from_numpy(raw).permute(0, 3, 1, 2).to(device).float().div_(255)
