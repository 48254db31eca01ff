"""The file that neighbour lists are kept in between runs: a cache, which may be lost, old or
damaged without harm.
"""

import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from graphreid.atomic_files import whole_file
from graphreid.store.incremental_knn import Lists

FILE = "lists.safetensors"
FORMAT = "1"
_NAMES = ("serial", "index", "distance", "farthest")


def write(folder: Path, key: str, version: int, lists: Lists) -> None:
    """Keep the lists of a table's version; the file is on disk when it takes its place."""
    header = {"format": FORMAT, "key": key, "version": str(version)}
    with whole_file(folder / FILE) as temporary:
        save_file(
            {name: np.ascontiguousarray(getattr(lists, name)) for name in _NAMES}, temporary, header
        )
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())


def stamp(folder: Path, key: str) -> int | None:
    """The version of the table that the lists are of; None where there are none that can be
    used.
    """
    try:
        with safe_open(folder / FILE, "np") as opened:
            header = opened.metadata() or {}
    except (SafetensorError, OSError):
        return None
    usable = (header.get("format"), header.get("key")) == (FORMAT, key)
    return int(header["version"]) if usable else None


def read(folder: Path, key: str) -> tuple[int, Lists] | None:
    """The version and the lists; None where there are none that can be used, and so must be made
    anew.
    """
    version = stamp(folder, key)
    if version is None:
        return None
    try:
        with safe_open(folder / FILE, "np") as opened:
            lists = Lists(*(opened.get_tensor(name) for name in _NAMES))
    except (SafetensorError, OSError):
        return None
    return (version, lists) if _whole(lists) else None


def _whole(lists: Lists) -> bool:
    """Whether the numbers can be what was written."""
    n = len(lists)
    ascending = bool((np.diff(lists.serial) > 0).all())
    inside = bool(((lists.index >= -1) & (lists.index < n)).all())
    filled = bool(np.array_equal(lists.index < 0, np.isposinf(lists.distance)))
    sorted_ = bool((lists.distance[:, :-1] <= lists.distance[:, 1:]).all())
    return ascending and inside and filled and sorted_ and bool(np.isfinite(lists.farthest).all())
