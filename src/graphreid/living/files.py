"""Features files in and out of a gallery on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphreid.data.features import COLUMNS, load_columns, load_embedder_name, load_vectors, save_features
from graphreid.living.living import LivingGallery, Texts
from graphreid.types import Features, Zero

OWN = ("identity", "camera", "path")
"""Columns of a features file that a gallery keeps by themselves; the others become `extra`."""
JUNK = "junk"


def read(file: Path, *, zero: Zero = "refuse") -> tuple[Features, Texts, str | None, int]:
    """Images of a features file for a gallery, their texts, who embedded them, and how many junk ones were left out.

    Raises:
        ValueError: no such file, damaged, or with values that `Features` refuses.
    """
    features, columns = load_vectors(file, zero=zero), load_columns(file)
    columns.pop("item", None)
    good = np.ones(len(features), bool)
    if "role" in columns:
        good = columns["role"].astype(str) != JUNK
    elif "identity" in columns:
        good = columns["identity"].astype(str) != "-1"
    if not good.any():
        raise ValueError(f"{file}: all its images are junk")
    columns = {name: column[good] for name, column in columns.items()}
    texts: Texts = {name: list(columns.pop(name).astype(str).tolist()) for name in OWN if name in columns}
    if columns:
        lists = {name: column.tolist() for name, column in columns.items()}
        texts["extra"] = [json.dumps({name: values[row] for name, values in lists.items()}) for row in range(int(good.sum()))]
    return features.take(good), texts, load_embedder_name(file), int((~good).sum())


def export(living: LivingGallery, out: Path) -> tuple[int, list[str]]:
    """Write a gallery as a features file; returns its images, and the columns left out because some images have no value.

    Raises:
        ValueError: the gallery is empty, or the file can't be written.
    """
    snapshot = living.snapshot()
    features = snapshot.searchable().features
    columns: dict[str, NDArray[Any]] = {"item": features.items}
    left: list[str] = []
    values: dict[str, list[Any]] = {name: list(snapshot.texts[name]) for name in OWN}
    extra = [json.loads(text or "{}") for text in snapshot.texts["extra"]]
    values |= {name: [each.get(name) for each in extra] for name in dict.fromkeys(name for each in extra for name in each)}
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
