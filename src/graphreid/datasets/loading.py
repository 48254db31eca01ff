"""Loads images for a network: decoded to one size by several threads, cached if they fit."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image

from graphreid.datasets.images import Images, Resample, decode
from graphreid.resources import GIB, Resources

OnError = Literal["stop", "skip"]
Rows = NDArray[np.intp]

PIXEL_CACHE_BYTES = 2 * GIB
"""Bytes of pixels that are cached when `Resources.memory` is None."""
PIXELS_PER_IMAGE = 48 * 48
"""Approximate number of pixels of an image whose height and width are derived from the data."""
_SIDE = 16
"""Height and width are then multiples of this."""
_CHUNK = 256
_ORIENTATION = 0x0112
"""EXIF's tag; values from 5 on are rotations by 90 degrees."""


class Pixels:
    """Decoded images of one size, by row.

    Attributes:
        images: the files, without those that were skipped.
        kept: rows of `images` in the images given.
        held: uint8 [n, height, width, 3], the cache; None where the images don't fit or `hold` is
            False: then each batch is decoded when it is needed.

    Args:
        images: the files.
        height: in pixels.
        width: in pixels.
        resources: half of its memory is for the cache; its threads decode; its progress reports.
        hold: decode all images now and cache them, if they fit.
        resample: interpolation.
        on_error: "stop" at a file that can't be read, or "skip" it. To skip, every file is decoded
            now.

    Raises:
        ValueError: a file can't be read (the message names it), or none can.
    """

    def __init__(
        self,
        images: Images,
        height: int,
        width: int,
        *,
        resources: Resources | None = None,
        hold: bool = True,
        resample: Resample = "bilinear",
        on_error: OnError = "stop",
    ) -> None:
        self.height = height
        self.width = width
        self._resample: Resample = resample
        self._resources = resources or Resources()
        self._threads = self._resources.threads or os.cpu_count() or 1
        room = PIXEL_CACHE_BYTES if self._resources.memory is None else self._resources.memory // 2
        hold = hold and len(images) * height * width * 3 <= room
        self.images = images
        self.kept = np.arange(len(images))
        self.held = None
        if not hold and on_error == "stop":
            return
        held = np.empty((len(images), height, width, 3), np.uint8) if hold else None
        good = np.ones(len(images), bool)
        starts = range(0, len(images), _CHUNK)
        with ThreadPoolExecutor(self._threads) as executor:
            for start in self._resources.track("reading images", starts, len(starts)):
                rows = np.arange(start, min(start + _CHUNK, len(images)))
                for row, pixels in zip(
                    rows.tolist(),
                    executor.map(self._try if on_error == "skip" else self._one, rows),
                    strict=True,
                ):
                    good[row] = pixels is not None
                    if held is not None and pixels is not None:
                        held[row] = pixels
        if not good.any():
            raise ValueError(
                f"none of {len(images)} images can be read, the first is {images.paths[0]}"
            )
        if not good.all():
            self.kept = np.flatnonzero(good)
            self.images = images.take(good)
            held = None if held is None else held[good]
        self.held = held

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, lists: Sequence[Rows]) -> Iterator[UInt8[np.ndarray, "b h w 3"]]:
        """Yield the pixels of each list of rows; without a cache, the next batch is decoded while
        one is used.
        """
        if self.held is not None:
            for rows in lists:
                yield self.held[rows]
            return
        with ThreadPoolExecutor(self._threads) as executor:
            ahead = [executor.submit(self._one, row) for row in (lists[0] if lists else ())]
            for following in (*lists[1:], ())[: len(lists)]:
                now = ahead
                ahead = [executor.submit(self._one, row) for row in following]
                try:
                    batch = np.stack([future.result() for future in now])
                except ValueError:
                    executor.shutdown(cancel_futures=True)
                    raise
                yield batch

    def _one(self, row: np.intp) -> UInt8[np.ndarray, "h w 3"]:
        return decode(self.images.paths[int(row)], self.height, self.width, self._resample)

    def _try(self, row: np.intp) -> UInt8[np.ndarray, "h w 3"] | None:
        try:
            return self._one(row)
        except ValueError:
            return None


def median_aspect(images: Images, sample: int = 200) -> float:
    """The median aspect ratio (width over height) of evenly spaced images.

    Only headers are read. Files without a readable header are ignored.

    Args:
        images: the files.
        sample: number of images, at most.

    Raises:
        ValueError: none of them has a readable header; the message names the first.
    """
    ratios: list[float] = []
    for row in np.unique(
        np.linspace(0, len(images) - 1, min(sample, len(images))).astype(int)
    ).tolist():
        try:
            with Image.open(images.paths[row]) as opened:
                turned = opened.getexif().get(_ORIENTATION, 1) >= 5
                ratios.append(
                    opened.height / opened.width if turned else opened.width / opened.height
                )
        except (OSError, ValueError, SyntaxError):
            continue
    if not ratios:
        decode(images.paths[0])
        raise ValueError(f"{images.paths[0]}: its size can't be read")
    return float(np.median(ratios))


def size_of_aspect(aspect: float) -> tuple[int, int]:
    """(height, width) of about PIXELS_PER_IMAGE pixels, each a multiple of 16.

    Args:
        aspect: width over height; 1 gives (48, 48), 0.5 gives (64, 32).
    """
    height = (PIXELS_PER_IMAGE / aspect) ** 0.5
    width = (PIXELS_PER_IMAGE * aspect) ** 0.5
    return max(round(height / _SIDE), 1) * _SIDE, max(round(width / _SIDE), 1) * _SIDE
