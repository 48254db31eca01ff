"""What a page shows of a method beside its `Report`, gathered from the same blocks of distances, in
one pass.
"""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.metrics.evaluation import RankCounter, Report, Rule
from graphreid.metrics.open_set import PairCounts, Separation, Verdicts
from graphreid.protocols import Reranker
from graphreid.ranking import first, listed
from graphreid.resources import Resources
from graphreid.types import NORMAL, DistanceBlock, Features, Labels

TOP = 50
"""Images of each query to keep, so that ten that count are among them where many are of the query's
own camera.
"""
ROWS = 64
"""Queries whose first images are sorted out in one go."""
MOST_CAMERAS = 40
"""A table of more cameras can't be read."""


@dataclass(frozen=True, eq=False)
class CameraTable:
    """How well queries of one camera find their identity among the gallery images of one camera.

    Attributes:
        query: int64 [a], the queries' cameras, ascending (numbers, or codes of text as in
            `Labels`).
        gallery: int64 [b], the gallery's.
        mean_ap: float64 [a, b] in [0, 1], queries of camera a searched among the images of camera b
            alone; NaN where no query has a right image there (its own camera, where the rule
            removes it).
        rank1: float64 [a, b] in [0, 1], the share of these queries whose first image is right.
        queries: int64 [a, b], how many queries have a right image there.
    """

    query: Int64[np.ndarray, " a"]
    gallery: Int64[np.ndarray, " b"]
    mean_ap: Float64[np.ndarray, "a b"]
    rank1: Float64[np.ndarray, "a b"]
    queries: Int64[np.ndarray, "a b"]


@dataclass(frozen=True, eq=False)
class Details:
    """What a page shows of a method beside its `Report`.

    Attributes:
        separation: scores of right and wrong pairs.
        cameras: None where the labels have no cameras, or more than MOST_CAMERAS on a side.
    """

    separation: Separation
    cameras: CameraTable | None


class Watch:
    """Gathers `Details` of blocks of distances as they come.

    Args:
        query, gallery: labels of the queries and of the gallery.
        own: int64 [q], the gallery row that is the query itself, or -1 (`Gallery.rows_of`).
        rule: who counts as right.
        comparable: whether the method declares its distances comparable between queries.
        score: what a distance is called.
    """

    def __init__(
        self,
        query: Labels,
        gallery: Labels,
        *,
        own: Int64[np.ndarray, " q"],
        rule: Rule,
        comparable: bool,
        score: str,
    ) -> None:
        self._pairs = PairCounts(
            Verdicts(query, gallery, own=own, rule=rule), comparable=comparable, score=score
        )
        self._listed = rule.listed
        self._cameras: _CameraPairs | None = None
        if query.camera is not None and gallery.camera is not None:
            queries, images = (
                np.unique(query.camera, return_inverse=True),
                np.unique(gallery.camera, return_inverse=True),
            )
            if max(len(queries[0]), len(images[0])) <= MOST_CAMERAS:
                self._cameras = _CameraPairs(query, gallery, queries, images, own, rule)

    def add(self, block: DistanceBlock) -> None:
        """Count a block.

        Raises:
            ValueError: a distance is NaN.
        """
        self._pairs.add(block)
        if self._cameras is not None:
            # the list is that of the whole gallery, whatever camera is looked at
            self._cameras.add(block if self._listed is None else listed(block, self._listed))

    def details(self) -> Details:
        """What was gathered, once every query was counted."""
        return Details(
            self._pairs.separation(), None if self._cameras is None else self._cameras.table()
        )


def examine(
    method: Reranker,
    query: Features,
    gallery: Gallery,
    query_labels: Labels,
    gallery_labels: Labels,
    *,
    rule: Rule | None = None,
    top: int = TOP,
    name: str | None = None,
    comparable: bool | None = None,
    score: str = "distance",
    resources: Resources | None = None,
) -> tuple[Report, Details]:
    """`evaluate`, which see, with each query's first images and the details that a page shows.

    Args:
        method: a re-ranker, fitted if it is one that learns.
        query: the queries, and `query_labels` theirs.
        gallery: the images to be found, and `gallery_labels` theirs.
        rule: who counts as right; the common re-ID rule if None.
        top: how many of each query's first images to keep.
        name: what to call the method.
        comparable: whether distances of different queries can be compared with one threshold; if
            None what the method declares.
        score: what a distance of the method is called.
        resources: where and with how much.

    Raises:
        ValueError: labels and images differ in number, cameras on one side only, no query has a
            positive, or a NaN distance.
    """
    if len(query) != len(query_labels) or len(gallery) != len(gallery_labels):
        raise ValueError(
            f"{len(query_labels)} labels for {len(query)} queries and {len(gallery_labels)} for "
            f"{len(gallery)} gallery images: "
            "give one each"
        )
    own, rule = gallery.rows_of(query.items), rule or Rule()
    judge = RankCounter(query_labels, gallery_labels, own=own, rule=rule)
    declared = method.comparable if comparable is None else comparable
    watch = Watch(
        query_labels, gallery_labels, own=own, rule=rule, comparable=declared, score=score
    )
    orders: list[Int32[np.ndarray, "b top"]] = []
    spent, start = 0.0, time.perf_counter()
    for block in method.distances(query, gallery, resources=resources or Resources()):
        spent += time.perf_counter() - start
        judge.add(block)
        watch.add(block)
        # a few queries at a time: sorting takes three times the room of the distances
        orders.extend(
            first(block.distance[begin : begin + ROWS], top)
            for begin in range(0, len(block.distance), ROWS)
        )
        start = time.perf_counter()
    report = judge.report(
        name or type(method).__name__, method.setting, spent, np.concatenate(orders)
    )
    return report, watch.details()


_Coded = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The cameras, ascending, and the place of each image's among them."""


class _CameraPairs:
    """A judge for each camera of the gallery, who sees that camera's images alone."""

    def __init__(
        self,
        query: Labels,
        gallery: Labels,
        queries: _Coded,
        images: _Coded,
        own: Int64[np.ndarray, " q"],
        rule: Rule,
    ) -> None:
        (self._query, self._row), (self._gallery, column) = queries, images
        self._judges: list[tuple[int, Int64[np.ndarray, " c"], RankCounter]] = []
        for place, camera in enumerate(self._gallery.tolist()):
            columns = np.flatnonzero(column == place)
            inside = np.full(len(gallery), -1)
            inside[columns] = np.arange(len(columns))
            here, mine = gallery.take(columns), np.where(own >= 0, inside[own], -1)
            known = ~Verdicts(query, here, own=mine, rule=rule).unknown() & (query.role == NORMAL)
            if rule.camera == "remove":
                known &= self._query[self._row] != camera
            if known.any():
                self._judges.append((place, columns, RankCounter(query, here, own=mine, rule=rule)))

    def add(self, block: DistanceBlock) -> None:
        for _, columns, judge in self._judges:
            judge.add(DistanceBlock(block.start, block.distance[:, columns]))

    def table(self) -> CameraTable:
        shape = len(self._query), len(self._gallery)
        mean_ap, rank1, queries = (
            np.full(shape, np.nan),
            np.full(shape, np.nan),
            np.zeros(shape, np.int64),
        )
        for place, _, judge in self._judges:
            report = judge.report("", "", 0.0)
            rows = self._row[report.valid]
            count = np.bincount(rows, minlength=len(self._query))
            some = count > 0
            for table, value in (
                (mean_ap, report.ap),
                (rank1, (report.first_rank == 1).astype(np.float64)),
            ):
                total = np.bincount(rows, value[report.valid], len(self._query))
                table[some, place] = total[some] / count[some]
            queries[:, place] = count
        return CameraTable(self._query, self._gallery, mean_ap, rank1, queries)
