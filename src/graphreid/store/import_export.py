"""Images from a features file into a gallery on disk, and back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphreid.features.features_file import (
    COLUMNS,
    load_columns,
    load_embedder_name,
    load_vectors,
    save_features,
)
from graphreid.store.persistent_gallery import PersistentGallery
from graphreid.store.table import Texts
from graphreid.types import JUNK, ROLES, Features, Labels, Text, Zero

OWN_COLUMNS = ("identity", "camera", "path")
"""Columns of a features file that are columns of a gallery; the others become `extra`."""


@dataclass(frozen=True, eq=False)
class NewImages:
    """Images of a features file, for a gallery.

    Attributes:
        features: without the junk ones.
        texts: their columns, as `PersistentGallery.add` takes them.
        embedder: what made the vectors, None where the file does not say.
        junk: how many images were left out because they are junk.
    """

    features: Features
    texts: Texts
    embedder: str | None
    junk: int


def read_images(file: Path, *, zero: Zero = "refuse") -> NewImages:
    """The images of a features file, for a gallery.

    Raises:
        ValueError: no such file, damaged, with values that `Features` or `Labels` refuse, or with
            junk alone.
    """
    features = load_vectors(file, zero=zero)
    columns = load_columns(file)
    columns.pop("item", None)
    for name, column in columns.items():
        if len(column) != len(features):
            raise ValueError(
                f"{file}: {name} has {len(column)} values for {len(features)} vectors: give one a "
                f"vector"
            )
    keep = np.ones(len(features), bool)
    if "role" in columns or "identity" in columns:
        identity = columns.get("identity", np.zeros(len(features), np.int64))
        try:
            role = Labels(identity, columns.get("camera"), columns.get("role")).role
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        keep = role != JUNK
        if "role" in columns:
            columns["role"] = np.array(ROLES)[role]
    if not keep.any():
        raise ValueError(f"{file}: all its images are junk")
    columns = {name: column[keep] for name, column in columns.items()}
    texts: Texts = {
        name: list(_as_text(columns.pop(name)).tolist()) for name in OWN_COLUMNS if name in columns
    }
    if columns:
        lists = {name: column.tolist() for name, column in columns.items()}
        texts["extra"] = [
            json.dumps({name: values[row] for name, values in lists.items()})
            for row in range(int(keep.sum()))
        ]
    return NewImages(features.take(keep), texts, load_embedder_name(file), int((~keep).sum()))


def export_images(gallery: PersistentGallery, out: Path) -> tuple[int, list[str]]:
    """Write a gallery as a features file.

    Returns:
        How many images it has, and the columns that were left out, because some images have no
        value or a features file has no such column.

    Raises:
        ValueError: the gallery is empty, or the file can't be written.
    """
    snapshot = gallery.snapshot()
    features = snapshot.searchable().features
    values: dict[str, list[Any]] = {name: list(snapshot.texts[name]) for name in OWN_COLUMNS}
    extra = [json.loads(text or "{}") for text in snapshot.texts["extra"]]
    for name in dict.fromkeys(name for each in extra for name in each):
        if name not in (*OWN_COLUMNS, "item"):
            values[name] = [each.get(name) for each in extra]
    columns: dict[str, NDArray[Any]] = {"item": features.items}
    left_out: list[str] = []
    for name, column in values.items():
        if all(value is None for value in column):
            continue
        complete = name in COLUMNS and all(value is not None for value in column)
        array = np.array(column) if complete else None
        if array is None or array.dtype.kind not in "fiubU":
            left_out.append(name)
        else:
            columns[name] = array
    save_features(out, features.vectors, columns, embedder=gallery.config.embedder)
    return len(features), left_out


def _as_text(column: NDArray[Any]) -> Text:
    """A column as text; whole numbers of type float without their point, so that a value is the
    same text in every file (`types.codes`).
    """
    whole = column.dtype.kind == "f" and bool(np.all(column == np.round(column)))
    return (column.astype(np.int64) if whole else column).astype(str)
