"""`evaluate`, and the one loop over a method's blocks of distances."""

import dataclasses
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, runtime_checkable
from typing import Protocol as Interface

import numpy as np
from jaxtyping import Shaped

from graphreid.arrays import Array
from graphreid.gallery import Gallery
from graphreid.metrics import DEFAULT, metrics_of
from graphreid.metrics.metric import Metric
from graphreid.metrics.protocol import MARKET, Protocol
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report, report_of
from graphreid.metrics.tracks import ByTrack, Tracks
from graphreid.protocols import Reranker
from graphreid.ranking import TopLists
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels

_RENAMED = "evaluate(rule=...) is evaluate(protocol=...) now: rule goes in the next version"

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Accumulator(Interface[T_co]):
    """Gathers something of blocks of distances, so that the whole matrix need not be held:
    `RankCounter`, `ScoreHistograms`, `CameraPairs`, `TopLists`.
    """

    def add(self, block: DistanceBlock) -> None:
        """Take the next block.

        Raises:
            ValueError: a distance is NaN.
        """
        ...

    def result(self) -> T_co:
        """What was gathered, once every query was there."""
        ...


def accumulate(
    method: Reranker,
    query: Features,
    gallery: Gallery,
    accumulators: Sequence[Accumulator[Any]],
    *,
    resources: Resources | None = None,
) -> float:
    """Show every block of a method's distances to the accumulators.

    Args:
        method: a re-ranker, fitted if it is one that learns.
        query: the queries.
        gallery: the images to be found.
        accumulators: what gathers results.
        resources: where and with how much.

    Returns:
        Wall time of the method in seconds, that of the accumulators left out.
    """
    spent = 0.0
    start = time.perf_counter()
    for block in method.distances(query, gallery, resources=resources or Resources()):
        spent += time.perf_counter() - start
        for each in accumulators:
            each.add(block)
        start = time.perf_counter()
    return spent


def check_lengths(
    query: Features, gallery: Gallery, query_labels: Labels, gallery_labels: Labels
) -> None:
    """Refuse labels that are not one an image.

    Raises:
        ValueError: labels and images differ in number.
    """
    if len(query) != len(query_labels) or len(gallery) != len(gallery_labels):
        raise ValueError(
            f"{len(query_labels)} labels for {len(query)} queries and {len(gallery_labels)} for "
            f"{len(gallery)} gallery images: give one each"
        )


def evaluate(
    method: Reranker,
    query: Features | Array,
    gallery: Gallery | Features | Array,
    query_labels: Labels | Array,
    gallery_labels: Labels | Array,
    *,
    metrics: str | Iterable[Metric | str] = DEFAULT,
    protocol: Protocol = MARKET,
    rule: Protocol | None = None,
    top: int = 0,
    name: str | None = None,
    tracks: Shaped[np.ndarray, " g"] | None = None,
    resources: Resources | None = None,
) -> Report:
    """Evaluate a method on labelled queries and gallery.

    Args:
        method: a re-ranker, fitted if it is one that learns.
        query: the queries, and `query_labels` theirs. Vectors of any library (`arrays.to_numpy`)
            stand for features without items: the same object as query and as gallery is one set of
            images, in which no query finds itself; of two objects no image is the same.
        gallery: the images to be found, and `gallery_labels` theirs.
        query_labels: identity, camera and role of each query; or identities alone.
        gallery_labels: likewise of each gallery image.
        metrics: what to compute, as values or texts: `[AveragePrecision(), "rank-5"]`,
            or "mAP,rank-5".
        protocol: which images count.
        rule: the former name of `protocol`.
        top: how many of each query's first images to keep in the report.
        name: what to call the method in the report.
        tracks: text [g], the track of each gallery image: then tracks are found, each as near as
            its nearest image.
        resources: where and with how much.

    Raises:
        ValueError: an unknown metric, labels and images that differ in number, cameras on one side
            only, no query with a positive, a NaN distance, a track with two identities, or tracks
            together with lists of images.
    """
    wanted = metrics_of(metrics)
    if rule is not None:
        warnings.warn(_RENAMED, DeprecationWarning, stacklevel=2)
        protocol = rule
    one_set = query is gallery
    query = Features.of(query)
    gallery = Gallery.of(query if one_set else gallery)
    query_labels = Labels.of(query_labels)
    gallery_labels = Labels.of(gallery_labels)
    check_lengths(query, gallery, query_labels, gallery_labels)
    own = gallery.rows_of(query.items)
    groups = None
    if protocol.tracks and tracks is None:
        raise ValueError("the protocol is for tracks: give the track of each gallery image")
    if tracks is not None:
        if top or protocol.listed is not None:
            raise ValueError("tracks are evaluated by whole rankings: leave out lists of images")
        groups = Tracks.of(tracks, gallery_labels)
        protocol = dataclasses.replace(protocol, tracks=True)
        gallery_labels = groups.labels
        own = groups.own(own)
    counter = RankCounter(Relevance(query_labels, gallery_labels, own=own, protocol=protocol))
    lists = TopLists(top) if top else None
    accumulators: list[Accumulator[Any]] = [
        counter if groups is None else ByTrack(groups, counter),
        *([] if lists is None else [lists]),
    ]
    seconds = accumulate(method, query, gallery, accumulators, resources=resources)
    return report_of(
        counter.result(),
        wanted,
        method=name or type(method).__name__,
        setting=method.setting,
        seconds=seconds,
        order=None if lists is None else lists.result().order,
    )
