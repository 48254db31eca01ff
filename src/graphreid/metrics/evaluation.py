"""Evaluation: who counts as right, the numbers of each query, and what may be said about their
mean.

The numbers are counted on unsorted blocks of distances (`kernels/rank_counts.py`), so nothing of
size (queries, gallery) is held.
"""

import dataclasses
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Shaped
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.metrics.tracks import Tracks
from graphreid.protocols import Reranker
from graphreid.ranking import first, listed
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.types import DISTRACTOR, JUNK, NORMAL, DistanceBlock, Features, Labels

RESAMPLES = 2000


@dataclass(frozen=True)
class Rule:
    """Which images count, and how a query's average precision is taken.

    Attributes:
        camera: "remove" takes a query's own identity in its own camera out (all re-ID protocols);
            "keep" leaves it in.
        ap: "step" is the mean over positives of the precision at each; "trapezoid" averages it with
            the precision just before.
        denominator: means go over "valid" queries (those with a positive left), or over "all",
            where the others count 0.
        distractor: an identity number whose images are wrong for every query (0 in raw Market-1501
            arrays), or None.
        listed: how many images of each query's ranking are looked at, those that do not count among
            them, or None for all. A right image beyond is not found and adds 0, so the mean is at
            most that over whole rankings.
        tracks: what is found is a track of images; `evaluate` sets it where it is given tracks.

    Raises:
        ValueError: an unknown choice, or a list of no image.
    """

    camera: str = "remove"
    ap: str = "step"
    denominator: str = "valid"
    distractor: int | None = None
    listed: int | None = None
    tracks: bool = False

    def __post_init__(self) -> None:
        choices = {
            "camera": ("remove", "keep"),
            "ap": ("step", "trapezoid"),
            "denominator": ("valid", "all"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of {', '.join(allowed)}"
                )
        if self.listed is not None and self.listed < 1:
            raise ValueError(f"listed is {self.listed}: at least one image must be looked at")

    def named(self, measure: str) -> str:
        """What a mean over rankings is called: "mAP", or "mAP@100" where only the first 100 images
        are looked at.
        """
        return measure if self.listed is None else f"{measure}@{self.listed}"

    def __str__(self) -> str:
        camera = (
            "same identity and camera removed" if self.camera == "remove" else "same camera kept"
        )
        distractor = "" if self.distractor is None else f", identity {self.distractor} distracts"
        first = (
            "" if self.listed is None else f", only the first {self.listed} images of each ranking"
        )
        tracks = ", image to track" if self.tracks else ""
        return (
            f"{camera}, {self.ap} AP, mean over {self.denominator} queries, ties by gallery "
            f"order{distractor}{first}{tracks}"
        )


RULES = {
    "market": Rule(),
    "no-camera": Rule(camera="keep"),
    "layumi": Rule(ap="trapezoid", denominator="all"),
}
"""Rules by name: the field's common one, the one without cameras, and that of
layumi/Person_reID_baseline_pytorch.
"""


@dataclass(frozen=True, eq=False)
class Report:
    """One method's numbers on one protocol, query by query.

    Attributes:
        method, setting: what gave the distances, and what it could see ("online" or
            "transductive").
        rule: how they were judged.
        identity: int64 [q], the queries' identities.
        ap: float64 [q] in [0, 1], NaN for a query without a positive, as `inp`.
        inp: float64 [q] in [0, 1], positives / rank of the last positive; 0 where that is not in
            the list (`Rule.listed`).
        first_rank: int64 [q], 1-based rank of the first positive, 0 without one (in the list).
        positives: int64 [q], positives left for each query.
        seconds: wall time of the method, from embeddings to the last distance; NaN where it ran
            elsewhere.
        order: int32 [q, top], the first gallery images of each query (-1 where there is none), or
            None if not asked for.
    """

    method: str
    setting: str
    rule: Rule
    identity: Int64[np.ndarray, " q"]
    ap: Float64[np.ndarray, " q"]
    inp: Float64[np.ndarray, " q"]
    first_rank: Int64[np.ndarray, " q"]
    positives: Int64[np.ndarray, " q"]
    seconds: float = 0.0
    order: Int32[np.ndarray, "q top"] | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def valid(self) -> Bool[np.ndarray, " q"]:
        """Queries that have a positive."""
        return self.positives > 0

    @property
    def queries(self) -> int:
        """How many queries were judged."""
        return int(self.valid.sum())

    @property
    def skipped(self) -> int:
        """How many queries have no positive left."""
        return len(self.identity) - self.queries

    def _mean(self, values: NDArray[np.float64]) -> float:
        total = float(values[self.valid].sum())
        return total / (self.queries if self.rule.denominator == "valid" else len(values))

    def mean_ap(self) -> float:
        """Mean average precision, in [0, 1]."""
        return self._mean(self.ap)

    def mean_inp(self) -> float:
        """Mean inverse negative penalty, in [0, 1]."""
        return self._mean(self.inp)

    def cmc(self, k: int) -> float:
        """The share of queries with a positive among the first k, in [0, 1].

        Raises:
            ValueError: k is less than 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}: ranks start at 1")
        return self._mean(((self.first_rank > 0) & (self.first_rank <= k)).astype(np.float64))

    def ranks(self, wanted: Iterable[int]) -> list[int]:
        """Those of these ranks for which there is a CMC: a list says nothing of ranks beyond its
        length.
        """
        return [k for k in wanted if self.rule.listed is None or k <= self.rule.listed]

    def interval(self, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """A bootstrap interval of the mAP: identities are drawn, with all their queries."""
        return _interval(
            np.where(self.valid, self.ap, 0), self.identity, self._counted(), level, seed
        )

    def difference(
        self, other: "Report", *, level: float = 0.95, seed: int = 0
    ) -> tuple[float, tuple[float, float]]:
        """mAP of this less that of `other` on the same queries, and its paired bootstrap interval
        over identities.

        Raises:
            ValueError: the two were not made with the same queries and the same rule.
        """
        if self.rule != other.rule or not np.array_equal(self.identity, other.identity):
            raise ValueError(
                "the two reports differ in queries or rule: evaluate both on the same files with "
                "the same --rule"
            )
        if not np.array_equal(self.valid, other.valid):
            raise ValueError(
                "the two reports differ in which queries have a positive: evaluate both against "
                "the same gallery"
            )
        apart = np.where(self.valid, self.ap - other.ap, 0)
        return self.mean_ap() - other.mean_ap(), _interval(
            apart, self.identity, self._counted(), level, seed
        )

    def summary(self) -> dict[str, Any]:
        """The numbers that go into a JSON report."""
        low, high = self.interval()
        return {
            self.rule.named("mAP"): self.mean_ap(),
            f"{self.rule.named('mAP')}_interval": [low, high],
            self.rule.named("mINP"): self.mean_inp(),
            "cmc": {str(k): self.cmc(k) for k in self.ranks((1, 5, 10))},
            "setting": self.setting,
            "queries": self.queries,
            "skipped": self.skipped,
            "seconds": None if np.isnan(self.seconds) else self.seconds,
            **self.extra,
        }

    def _counted(self) -> Bool[np.ndarray, " q"]:
        return self.valid if self.rule.denominator == "valid" else np.ones(len(self.identity), bool)


def evaluate(
    method: Reranker,
    query: Features,
    gallery: Gallery,
    query_labels: Labels,
    gallery_labels: Labels,
    *,
    rule: Rule | None = None,
    top: int = 0,
    name: str | None = None,
    tracks: Shaped[np.ndarray, " g"] | None = None,
    resources: Resources | None = None,
) -> Report:
    """RankCounter a method on labelled queries and gallery.

    Args:
        method: a re-ranker, fitted if it is one that learns.
        query: the queries, and `query_labels` theirs.
        gallery: the images to be found, and `gallery_labels` theirs.
        rule: who counts as right; the common re-ID rule if None.
        top: how many of each query's first images to keep in the report.
        name: what to call the method in the report.
        tracks: text [g], the track of each gallery image: then tracks are judged, each as near as
            its nearest image.
        resources: where and with how much.

    Raises:
        ValueError: labels and images differ in number, cameras on one side only, no query has a
            positive, a NaN distance, a track with two identities, or tracks together with lists of
            images.
    """
    if len(query) != len(query_labels) or len(gallery) != len(gallery_labels):
        raise ValueError(
            f"{len(query_labels)} labels for {len(query)} queries and {len(gallery_labels)} for "
            f"{len(gallery)} gallery images: "
            "give one each"
        )
    rule, own, groups = rule or Rule(), gallery.rows_of(query.items), None
    if rule.tracks and tracks is None:
        raise ValueError("the rule judges tracks: give the track of each gallery image")
    if tracks is not None:
        if top or rule.listed is not None:
            raise ValueError("tracks are judged by whole rankings: leave out lists of images")
        groups, rule = Tracks.of(tracks, gallery_labels), dataclasses.replace(rule, tracks=True)
        gallery_labels, own = groups.labels, groups.own(own)
    judge = RankCounter(query_labels, gallery_labels, own=own, rule=rule)
    start = time.perf_counter()
    spent = 0.0
    orders: list[Int32[np.ndarray, "b top"]] = []
    for block in method.distances(query, gallery, resources=resources or Resources()):
        spent += time.perf_counter() - start
        judge.add(block if groups is None else groups.nearest(block))
        if top:
            orders.append(first(block.distance, top))
        start = time.perf_counter()
    return judge.report(
        name or type(method).__name__,
        method.setting,
        spent,
        np.concatenate(orders) if top else None,
    )


class RankCounter:
    """Counts blocks of distances as they come.

    Args:
        query, gallery: labels of the queries and of the gallery.
        own: int64 [q], the gallery row that is the query itself, or -1.
        rule: who counts as right.

    Raises:
        ValueError: cameras on one side only, or no query has a positive (the message says why, and
            what to do).
    """

    def __init__(
        self, query: Labels, gallery: Labels, *, own: Int64[np.ndarray, " q"], rule: Rule
    ) -> None:
        self.rule, self.identity = rule, query.identity
        self._judged = judged(query, gallery, own, rule)
        if not len(self._judged.positives.column):
            raise ValueError(_nobody(query, gallery, own, rule))
        self._ranks: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, block: DistanceBlock) -> None:
        """Count a block.

        Raises:
            ValueError: a distance is NaN.
        """
        from graphreid.kernels import rank_counts as counting  # noqa: PLC0415  # the GPU path must import without numba

        if self.rule.listed is not None:
            block = listed(block, self.rule.listed)
        start, stop = block.start, block.start + len(block.distance)
        positives, starts = self._judged.positives.of(start, stop)
        ranks, bad = counting.ranks(
            block.distance,
            positives,
            starts,
            *self._judged.removed.of(start, stop),
            self._judged.junk,
        )
        if bad.any():
            raise ValueError(
                f"the distances of query {start + int(bad.argmax())} hold NaN: they can't be ranked"
            )
        if self.rule.listed is not None:
            # ranks ascend, and what is at +inf comes last: rank 0 is what the list does not have
            query = np.repeat(np.arange(stop - start), np.diff(starts))
            found = np.bincount(
                query[block.distance[query, positives] < np.inf], minlength=stop - start
            )
            ranks[np.arange(len(ranks)) - starts[query] >= found[query]] = 0
        self._ranks.append((start, ranks, starts))

    def report(
        self,
        name: str,
        setting: str,
        seconds: float,
        order: Int32[np.ndarray, "q top"] | None = None,
    ) -> Report:
        """The numbers, once every query was counted."""
        q = len(self.identity)
        ap, inp = np.full(q, np.nan), np.full(q, np.nan)
        first_rank, positives = np.zeros(q, np.int64), np.zeros(q, np.int64)
        for start, ranks, starts in self._ranks:
            count = np.diff(starts)
            rows = start + np.flatnonzero(count)
            begins, ends = starts[:-1][count > 0], starts[1:][count > 0]
            positives[start : start + len(count)] = count
            if len(rows):
                nth = np.arange(len(ranks)) - np.repeat(starts[:-1], count) + 1
                found = ranks > 0
                precision = np.divide(nth, ranks, out=np.zeros(len(ranks)), where=found)
                if self.rule.ap == "trapezoid":
                    # precision just before the positive; 1 where nothing comes before it
                    precision = (
                        found
                        * (precision + np.where(ranks > 1, (nth - 1) / np.maximum(ranks - 1, 1), 1))
                        / 2
                    )
                ap[rows] = np.add.reduceat(precision, begins) / (ends - begins)
                inp[rows] = np.where(
                    found[ends - 1], (ends - begins) / np.maximum(ranks[ends - 1], 1), 0
                )
                first_rank[rows] = ranks[begins]
        return Report(
            name, setting, self.rule, self.identity, ap, inp, first_rank, positives, seconds, order
        )


@dataclass(frozen=True, eq=False)
class Columns:
    """Gallery columns of each query: those of query i stand at start[i] .. start[i+1]."""

    column: NDArray[np.int64]
    start: NDArray[np.int64]

    def of(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of the queries start .. stop-1, and where each query's begin and end in them."""
        begins = self.start[start : stop + 1]
        return self.column[begins[0] : begins[-1]], begins - begins[0]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The gallery images that the rule says something about.

    Attributes:
        positives: each query's right ones, those that count.
        removed: each query's own image, and what the rule takes away for its camera.
        junk: int64 [j], images that count for nobody.
    """

    positives: Columns
    removed: Columns
    junk: NDArray[np.int64]


def judged(query: Labels, gallery: Labels, own: NDArray[np.int64], rule: Rule) -> Pairs:
    """For each query its positives, and the images that do not count.

    Args:
        query, gallery: labels of the queries and of the gallery.
        own: int64 [q], the gallery row that is the query itself, or -1.
        rule: who counts as right.

    Raises:
        ValueError: cameras on one side only, and the rule needs them.
    """
    if rule.camera == "remove" and (query.camera is None) != (gallery.camera is None):
        side = "queries" if query.camera is None else "gallery"
        raise ValueError(
            f"the {side} have no cameras and the other side has: give both or neither, or use "
            f"--rule no-camera"
        )
    q = len(query)
    by_identity = np.argsort(gallery.identity, kind="stable")
    ordered = gallery.identity[by_identity]
    begins = np.searchsorted(ordered, query.identity)
    count = np.searchsorted(ordered, query.identity, "right") - begins
    one_query = np.repeat(np.arange(q), count)
    column = by_identity[
        np.arange(len(one_query)) - np.repeat(np.cumsum(count) - count - begins, count)
    ]
    counts = (gallery.role[column] != JUNK) & (column != own[one_query])
    wrong = gallery.role == DISTRACTOR
    if rule.distractor is not None:
        wrong = wrong | (gallery.identity == rule.distractor)
    right = counts & ~wrong[column] & (query.role[one_query] == NORMAL)
    here = np.zeros(len(one_query), bool)
    if rule.camera == "remove" and query.camera is not None and gallery.camera is not None:
        here = gallery.camera[column] == query.camera[one_query]
    selves = np.flatnonzero((own >= 0) & (gallery.role[own] != JUNK))
    dropped = np.concatenate([one_query[counts & here], selves])
    dropped_column = np.concatenate([column[counts & here], own[selves]])
    return Pairs(
        positives=_grouped(one_query[right & ~here], column[right & ~here], q),
        removed=_grouped(dropped, dropped_column, q),
        junk=np.flatnonzero(gallery.role == JUNK),
    )


def _grouped(query: NDArray[np.int64], column: NDArray[np.int64], q: int) -> Columns:
    start = np.zeros(q + 1, np.int64)
    np.cumsum(np.bincount(query, minlength=q), out=start[1:])
    return Columns(column[np.argsort(query, kind="stable")], start)


def _nobody(query: Labels, gallery: Labels, own: NDArray[np.int64], rule: Rule) -> str:
    queries = len(query)
    if (query.role != NORMAL).all():
        return (
            f"no query can be judged: all {queries} are junk or distractors (identity -1, or "
            f"by "
            f"their role)"
        )
    anywhere = judged(query, gallery, own, dataclasses.replace(rule, camera="keep")).positives
    same_camera = int((np.diff(anywhere.start) > 0).sum())
    if same_camera:
        return (
            f"no query can be judged: {same_camera} of {queries} queries have images of their "
            f"identity in the gallery, but only "
            "from their own camera, which the rule removes; if the cameras mean nothing, use "
            "--rule no-camera"
        )
    return (
        f"no query can be judged: none of the {queries} has an image of its identity in the "
        f"gallery; check the identities"
    )


def _interval(
    values: NDArray[np.float64],
    identity: NDArray[np.int64],
    counted: NDArray[np.bool_],
    level: float,
    seed: int,
) -> tuple[float, float]:
    """Percentile bootstrap of sum(values) / number counted, drawing identities."""
    _, group = np.unique(identity[counted], return_inverse=True)
    total = np.bincount(group, values[counted])
    count = np.bincount(group).astype(np.float64)
    draws = (
        generator(seed)
        .multinomial(len(total), np.full(len(total), 1 / len(total)), RESAMPLES)
        .astype(np.float64)
    )
    means = (draws @ total) / (draws @ count)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
