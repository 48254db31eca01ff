"""Image files: decoded in one way everywhere; errors name the file."""

import hashlib
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from graphreid.types import Text

_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for damaged files."""

_HEAD = 1 << 14
"""Number of bytes of a file that go into its digest."""

Resample = Literal["bilinear", "bicubic"]
"""Pillow's interpolation when an image is resized."""


def nearest_pixels(side: int, to: int) -> Int64[np.ndarray, " to"]:
    """Nearest-neighbour resizing: for each of `to` rows (or columns) the index in one of `side`."""
    return (np.arange(to) * side + side // 2) // to


@dataclass(frozen=True, eq=False)
class Images:
    """A list of image files, the input of an embedder.

    Attributes:
        paths: n files.
        items: text [n], unique ids, which the features of the images have too.
        camera: int64 or text [n], or None where the data has no cameras.

    Raises:
        ValueError: the lengths differ.
    """

    paths: Sequence[Path]
    items: Text
    camera: NDArray[np.int64] | Text | None = None

    def __post_init__(self) -> None:
        if len(self.items) != len(self.paths) or (
            self.camera is not None and len(self.camera) != len(self.paths)
        ):
            raise ValueError(
                f"{len(self.paths)} image paths, {len(self.items)} items: give one item and one "
                f"camera each"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Images":
        """The images of `rows` (indices or a mask), in that order."""
        chosen = np.arange(len(self))[rows]
        camera = None if self.camera is None else self.camera[chosen]
        return Images([self.paths[row] for row in chosen.tolist()], self.items[chosen], camera)

    def contents(self) -> str:
        """A digest of the files' sizes and first 16 KiB. A file that can't be read counts as empty.

        It tells folders apart that have the same file names and other images.
        """
        digest = hashlib.blake2b(digest_size=8)
        for path in self.paths:
            head = b""
            size = 0
            with suppress(OSError), path.open("rb") as file:
                head = file.read(_HEAD)
                size = os.fstat(file.fileno()).st_size
            digest.update(size.to_bytes(8, "little") + head)
        return digest.hexdigest()


def decode(
    path: Path, height: int | None = None, width: int | None = None, resample: Resample = "bilinear"
) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image as RGB, rotated by its EXIF tag, and resized with antialiasing.

    Args:
        path: the image file.
        height, width: size in pixels; None (both) keeps the image's own.
        resample: interpolation.

    Raises:
        ValueError: the file is missing or can't be decoded; the message names it.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
            if height is not None and width is not None and image.size != (width, height):
                image = image.resize(
                    (width, height), Image.Resampling[resample.upper()], reducing_gap=2.0
                )
            return np.asarray(image)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such image: restore it, or take its row out of the manifest"
        ) from None
    except _UNREADABLE as error:
        raise ValueError(
            f"{path}: not a readable image ({_reason(error)}): replace it, or take its row out"
        ) from None


def verify(path: Path, data: bytes) -> None:
    """Check that `decode` would succeed, in less time: JPEG files are decoded at an eighth of
    their size.

    Args:
        path: name of the file, for the message.
        data: bytes of the file.

    Raises:
        ValueError: the image can't be decoded; the message names it.
    """
    try:
        with Image.open(BytesIO(data)) as opened:
            opened.draft("RGB", (1, 1))
            opened.load()
    except _UNREADABLE as error:
        raise ValueError(f"{path}: not a readable image ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return "no format that is known" if isinstance(error, UnidentifiedImageError) else str(error)
