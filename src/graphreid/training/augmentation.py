"""Data augmentation of whole batches: random flip, padded crop, random erasing.

Written by hand because torchvision's random transforms draw once for a batch, and a loop over its
images takes longer than a training step of the small network.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

Padding = Literal["zeros", "edge"]

AREA = 0.02, 0.4
ASPECT = 0.3, 1 / 0.3
"""Ranges of an erased rectangle's area (AREA, as a fraction of the image) and of its height over
width (ASPECT); Zhong et al. 2020, section 4.1.
"""
_TRIES = 20


def flip(
    pixels: Float32[Tensor, "b c h w"], draw: np.random.Generator, share: int | float = 0.5
) -> Float32[Tensor, "b c h w"]:
    """Mirror each image, left to right, with probability `share` in [0, 1]."""
    chosen = torch.from_numpy(draw.random(len(pixels)) < share).to(pixels.device)
    return torch.where(chosen[:, None, None, None], pixels.flip(3), pixels)


def pad_crop(
    pixels: Float32[Tensor, "b c h w"],
    draw: np.random.Generator,
    pad: int,
    padding: Padding = "zeros",
) -> Float32[Tensor, "b c h w"]:
    """Pad each image by `pad` pixels on every side and crop it at random to its old size.

    Args:
        pixels: the images.
        draw: random generator.
        pad: pixels, at least 0.
        padding: "zeros" (black, as published) or "edge" (repeat the border, for pale backgrounds).
    """
    if not pad:
        return pixels
    count, _, height, width = pixels.shape
    moves = torch.from_numpy(draw.integers(-pad, pad + 1, (count, 2))).to(pixels.device)
    rows = moves[:, :1] + torch.arange(height, device=pixels.device)
    columns = moves[:, 1:] + torch.arange(width, device=pixels.device)
    image = torch.arange(count, device=pixels.device)[:, None, None]
    moved = pixels[
        image, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    moved = moved.permute(0, 3, 1, 2)
    if padding == "edge":
        return moved
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    return moved * inside[:, None]


def erase(
    pixels: Float32[Tensor, "b c h w"],
    draw: np.random.Generator,
    share: int | float = 0.5,
    fill: Float32[Tensor, "#1 c #1 #1"] | None = None,
) -> Float32[Tensor, "b c h w"]:
    """Random erasing (Zhong et al. 2020, algorithm 1): fill a random rectangle of an image.

    A rectangle is drawn at most 20 times; an image that none of them fits stays unchanged (the
    paper draws until one fits).

    Args:
        pixels: the images.
        draw: random generator.
        share: probability that an image is changed, in [0, 1].
        fill: colour of the rectangle; None is 0.
    """
    if not share:
        return pixels
    count, _, height, width = pixels.shape
    area = draw.uniform(*AREA, (count, _TRIES)) * height * width
    # uniform in the ratio, as the authors' code draws it
    ratio = draw.uniform(*ASPECT, (count, _TRIES))
    tall = np.rint(np.sqrt(area * ratio)).astype(int)
    wide = np.rint(np.sqrt(area / ratio)).astype(int)
    fits = (tall < height) & (wide < width)
    first = fits.argmax(1)
    some = np.arange(count)
    tall = tall[some, first]
    wide = wide[some, first]
    chosen = (draw.random(count) < share) & fits.any(1)
    top = (draw.random(count) * np.maximum(height - tall + 1, 1)).astype(int)
    left = (draw.random(count) * np.maximum(width - wide + 1, 1)).astype(int)
    rows = np.arange(height)[None]
    columns = np.arange(width)[None]
    vertical = (rows >= top[:, None]) & (rows < (top + tall)[:, None]) & chosen[:, None]
    horizontal = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    hole = torch.from_numpy(vertical[:, None, :, None] & horizontal[:, None, None, :]).to(
        pixels.device
    )
    return torch.where(hole, pixels.new_zeros(()) if fill is None else fill, pixels)
