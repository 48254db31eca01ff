"""Validation in training: each image of held-out identities is a query, the others its gallery."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int64

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.knn.exact import Metric
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.metric import mean
from graphreid.metrics.protocol import MARKET
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.types import NORMAL, DistanceBlock, Features, Labels, drop_junk

QUERIES = 2000
"""Queries of a validation, at most: more would cost minutes in each epoch and hardly move the mean.
"""


class Validation:
    """Images of identities that a method is not fitted on; its mAP on them by the Market protocol.

    Args:
        features: the images; junk is left out.
        labels: of the images.
        train: the images that the method is fitted on.
        fitted: labels of `train`.
        seed: of the choice of QUERIES queries, where there are more images.
        resources: for the searches.
        metric: the distance of two vectors.

    Attributes:
        labels: of the gallery.
        queries: int64 [q], gallery rows of the queries.
        retrieval_set: queries and gallery.

    Raises:
        ValueError: lengths or widths that differ, or an identity is in both sets.
    """

    def __init__(
        self,
        features: Features,
        labels: Labels,
        train: Features,
        fitted: Labels,
        *,
        seed: int,
        resources: Resources,
        metric: Metric = "cosine",
    ) -> None:
        features, self.labels = drop_junk(features, labels)
        if features.width != train.width:
            raise ValueError(
                f"vectors are {features.width} wide in validation and {train.width} in train: "
                f"embed both with one network"
            )
        both = np.intersect1d(_identities(self.labels), _identities(fitted))
        if len(both):
            raise ValueError(
                f"{len(both)} identities are in both train and validation: validate on others than "
                f"those fitted on"
            )
        self.queries = np.arange(len(features))
        if len(features) > QUERIES:
            self.queries = np.sort(
                generator(seed, 0, 0, 6).choice(len(features), QUERIES, replace=False)
            )
        gallery = Gallery(features, metric=metric)
        queries = features.take(self.queries)
        self.retrieval_set = RetrievalSet(queries, gallery, resources=resources)

    @cached_property
    def relevance(self) -> Relevance:
        """The positives of each query."""
        query = self.labels.take(self.queries)
        own = self.retrieval_set.own
        return Relevance(query, self.labels, own=own, protocol=MARKET)

    def score(self, blocks: Iterable[DistanceBlock]) -> float:
        """The mAP of distances.

        Raises:
            ValueError: no query has a positive.
        """
        counter = RankCounter(self.relevance)
        for block in blocks:
            counter.add(block)
        return mean(AveragePrecision(), counter.result())

    def record(self, score: float) -> dict[str, Any]:
        """A method's mAP beside that of its input, for the record of a fit."""
        retrieval_set = self.retrieval_set
        of_input = self.score(
            retrieval_set.distance_block(start, retrieval_set.block(start, stop))
            for start, stop in retrieval_set.blocks()
        )
        return {"input": round(of_input, 5), "mAP": round(score, 5), "queries": len(self.queries)}


def _identities(labels: Labels) -> Int64[np.ndarray, " m"]:
    return np.unique(labels.identity[labels.role == NORMAL])
