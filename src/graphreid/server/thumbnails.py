"""Thumbnails of a gallery's images: made once, kept in memory, and only of files in its folders."""

import hashlib
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import decode
from graphreid.report.thumbnails import webp
from graphreid.store import THUMBNAIL_PREFIX, THUMBNAILS

COPY_HEIGHT = 512
"""Pixels of height of a copy of an image that was sent, at most."""
HEIGHT = 192
"""Pixels of height of a thumbnail, at most."""
QUALITY = 80
"""Of both, as WebP has it."""
CACHED = 2000
"""Thumbnails that are kept in memory."""


class GalleryThumbnails:
    """Thumbnails by the images' paths.

    Args:
        gallery: the gallery's folder.
        images: the folder that paths start from; None where there is none.
    """

    def __init__(self, gallery: Path, images: str | None) -> None:
        self._copies = gallery / THUMBNAILS
        self._images = None if images is None else Path(images)
        self._cache: OrderedDict[str, bytes] = OrderedDict()

    def find(self, path: str | None) -> Path | None:
        """The file of an image; None where there is none, or where the path leads out of its
        folder.
        """
        if path is None or "\0" in path:
            return None
        is_copy = path.startswith(THUMBNAIL_PREFIX)
        root = self._copies if is_copy else self._images
        name = path.removeprefix(THUMBNAIL_PREFIX)
        if root is None:
            return None
        try:
            file = (root / name).resolve()
            inside = file.is_relative_to(root.resolve()) and file.is_file()
        except OSError:  # a name that is too long, or a circle of links
            return None
        return file if inside else None

    def thumbnail(self, path: str) -> bytes | None:
        """A WebP file of at most HEIGHT pixels of height; None where there is no readable image."""
        known = self._cache.get(path)
        if known is not None:
            return known
        file = self.find(path)
        if file is None:
            return None
        try:
            image = Image.fromarray(decode(file))
        except ValueError:
            return None  # the page shows the item without a picture, as for one that has no file
        thumbnail = webp(image, HEIGHT, quality=QUALITY, effort=2)
        self._cache[path] = thumbnail
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return thumbnail

    def save_copy(self, copy: bytes) -> None:
        """Save what `small_copy` made, at the path that `copy_path` gives."""
        self._copies.mkdir(exist_ok=True)
        with whole_file(self._copies / copy_path(copy).removeprefix(THUMBNAIL_PREFIX)) as temporary:
            temporary.write_bytes(copy)


def small_copy(data: bytes) -> bytes:
    """A small copy (WebP) of an image file that was sent."""
    with Image.open(BytesIO(data)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
        return webp(upright, COPY_HEIGHT, quality=QUALITY, effort=2)


def copy_path(copy: bytes) -> str:
    """The path that a copy has in a gallery, by its content."""
    return f"{THUMBNAIL_PREFIX}{hashlib.blake2b(copy, digest_size=16).hexdigest()}.webp"
