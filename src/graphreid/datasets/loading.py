"""Pixels for a network: images decoded to one size by several threads, and held in memory where
they fit.
"""

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
"""Bytes of pixels that are held when `Resources.memory` says nothing."""
PIXELS_PER_IMAGE = 48 * 48
"""Pixels of an image, about, where height and width follow from the data."""
_SIDE = 16
"""They are multiples of this then."""
_CHUNK = 256
_ORIENTATION = 0x0112
"""EXIF's tag; from 5 on the image lies on its side."""


class Pixels:
    """Images at one size, by row.

    Attributes:
        images: the files; those that could not be read are not among them.
        kept: their rows in what was given.
        held: uint8 [n, height, width, 3], or None where they don't fit: then each batch is decoded
            when it is wanted.

    Args:
        images: the files.
        height: in pixels.
        width: in pixels.
        resources: its memory bounds what is held (half of it), its threads decode, its progress is
            told.
        hold: decode all now and hold them, if they fit.
        resample: how they are resized.
        on_error: "stop" at a file that can't be read, or "skip" it; to skip, every file is decoded
            now.

    Raises:
        ValueError: a file can't be read (its name is in the message), or none can.
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
        """The pixels of each list of rows. Where they are not held, a batch is decoded while the
        one before is used.
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
    """Width over height of the images, the median of at most `sample` that stand evenly among them;
    only headers are read.

    A file without a readable header is passed over here; decoding refuses it.

    Raises:
        ValueError: none of them has a readable header; the first is named.
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
    """(height, width) of about AREA pixels with that width over height, each a multiple of 16.

    For 1 it is 48 x 48, for 1/2 it is 64 x 32.
    """
    height = (PIXELS_PER_IMAGE / aspect) ** 0.5
    width = (PIXELS_PER_IMAGE * aspect) ** 0.5
    return max(round(height / _SIDE), 1) * _SIDE, max(round(width / _SIDE), 1) * _SIDE
