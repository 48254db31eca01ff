"""Random changes of training images, a whole batch at a time.

Written out, because torchvision's random transforms draw once for a whole batch, and a loop over
its images takes longer than the small network's step.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

Padding = Literal["zeros", "edge"]

AREA = 0.02, 0.4
ASPECT = 0.3, 1 / 0.3
"""Of an erased rectangle: its share of the image, and height over width (Zhong et al. 2020, section
4.1).
"""
_TRIES = 20


def flip(
    pixels: Float32[Tensor, "b c h w"], draw: np.random.Generator, share: int | float = 0.5
) -> Float32[Tensor, "b c h w"]:
    """Each image is mirrored, left to right, with probability `share`."""
    chosen = torch.from_numpy(draw.random(len(pixels)) < share).to(pixels.device)
    return torch.where(chosen[:, None, None, None], pixels.flip(3), pixels)


def pad_crop(
    pixels: Float32[Tensor, "b c h w"],
    draw: np.random.Generator,
    pad: int,
    padding: Padding = "zeros",
) -> Float32[Tensor, "b c h w"]:
    """Each image is padded by `pad` pixels on every side, and a window of the old size is cut at
    random: a translation.

    Args:
        pixels: the images.
        draw: random numbers.
        pad: pixels.
        padding: "zeros" (black, as published) or "edge" (the nearest pixel: for pale backgrounds).
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
    """Random erasing (Zhong et al. 2020, algorithm 1): with probability `share` a rectangle is
    filled with `fill`, or 0.

    A rectangle is drawn at most 20 times; an image that none fits into stays whole (the paper draws
    without end).
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
