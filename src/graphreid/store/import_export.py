"""Features files in and out of a gallery on disk."""

import json
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
from graphreid.store.persistent_gallery import PersistentGallery, Texts
from graphreid.types import JUNK, ROLES, Features, Labels, Text, Zero

OWN = ("identity", "camera", "path")
"""Columns of a features file that a gallery keeps by themselves; the others become `extra`."""


def read(file: Path, *, zero: Zero = "refuse") -> tuple[Features, Texts, str | None, int]:
    """Images of a features file for a gallery, their texts, who embedded them, and how many junk
    ones were left out.

    Raises:
        ValueError: no such file, damaged, or with values that `Features` refuses.
    """
    features, columns = load_vectors(file, zero=zero), load_columns(file)
    columns.pop("item", None)
    for name, column in columns.items():
        if len(column) != len(features):
            raise ValueError(
                f"{file}: {name} has {len(column)} values for {len(features)} vectors: give one "
                f"each"
            )
    good = np.ones(len(features), bool)
    if "role" in columns or "identity" in columns:
        identity = columns.get("identity", np.zeros(len(features), np.int64))
        try:
            role = Labels(identity, columns.get("camera"), columns.get("role")).role
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        good = role != JUNK
        if "role" in columns:
            columns["role"] = np.array(ROLES)[role]
    if not good.any():
        raise ValueError(f"{file}: all its images are junk")
    columns = {name: column[good] for name, column in columns.items()}
    texts: Texts = {
        name: list(_text(columns.pop(name)).tolist()) for name in OWN if name in columns
    }
    if columns:
        lists = {name: column.tolist() for name, column in columns.items()}
        texts["extra"] = [
            json.dumps({name: values[row] for name, values in lists.items()})
            for row in range(int(good.sum()))
        ]
    return features.take(good), texts, load_embedder_name(file), int((~good).sum())


def export(living: PersistentGallery, out: Path) -> tuple[int, list[str]]:
    """Write a gallery as a features file; returns its images, and the columns left out because some
    images have no value.

    Raises:
        ValueError: the gallery is empty, or the file can't be written.
    """
    snapshot = living.snapshot()
    features = snapshot.searchable().features
    columns: dict[str, NDArray[Any]] = {"item": features.items}
    left: list[str] = []
    values: dict[str, list[Any]] = {name: list(snapshot.texts[name]) for name in OWN}
    extra = [json.loads(text or "{}") for text in snapshot.texts["extra"]]
    names = [
        name
        for name in dict.fromkeys(name for each in extra for name in each)
        if name not in (*OWN, "item")
    ]
    values |= {name: [each.get(name) for each in extra] for name in names}
    for name, column in values.items():
        if all(value is None for value in column):
            continue
        whole = name in COLUMNS and all(value is not None for value in column)
        array = np.array(column) if whole else None
        if array is None or array.dtype.kind not in "fiubU":
            left.append(name)
        else:
            columns[name] = array
    save_features(out, features.vectors, columns, embedder=living.config.embedder)
    return len(features), left


def _text(column: NDArray[Any]) -> Text:
    """A column as text; numbers with a point that are whole, without it: the same value in every
    file (`types.codes`).
    """
    whole = column.dtype.kind == "f" and bool(np.all(column == np.round(column)))
    return (column.astype(np.int64) if whole else column).astype(str)
