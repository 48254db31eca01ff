"""Omniglot: handwritten characters of 50 alphabets, each drawn once by 20 drawers; identity =
character, camera = drawer.

Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program
induction. Science 2015.
https://github.com/brendenlake/omniglot, MIT licence.
"""

import re
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image

from graphreid.datasets.importing import ImageEntry, ImportPlan, image_files, subfolders
from graphreid.features.array_files import read_npz

PACKED = "omniglot.npz"
BACKGROUND = "images_background"
EVALUATION = "images_evaluation"
QUERY_DRAWERS = 4
_SIDE = 105
_CHARACTER = re.compile(r"character(\d+)")
_DRAWING = re.compile(r"(\d+)_(\d+)")
_KEYS = ("images", "id", "drawer", "alphabet", "split")


def read(source: Path) -> ImportPlan:
    """The drawings of `omniglot.npz` (or its folder), or of the public folders images_background
    and images_evaluation.

    The 30 background alphabets are for training. Of the 20 evaluation alphabets the drawings of
    drawers 1-4 are the queries and those of drawers 5-20 the gallery. An identity is
    "<alphabet>/<character>", the same from either layout.

    Raises:
        ValueError: neither layout is there, or the file is not as described.
    """
    packed = source / PACKED if source.is_dir() else source
    if packed.is_file():
        return _packed(packed)
    if (source / BACKGROUND).is_dir() and (source / EVALUATION).is_dir():
        return _public(source)
    raise ValueError(
        f"{source}: neither {PACKED} nor the folders {BACKGROUND} and {EVALUATION} are there"
    )


def _packed(file: Path) -> ImportPlan:
    arrays = read_npz(file, _KEYS)
    missing = [key for key in _KEYS if key not in arrays]
    if missing or len({len(array) for array in arrays.values()}) != 1:
        raise ValueError(f"{file}: needs arrays {', '.join(_KEYS)} of one length")
    images, identity, drawer, alphabet = (arrays[key] for key in _KEYS[:4])
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] * 8 < _SIDE**2:
        raise ValueError(
            f"{file}: images must be packed bits [n, {-(-(_SIDE**2) // 8)}], not {images.shape}"
        )
    number = _numbers(identity, alphabet)
    entries = [
        _entry(
            source=partial(_png, images[row]),
            alphabet=str(alphabet[row]),
            character=f"character{number[row]:02d}",
            drawer=int(drawer[row]),
            train=arrays["split"][row] == "train",
        )
        for row in np.lexsort((drawer, number, alphabet)).tolist()
    ]
    return ImportPlan(entries)


def _numbers(identity: NDArray[Any], alphabet: NDArray[Any]) -> NDArray[np.int64]:
    """The number of each drawing's character within its alphabet, from 1: ids count on through the
    sorted alphabets.
    """
    number = np.zeros(len(identity), np.int64)
    for name in np.unique(alphabet):
        rows = alphabet == name
        number[rows] = np.unique(identity[rows], return_inverse=True)[1] + 1
    return number


def _png(bits: UInt8[np.ndarray, " bytes"]) -> bytes:
    """A drawing, 1 = ink, as a black on white PNG of one bit a pixel."""
    ink = np.unpackbits(bits, count=_SIDE**2).reshape(_SIDE, _SIDE)
    packed = np.packbits(1 - ink, axis=1)
    stream = BytesIO()
    Image.frombytes("1", (_SIDE, _SIDE), packed.tobytes()).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _public(source: Path) -> ImportPlan:
    entries: list[ImageEntry] = []
    problems: list[str] = []
    for part in (BACKGROUND, EVALUATION):
        for alphabet in subfolders(source / part):
            for character in subfolders(alphabet):
                drawings = image_files(character)[0]
                if not _CHARACTER.fullmatch(character.name) or not drawings:
                    problems.append(f"{character}: not a folder characterNN with drawings")
                    continue
                for file in drawings:
                    match = _DRAWING.fullmatch(file.stem)
                    if match is None:
                        problems.append(f"{file}: its name is not NNNN_DD (character, drawer)")
                        continue
                    entries.append(
                        _entry(
                            file, alphabet.name, character.name, int(match[2]), part == BACKGROUND
                        )
                    )
    entries.sort(key=lambda entry: entry.path)
    return ImportPlan(entries, problems)


def _entry(source: Any, alphabet: str, character: str, drawer: int, train: bool) -> ImageEntry:
    test = "query" if drawer <= QUERY_DRAWERS else "gallery"
    item = f"{alphabet}/{character}/{drawer:02d}"
    return ImageEntry(
        source,
        f"{item}.png",
        f"{alphabet}/{character}",
        "train" if train else test,
        str(drawer),
        item=item,
    )
