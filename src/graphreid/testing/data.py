"""Small data for tests."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.protocols import Reranker
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


def labelled(
    seed: int, queries: int = 12, images: int = 60, width: int = 16, cameras: int = 3
) -> tuple[tuple[Features, Labels], tuple[Features, Labels]]:
    """Queries and gallery: noisy copies of ten centres, of unit length, no two at equal
    distances.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((10, width))

    def some(count: int, name: str) -> tuple[Features, Labels]:
        identity = rng.integers(0, 10, count)
        camera = rng.integers(0, cameras, count)
        vectors = centres[identity] + 0.9 * rng.standard_normal((count, width))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        items = np.array([f"{name}{row}" for row in range(count)])
        return Features(vectors.astype(np.float32), items, camera), Labels(identity, camera)

    return some(queries, "query"), some(images, "image")


def blobs(
    seed: int, queries: int = 12, images: int = 60, width: int = 16
) -> tuple[Features, Features]:
    """The same without labels."""
    (query, _), (gallery, _) = labelled(seed, queries, images, width)
    return query, gallery


def stacked(blocks: Iterable[DistanceBlock]) -> NDArray[np.float32]:
    """All blocks as one matrix; they must follow each other."""
    parts: list[NDArray[np.float32]] = []
    for block in blocks:
        assert block.start == sum(map(len, parts))
        parts.append(block.distance)
    return np.concatenate(parts)


def all_distances(
    method: Reranker, query: Features, gallery: Gallery, resources: Resources | None = None
) -> NDArray[np.float32]:
    """Every distance a method gives."""
    return stacked(method.distances(query, gallery, resources=resources or Resources()))
