"""A map of the embeddings: t-SNE of twenty identities, before and after."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from graphreid.gallery import Gallery, normalise
from graphreid.seeding import generator
from graphreid.types import NORMAL, Features, Labels

IDENTITIES, FEWEST, IMAGES = 20, 3, 25
"""Identities on a map, the fewest images of one that is drawn, and the most that are shown of
it.
"""


@dataclass(frozen=True, eq=False)
class Sample:
    """Images on a map.

    Attributes:
        query, gallery: int64 [a] and [b], their rows among the queries and in the gallery; queries
            come first.
        identity: int64 [a + b], which of the identities each shows, from 0.
        is_query: bool [a + b], the queries.
    """

    query: Int64[np.ndarray, " a"]
    gallery: Int64[np.ndarray, " b"]
    identity: Int64[np.ndarray, " n"]
    is_query: Bool[np.ndarray, " n"]

    def vectors(self, query: Features, gallery: Features) -> Float32[np.ndarray, "n d"]:
        """Their vectors, of unit length."""
        return normalise(np.concatenate([query.vectors[self.query], gallery.vectors[self.gallery]]))


def sample(
    query: Features,
    query_labels: Labels,
    gallery: Gallery,
    gallery_labels: Labels,
    *,
    identities: int = IDENTITIES,
    seed: int = 0,
) -> Sample | None:
    """Identities drawn among those with at least FEWEST images, and up to IMAGES of each; None
    where there are too few.
    """
    new = np.flatnonzero((gallery.rows_of(query.items) < 0) & (query_labels.role == NORMAL))
    old = np.flatnonzero(gallery_labels.role == NORMAL)
    identity = np.concatenate([query_labels.identity[new], gallery_labels.identity[old]])
    names, place, count = np.unique(identity, return_inverse=True, return_counts=True)
    enough = np.flatnonzero(count >= FEWEST)
    if len(enough) < identities:
        return None
    draw = generator(seed)
    chosen = draw.choice(enough, identities, replace=False)
    number = np.full(len(names), -1)
    number[chosen] = np.arange(identities)
    shown = draw.permutation(np.flatnonzero(number[place] >= 0))
    # the first IMAGES of each identity in a random order
    nth = np.zeros(len(shown), np.int64)
    for one in range(identities):
        of_it = number[place[shown]] == one
        nth[of_it] = np.arange(of_it.sum())
    shown = np.sort(shown[nth < IMAGES])
    is_query = shown < len(new)
    return Sample(
        new[shown[is_query]], old[shown[~is_query] - len(new)], number[place[shown]], is_query
    )


def layout(
    vectors: Float32[np.ndarray, "n d"],
    *,
    seed: int = 0,
    start: Float64[np.ndarray, "n 2"] | None = None,
) -> Float64[np.ndarray, "n 2"]:
    """t-SNE of vectors (van der Maaten and Hinton 2008).

    Args:
        vectors: float32 [n, d].
        seed: of what is random in it.
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
