"""A map of the vectors: t-SNE of twenty identities, before and after a method gave new vectors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from graphreid.gallery import Gallery, normalise
from graphreid.seeding import generator
from graphreid.types import NORMAL, Features, Labels

IDENTITIES = 20
"""Identities on a map."""
MIN_IMAGES, MAX_IMAGES = 3, 25
"""Images that an identity must have to be drawn, and images of it that are shown at most."""


@dataclass(frozen=True, eq=False)
class MapSample:
    """The images of a map, queries first.

    Attributes:
        query: int64 [a], rows of queries.
        gallery: int64 [b], rows of gallery images.
        identity: int64 [a + b], the identity of each image, numbered from 0.
        is_query: bool [a + b].
    """

    query: Int64[np.ndarray, " a"]
    gallery: Int64[np.ndarray, " b"]
    identity: Int64[np.ndarray, " n"]
    is_query: Bool[np.ndarray, " n"]

    def vectors(self, query: Features, gallery: Features) -> Float32[np.ndarray, "n d"]:
        """The images' vectors, float32 [a + b, d], of unit length."""
        return normalise(np.concatenate([query.vectors[self.query], gallery.vectors[self.gallery]]))


def sample_images(
    query: Features,
    query_labels: Labels,
    gallery: Gallery,
    gallery_labels: Labels,
    *,
    identities: int = IDENTITIES,
    seed: int = 0,
) -> MapSample | None:
    """Draw identities with at least MIN_IMAGES images, and up to MAX_IMAGES of each.

    Args:
        query, query_labels: the queries; those that are in the gallery as well are drawn once.
        gallery, gallery_labels: the gallery.
        identities: how many to draw.
        seed: of the draw.

    Returns:
        The images; None where there are too few identities.
    """
    new = np.flatnonzero((gallery.rows_of(query.items) < 0) & (query_labels.role == NORMAL))
    old = np.flatnonzero(gallery_labels.role == NORMAL)
    identity = np.concatenate([query_labels.identity[new], gallery_labels.identity[old]])
    names, place, count = np.unique(identity, return_inverse=True, return_counts=True)
    enough = np.flatnonzero(count >= MIN_IMAGES)
    if len(enough) < identities:
        return None
    draw = generator(seed)
    chosen = draw.choice(enough, identities, replace=False)
    number = np.full(len(names), -1)
    number[chosen] = np.arange(identities)
    shown = draw.permutation(np.flatnonzero(number[place] >= 0))
    # the first MAX_IMAGES of each identity in a random order
    nth = np.zeros(len(shown), np.int64)
    for one in range(identities):
        of_it = number[place[shown]] == one
        nth[of_it] = np.arange(of_it.sum())
    shown = np.sort(shown[nth < MAX_IMAGES])
    is_query = shown < len(new)
    return MapSample(
        new[shown[is_query]], old[shown[~is_query] - len(new)], number[place[shown]], is_query
    )


def tsne_layout(
    vectors: Float32[np.ndarray, "n d"],
    *,
    seed: int = 0,
    start: Float64[np.ndarray, "n 2"] | None = None,
) -> Float64[np.ndarray, "n 2"]:
    """t-SNE of vectors (van der Maaten and Hinton 2008).

    Args:
        vectors: float32 [n, d], of unit length.
        seed: of t-SNE.
        start: float64 [n, 2], another layout of the same images to start from, so that the two can
            be compared; their principal components if None.
    """
    from openTSNE import TSNE, initialization  # noqa: PLC0415  # heavy, and an extra

    make: Any = TSNE  # its annotations are narrower than what it takes
    tsne = make(
        perplexity=min(30, (len(vectors) - 1) / 3),
        initialization="pca" if start is None else initialization.rescale(start.copy()),
        random_state=seed,
        n_jobs=1,
        neighbors="exact",
        negative_gradient_method="bh",
    )
    return np.asarray(tsne.fit(vectors), np.float64)
