"""What a gallery on disk is and holds, for people and for a service."""

import dataclasses
from typing import Any

from graphreid.store.persistent_gallery import PersistentGallery, describe
from graphreid.store.thresholds import thresholds


def facts(living: PersistentGallery) -> dict[str, Any]:
    """Name and value of each fact; `lists` says how old the neighbour lists on disk are."""
    snapshot, config = living.snapshot(), living.config
    kept = living.lists_version()
    return {
        "images": len(snapshot),
        "width": config.width,
        "metric": config.metric,
        "embedder": config.embedder,
        "identities": describe(snapshot.texts["identity"]),
        "cameras": describe(snapshot.texts["camera"]),
        "pictures": config.images,
        "version": snapshot.version,
        "files": living.store.pieces,
        "lists": "none yet"
        if kept is None
        else "up to date"
        if kept == snapshot.version
        else f"of version {kept}",
        "thresholds": [dataclasses.asdict(each) for each in thresholds(living).values()],
    }
