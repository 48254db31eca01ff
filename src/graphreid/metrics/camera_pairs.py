"""mAP and rank-1 of queries from one camera among the gallery images of one camera."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.cmc import CMC
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.ranking import cut_to_top
from graphreid.types import NORMAL, DistanceBlock


@dataclass(frozen=True, eq=False)
class CameraTable:
    """How well queries of one camera find their identity among the gallery images of one camera.

    Attributes:
        query: int64 [a], the queries' cameras, ascending (numbers, or codes of text as in
            `Labels`).
        gallery: int64 [b], the gallery's.
        mean_ap: float64 [a, b] in [0, 1], queries of camera a searched among the images of camera b
            alone; NaN where no query has a positive there (its own camera, where the protocol
            removes it).
        rank1: float64 [a, b] in [0, 1], the share of these queries whose first image is right.
        queries: int64 [a, b], how many queries have a positive there.
    """

    query: Int64[np.ndarray, " a"]
    gallery: Int64[np.ndarray, " b"]
    mean_ap: Float64[np.ndarray, "a b"]
    rank1: Float64[np.ndarray, "a b"]
    queries: Int64[np.ndarray, "a b"]


class CameraPairs:
    """Counts ranks among the images of each gallery camera alone, in blocks of distances as they
    come.

    Args:
        relevance: the positives of each query, and what does not count; its labels have cameras.

    Raises:
        ValueError: labels without cameras.
    """

    def __init__(self, relevance: Relevance) -> None:
        query, gallery = relevance.query, relevance.gallery
        if query.camera is None or gallery.camera is None:
            raise ValueError("labels have no cameras: give them to queries and gallery")
        self._listed = relevance.protocol.listed
        self._query, self._row = np.unique(query.camera, return_inverse=True)
        self._gallery, place_of = np.unique(gallery.camera, return_inverse=True)
        self._counters: list[tuple[int, NDArray[np.int64], RankCounter]] = []
        for place, camera in enumerate(self._gallery.tolist()):
            columns = np.flatnonzero(place_of == place)
            inside = np.full(len(gallery), -1)
            inside[columns] = np.arange(len(columns))
            own = np.where(relevance.own >= 0, inside[relevance.own], -1)
            here = Relevance(query, gallery.take(columns), own=own, protocol=relevance.protocol)
            known = ~here.unknown() & (query.role == NORMAL)
            if relevance.protocol.camera == "remove":
                known &= query.camera != camera
            if known.any():
                self._counters.append((place, columns, RankCounter(here)))

    def add(self, block: DistanceBlock) -> None:
        """Count a block.

        Raises:
            ValueError: a distance is NaN.
        """
        if self._listed is not None:
            # the list is that of the whole gallery, whatever camera is looked at
            block = cut_to_top(block, self._listed)
        for _, columns, counter in self._counters:
            counter.add(DistanceBlock(block.start, block.distance[:, columns]))

    def result(self) -> CameraTable:
        """The table, once every query was counted."""
        shape = len(self._query), len(self._gallery)
        mean_ap = np.full(shape, np.nan)
        rank1 = np.full(shape, np.nan)
        queries = np.zeros(shape, np.int64)
        for place, _, counter in self._counters:
            ranks = counter.result()
            evaluated = ranks.positives > 0
            rows = self._row[evaluated]
            count = np.bincount(rows, minlength=len(self._query))
            some = count > 0
            for table, metric in ((mean_ap, AveragePrecision()), (rank1, CMC(1))):
                value = metric.values(ranks)[evaluated]
                total = np.bincount(rows, value, len(self._query))
                table[some, place] = total[some] / count[some]
            queries[:, place] = count
        return CameraTable(self._query, self._gallery, mean_ap, rank1, queries)
