"""Thumbnails of a gallery's images: found by their paths, below one folder alone, made once and
kept in memory.
"""

import hashlib
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import decode
from graphreid.store import MARK, PICTURES

KEPT_SIDE, HEIGHT, QUALITY = 512, 192, 80
KEPT = 2000
"""Thumbnails that are held in memory."""


class Pictures:
    """Thumbnails by path.

    Args:
        gallery: the gallery's folder.
        images: the folder that paths start from; None where there is none.
    """

    def __init__(self, gallery: Path, images: str | None) -> None:
        self._own = gallery / PICTURES
        self._root = None if images is None else Path(images)
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def find(self, path: str | None) -> Path | None:
        """The file of an image, None where it has none; a path that leads out of its folder leads
        nowhere.
        """
        if path is None or "\0" in path:
            return None
        root, name = (
            (self._own, path.removeprefix(MARK)) if path.startswith(MARK) else (self._root, path)
        )
        if root is None:
            return None
        try:
            file = (root / name).resolve()
            inside = file.is_relative_to(root.resolve()) and file.is_file()
        except OSError:  # a name that is too long, or a circle of links
            return None
        return file if inside else None

    def thumbnail(self, path: str) -> bytes | None:
        """A WebP file of at most HEIGHT pixels of height; None where there is no image that can be
        read.
        """
        known = self._made.get(path)
        if known is not None:
            return known
        file = self.find(path)
        if file is None:
            return None
        try:
            image = Image.fromarray(decode(file))
        except ValueError:
            return None  # the page shows the item without a picture, as for one that has no file
        made = self._made[path] = _coded(image, HEIGHT)
        if len(self._made) > KEPT:
            self._made.popitem(last=False)
        return made

    def keep(self, small: bytes) -> None:
        """Keep what `shrunk` made, where `path_of` says."""
        self._own.mkdir(exist_ok=True)
        with whole_file(self._own / path_of(small).removeprefix(MARK)) as temporary:
            temporary.write_bytes(small)


def shrunk(data: bytes) -> bytes:
    """An image that was sent, small: a WebP file."""
    with Image.open(BytesIO(data)) as opened:
        return _coded(ImageOps.exif_transpose(opened).convert("RGB"), KEPT_SIDE)


def path_of(small: bytes) -> str:
    """The path of an image that is kept: by its content."""
    return f"{MARK}{hashlib.blake2b(small, digest_size=16).hexdigest()}.webp"


def _coded(image: Image.Image, height: int) -> bytes:
    image.thumbnail((2 * height, height), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.save(stream, "WEBP", quality=QUALITY, method=2)
    return stream.getvalue()
