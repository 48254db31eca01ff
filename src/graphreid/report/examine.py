"""`examine`: evaluation with what the report shows beside the numbers, in the same pass."""

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
MAX_CAMERAS = 40
"""Cameras of a side, beyond which a table of them can't be read."""


@dataclass(frozen=True, eq=False)
class Details:
    """What the report shows of a method beside its `metrics.report.Report`.

    Attributes:
        separation: scores of right and of wrong pairs, for histograms and thresholds.
        cameras: None where the labels have no cameras, or more than MAX_CAMERAS on a side.
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
    """Evaluate a method as `evaluate` does, with what the report shows besides.

    Args:
        method: a re-ranker, fitted if it is one that learns.
        query: the queries.
        gallery: the images to be found.
        query_labels: identity, camera and role of each query.
        gallery_labels: likewise of each gallery image.
        metrics: what to compute, besides those that the report always shows.
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
        labels.camera is not None and len(np.unique(labels.camera)) <= MAX_CAMERAS
        for labels in (query, gallery)
    )
