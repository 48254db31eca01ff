"""Reads MATLAB files of version 5 to 7: numbers, text and cells of them.

SciPy's reader is not used because some damaged files crash the process. The format is described in
MathWorks' "MAT-File Format".
"""

import mmap
import struct
import zlib
from collections.abc import Collection, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HDF5 = (b"MATLAB 7.3 ", b"\x89HDF\r\n\x1a\n")
_HEADER = 128
_MATRIX = 14
_COMPRESSED = 15
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""Storage type of numbers, by the type of the element."""
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
"""Type of an array, by its class; whole numbers of class double may be stored as bytes."""
_CELL = 1
_CHAR = 4
_COMPLEX = 0x0800
_TEXT = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_DEPTH = 3


def is_mat(head: bytes) -> bool:
    """Whether a file that begins with `head` is a MATLAB file of version 5 or later."""
    return head.startswith((b"MATLAB ", *_HDF5))


def read_mat(path: str | Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays of a .mat file that are in `names`, by name.

    Arrays have at least two dimensions; cells are arrays of objects; a text is an array of one
    text. Other variables are ignored.

    Raises:
        ValueError: no such file, version 4 or 7.3, damaged, or a wanted array is complex, sparse or
            a structure; the message names the file.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEADER)
            if head.startswith(_HDF5):
                raise ValueError(
                    f"{file}: a MATLAB 7.3 file, which is HDF5 and not read here: save it again "
                    f"with -v7"
                )
            if not is_mat(head) or head[126:128] not in (b"IM", b"MI"):
                raise ValueError(
                    f"{file}: not a MATLAB file of version 5 to 7: save it again with -v7"
                )
            content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    try:
        return dict(_variables(content[_HEADER:], "<" if head[126:128] == b"IM" else ">", names))
    except (ValueError, KeyError, struct.error, zlib.error, OverflowError, MemoryError) as error:
        raise ValueError(
            f"{file}: a damaged .mat file, or with more in it than numbers and text ({error})"
        ) from None


def _variables(
    data: memoryview, order: str, names: Collection[str]
) -> Iterator[tuple[str, NDArray[Any]]]:
    for stored, packed in _elements(data, order):
        kind = stored
        body = packed
        if kind == _COMPRESSED:
            kind, body = next(_elements(memoryview(zlib.decompress(packed)), order), (0, packed))
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} where a variable should be")
        name, array = _array(body, order, names, _DEPTH)
        if array is not None:
            yield name, array


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The elements of a part of the file: type and bytes."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if (
            kind >> 16
        ):  # a small one: its size in the upper half, its bytes in the place of the size
            kind, size, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
        else:
            step = 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError("it ends within an element")
        yield kind, data[start : start + size]
        at += step


def _array(
    data: memoryview, order: str, names: Collection[str] | None, depth: int
) -> tuple[str, NDArray[Any] | None]:
    parts = list(_elements(data, order))
    if len(parts) < 3 or not depth:
        raise ValueError("an array without its size and name" if depth else "cells within cells")
    (flags,) = struct.unpack_from(f"{order}I", parts[0][1])
    shape = np.frombuffer(parts[1][1], f"{order}i4").tolist()
    name = bytes(parts[2][1]).decode("ascii")
    if names is not None and name not in names:
        return name, None
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"{name or 'a cell'} has the shape {shape}")
    kind = flags & 0xFF
    body = parts[3:]
    if kind == _CELL:
        cells = np.empty(len(body), dtype=object)
        for row, (_, cell) in enumerate(body):
            cells[row] = _array(cell, order, None, depth - 1)[1]
        return name, cells.reshape(shape, order="F")
    if kind == _CHAR:
        text = _text(body[0], order) if body else ""
        if prod(shape) and shape[0] != 1:
            raise ValueError(f"{name or 'a cell'} is text of more than one row")
        return name, np.array([text])
    if kind not in _CLASSES or flags & _COMPLEX or not body:
        raise ValueError(f"{name or 'a cell'} is complex, sparse or a structure")
    stored, raw = body[0]
    values = np.frombuffer(raw, f"{order}{_STORED[stored]}")
    return name, values.astype(_CLASSES[kind], copy=False).reshape(shape, order="F")


def _text(part: tuple[int, memoryview], order: str) -> str:
    encoding = _TEXT[part[0]]
    return bytes(part[1]).decode(
        f"{encoding}-{'le' if order == '<' else 'be'}" if encoding == "utf-16" else encoding
    )
