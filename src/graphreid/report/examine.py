"""`examine`: evaluation with what a page shows beside the numbers, gathered in the same pass."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphreid.gallery import Gallery
from graphreid.metrics import DEFAULT, metrics_of
from graphreid.metrics.camera_pairs import CameraPairs, CameraTable
from graphreid.metrics.evaluate import Accumulator, accumulate, check_lengths
from graphreid.metrics.metric import Metric
from graphreid.metrics.open_set import ScoreHistograms, Separation
from graphreid.metrics.protocol import MARKET, Protocol
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report, report_of
from graphreid.protocols import Reranker
from graphreid.ranking import TopLists
from graphreid.resources import Resources
from graphreid.types import Features, Labels

TOP = 50
"""Images of each query to keep, so that ten that count are among them where many are of the query's
own camera.
"""
MOST_CAMERAS = 40
"""A table of more cameras can't be read."""


@dataclass(frozen=True, eq=False)
class Details:
    """What a page shows of a method beside its `Report`.

    Attributes:
        separation: scores of right and wrong pairs.
        cameras: None where the labels have no cameras, or more than MOST_CAMERAS on a side.
    """

    separation: Separation
    cameras: CameraTable | None


def examine(
    method: Reranker,
    query: Features,
    gallery: Gallery,
    query_labels: Labels,
    gallery_labels: Labels,
    *,
    metrics: Iterable[Metric | str] = (),
    protocol: Protocol = MARKET,
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
        query_labels: identity, camera and role of each query.
        gallery_labels: likewise of each gallery image.
        metrics: what to compute; those that a page shows are among them anyway.
        protocol: which images count.
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
    check_lengths(query, gallery, query_labels, gallery_labels)
    relevance = Relevance(
        query_labels, gallery_labels, own=gallery.rows_of(query.items), protocol=protocol
    )
    declared = method.comparable if comparable is None else comparable
    counter = RankCounter(relevance)
    histograms = ScoreHistograms(relevance, comparable=declared, score=score)
    lists = TopLists(top)
    pairs = CameraPairs(relevance) if _few_cameras(query_labels, gallery_labels) else None
    accumulators: list[Accumulator[Any]] = [counter, histograms, lists]
    if pairs is not None:
        accumulators.append(pairs)
    seconds = accumulate(method, query, gallery, accumulators, resources=resources)
    report = report_of(
        counter.result(),
        metrics_of((*metrics, *DEFAULT)),
        method=name or type(method).__name__,
        setting=method.setting,
        seconds=seconds,
        order=lists.result().order,
    )
    return report, Details(histograms.result(), None if pairs is None else pairs.result())


def _few_cameras(query: Labels, gallery: Labels) -> bool:
    """Whether both sides have cameras, and few enough for a table."""
    return all(
        labels.camera is not None and len(np.unique(labels.camera)) <= MOST_CAMERAS
        for labels in (query, gallery)
    )
