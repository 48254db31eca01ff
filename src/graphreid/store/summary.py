"""A summary of a gallery on disk: what it holds, and how current its files are."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from graphreid.store.persistent_gallery import PersistentGallery
from graphreid.store.thresholds import load_thresholds


def summarize(gallery: PersistentGallery) -> dict[str, Any]:
    """What a gallery holds, by name, as JSON takes it; `knn_index` says how current the index on
    disk is.
    """
    snapshot = gallery.snapshot()
    config = gallery.config
    indexed = gallery.index_version()
    if indexed is None:
        knn_index = "none yet"
    elif indexed == snapshot.version:
        knn_index = "up to date"
    else:
        knn_index = f"of version {indexed}"
    return {
        "images": len(snapshot),
        "width": config.width,
        "metric": config.metric,
        "embedder": config.embedder,
        "identities": _counts(snapshot.texts["identity"]),
        "cameras": _counts(snapshot.texts["camera"]),
        "image_folder": config.images,
        "version": snapshot.version,
        "files": gallery.table.fragments,
        "knn_index": knn_index,
        "thresholds": [dataclasses.asdict(each) for each in load_thresholds(gallery).values()],
    }


def _counts(values: Sequence[str | None]) -> str:
    """How many different values a column has, and in how many images."""
    known = [value for value in values if value is not None]
    return f"{len(set(known)):,} in {len(known):,} images" if known else "none"
