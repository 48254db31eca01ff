"""Thumbnails inside the page: each is there once, as a CSS class, and all fit a budget."""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from graphreid.datasets.images import decode

FindImage = Callable[[str], Path | None]
"""The image file of an item, or None where there is none."""

HEIGHTS = (128, 96, 72, 56, 40, 28)
"""Pixels of height that are tried, largest first, until all pictures fit the budget."""
BUDGET = 1_100_000
"""Characters that all pictures of a page may take."""
QUALITY = 65


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails by item.

    Attributes:
        classes: the CSS class of each item that has a picture.
        rules: the style rules of these classes.
        ratio: width / height of the middle one, between 0.4 and 1.8.
        height: pixels of height they were made at.
        missing: items that have no file.
        unreadable: for each file that can't be decoded one line that says why.
    """

    classes: dict[str, str] = field(default_factory=dict[str, str])
    rules: str = ""
    ratio: float = 1.0
    height: int = 0
    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def make_thumbnails(
    items: Iterable[str], find: FindImage | None, *, budget: int = BUDGET
) -> Thumbnails:
    """Thumbnails of items, as large as the budget allows; none without `find`.

    An item whose file is missing or can't be decoded has no thumbnail, and is listed: a page is
    about numbers, which do not need its pictures.

    Args:
        items: in the order in which classes are numbered; repeated ones count once.
        find: the image file of an item.
        budget: characters that all pictures together may take.
    """
    if find is None:
        return Thumbnails()
    pictures, missing, unreadable = _decoded(dict.fromkeys(items), find)
    if not pictures:
        return Thumbnails(missing=tuple(missing), unreadable=tuple(unreadable))
    coded: dict[str, str] = {}
    height = HEIGHTS[0]
    for height in HEIGHTS:
        coded = {item: _encode(image, height) for item, image in pictures.items()}
        if sum(map(len, set(coded.values()))) <= budget:
            break
    names: dict[str, str] = {}
    for data in coded.values():
        names.setdefault(data, f"i{len(names)}")
    rules = "\n".join(
        f".{name}{{background-image:url(data:image/webp;base64,{data})}}"
        for data, name in names.items()
    )
    ratios = sorted(image.width / image.height for image in pictures.values())
    return Thumbnails(
        classes={item: names[data] for item, data in coded.items()},
        rules=rules,
        ratio=min(max(ratios[len(ratios) // 2], 0.4), 1.8),
        height=height,
        missing=tuple(missing),
        unreadable=tuple(unreadable),
    )


def _decoded(items: Iterable[str], find: FindImage) -> tuple[dict[str, Any], list[str], list[str]]:
    from PIL import Image  # noqa: PLC0415  # not before there is a picture

    pictures: dict[str, Any] = {}
    missing: list[str] = []
    unreadable: list[str] = []
    for item, path in _files(items, find):
        if path is None or not path.is_file():
            missing.append(item)
            continue
        try:
            image = Image.fromarray(decode(path))
        except ValueError as error:
            unreadable.append(str(error))
            continue
        image.thumbnail((2 * HEIGHTS[0], HEIGHTS[0]), Image.Resampling.LANCZOS)
        pictures[item] = image
    return pictures, missing, unreadable


def _files(items: Iterable[str], find: FindImage) -> Iterator[tuple[str, Path | None]]:
    for item in items:
        yield item, find(item)


def webp(image: Any, height: int, *, quality: int, effort: int) -> bytes:
    """An image as a small WebP file.

    Args:
        image: of Pillow.
        height: pixels, at most; the width is at most twice that.
        quality: from 0 to 100.
        effort: of the compression, from 0 to 6.
    """
    from PIL import Image  # noqa: PLC0415  # not before there is a picture

    small = image.copy()
    small.thumbnail((2 * height, height), Image.Resampling.LANCZOS)
    stream = BytesIO()
    small.save(stream, "WEBP", quality=quality, method=effort)
    return stream.getvalue()


def _encode(image: Any, height: int) -> str:
    return base64.b64encode(webp(image, height, quality=QUALITY, effort=4)).decode("ascii")
