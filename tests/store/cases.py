"""Galleries on disk that several tests share."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.knn.exact import Metric
from graphreid.store import GalleryConfig, PersistentGallery
from graphreid.types import Features, Labels
from tests.support import labelled

WIDTH = 16
SMALL = GalleryConfig(WIDTH, k=5, margin=3)


def labelled_gallery(
    folder: Path, count: int = 60, *, config: GalleryConfig = SMALL
) -> tuple[PersistentGallery, Features, tuple[Features, Labels]]:
    """A gallery with `count` labelled images, and labelled queries."""
    queries, (images, labels) = labelled(0, images=count)
    made = PersistentGallery.create(folder / "gallery", config)
    made.add(images, texts(labels))
    return made, images, queries


def texts(labels: Labels) -> dict[str, list[str | None]]:
    """Identities and cameras as a gallery takes them."""
    assert labels.camera is not None
    return {
        "identity": list(map(str, labels.identity.tolist())),
        "camera": list(map(str, labels.camera.tolist())),
    }


def some(rng: np.random.Generator, count: int, name: str, width: int = WIDTH) -> Features:
    """Images without cameras."""
    return Features(
        rng.standard_normal((count, width)).astype(np.float32),
        np.array([f"{name}{row}" for row in range(count)]),
    )


def same_as_rebuilt(gallery: Gallery, k: int, metric: Metric = "cosine") -> None:
    """The kept lists are those of a new search, but for ties within 1e-6."""
    near = gallery.neighbors(k)
    want = Gallery(gallery.features, metric=metric).neighbors(k)
    np.testing.assert_allclose(near.distance, want.distance, atol=1e-6)
    np.testing.assert_allclose(near.farthest, want.farthest, atol=1e-6)
    for row in np.flatnonzero((near.index != want.index).any(axis=1)).tolist():
        _tied(near.index[row], want.index[row], want.distance[row])


def _tied(index: NDArray[np.int32], want: NDArray[np.int32], distance: NDArray[np.float32]) -> None:
    for place in np.flatnonzero(index != want).tolist():
        near = np.abs(distance - distance[place]) <= 1e-6
        assert near.sum() > 1 or place == len(distance) - 1
