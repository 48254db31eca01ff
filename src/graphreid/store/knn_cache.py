"""The file that keeps the kNN index of a gallery between runs.

It is a cache: an old, damaged or missing file costs time, and nothing else.
"""

import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from graphreid.atomic_files import whole_file
from graphreid.store.incremental_knn import KNNIndex

FILE = "lists.safetensors"
FORMAT = "1"
_ARRAYS = ("serial", "index", "distance", "farthest")


def write_index(folder: Path, key: str, version: int, index: KNNIndex) -> None:
    """Write the index of a table's version, whole or not at all.

    Args:
        folder: the gallery's.
        key: the gallery's random name, so that no file of another gallery is taken for it.
        version: of the table.
        index: of the images in that version.
    """
    header = {"format": FORMAT, "key": key, "version": str(version)}
    arrays = {name: np.ascontiguousarray(getattr(index, name)) for name in _ARRAYS}
    with whole_file(folder / FILE) as temporary:
        save_file(arrays, temporary, header)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())


def index_version(folder: Path, key: str) -> int | None:
    """The table's version that the file is of; None where there is no usable file."""
    try:
        with safe_open(folder / FILE, "np") as opened:
            header = opened.metadata() or {}
    except (SafetensorError, OSError):
        return None
    usable = (header.get("format"), header.get("key")) == (FORMAT, key)
    return int(header["version"]) if usable else None


def read_index(folder: Path, key: str) -> tuple[int, KNNIndex] | None:
    """The version and the index; None where there is no usable file, so that the index must be
    built anew.
    """
    version = index_version(folder, key)
    if version is None:
        return None
    try:
        with safe_open(folder / FILE, "np") as opened:
            index = KNNIndex(*(opened.get_tensor(name) for name in _ARRAYS))
    except (SafetensorError, OSError):
        return None
    return (version, index) if _is_valid(index) else None


def _is_valid(index: KNNIndex) -> bool:
    """Whether the numbers can be those of an index."""
    checks = (
        (np.diff(index.serial) > 0).all(),
        ((index.index >= -1) & (index.index < len(index))).all(),
        np.array_equal(index.index < 0, np.isposinf(index.distance)),
        (index.distance[:, :-1] <= index.distance[:, 1:]).all(),
        np.isfinite(index.farthest).all(),
    )
    return all(map(bool, checks))
