"""Search of a gallery on disk: the first images of each query, and whether the query is known."""

import json
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from graphreid.methods.chain import Chain
from graphreid.options import with_options
from graphreid.protocols import ONLINE, Reranker
from graphreid.ranking import rank
from graphreid.resources import Resources
from graphreid.store.persistent_gallery import Snapshot
from graphreid.store.thresholds import Threshold
from graphreid.types import Features, Ranking


@dataclass(frozen=True)
class Match:
    """A gallery image in a query's result.

    Attributes:
        item: its id.
        distance: the method's distance; smaller is closer.
        probability: that it shows the query's identity, in [0, 1]; None where the method predicts
            no links.
        score: what a threshold is compared with, 1 - probability or the distance.
        within_threshold: whether the score is at most the threshold; None without a threshold.
        identity, camera, path: as they were given, None where they were not.
        extra: whatever else was given.
    """

    item: str
    distance: float
    probability: float | None
    score: float
    within_threshold: bool | None
    identity: str | None
    camera: str | None
    path: str | None
    extra: dict[str, Any]


@dataclass(frozen=True)
class SearchResult:
    """The result of one query.

    Attributes:
        query: its item.
        version: of the gallery that was searched.
        images: how many images were searched.
        matches: nearest first.
        unknown: whether the first image is beyond the threshold, so that the query is taken to show
            an identity that is not in the gallery; None without a threshold.
    """

    query: str
    version: int
    images: int
    matches: tuple[Match, ...]
    unknown: bool | None


def online_method(method: Reranker, text: str) -> Reranker:
    """The method in its online setting: a gallery on disk answers each query by itself.

    Raises:
        ValueError: the method, which `text` names, has none.
    """
    if isinstance(method, Chain):
        first, second = online_method(method.first, text), online_method(method.second, text)
        return cast("Reranker", Chain(first, second))
    if method.setting == ONLINE:
        return method
    if ONLINE not in method.settings:
        raise ValueError(
            f"method {text!r} has no online setting, and a gallery answers queries one at a time: "
            f"choose another"
        )
    return with_options(method, setting=ONLINE)


def search(
    snapshot: Snapshot,
    method: Reranker,
    query: Features,
    *,
    top: int = 10,
    threshold: Threshold | None = None,
    resources: Resources | None = None,
) -> list[SearchResult]:
    """Search a gallery, a result for each query.

    Args:
        snapshot: the gallery as it is now.
        method: in its online setting (`online_method`).
        query: the queries; one that is in the gallery by its item does not find itself.
        top: images of each result, at most.
        threshold: of this method.
        resources: where and with how much.

    Raises:
        ValueError: an empty gallery, vectors of another width, or top less than 1.
    """
    ranking = rank(
        method.distances(query, snapshot.searchable(), resources=resources or Resources()), top
    )
    return search_results(snapshot, query, ranking, threshold)


def search_results(
    snapshot: Snapshot, query: Features, ranking: Ranking, threshold: Threshold | None
) -> list[SearchResult]:
    """The results of a ranking of a gallery's images.

    Args:
        snapshot: the gallery.
        query: the queries.
        ranking: of the gallery's images for each query.
        threshold: of the method.
    """
    results: list[SearchResult] = []
    for row, item in enumerate(query.items.tolist()):
        found = np.flatnonzero(ranking.order[row] >= 0).tolist()
        matches = tuple(_match(snapshot, ranking, row, place, threshold) for place in found)
        unknown = None
        if threshold is not None:
            unknown = not (matches and matches[0].within_threshold)
        results.append(SearchResult(item, snapshot.version, len(snapshot), matches, unknown))
    return results


def _match(
    snapshot: Snapshot, ranking: Ranking, query: int, place: int, threshold: Threshold | None
) -> Match:
    """The image at a place of a query's ranking."""
    row = int(ranking.order[query, place])
    distance = float(ranking.distance[query, place])
    probability = None
    score = distance
    if ranking.probability is not None:
        # in float32, as in metrics.open_set: a threshold is the edge between two such numbers
        score = float(np.float32(1) - ranking.probability[query, place])
        probability = float(ranking.probability[query, place])
    texts = {name: column[row] for name, column in snapshot.texts.items()}
    return Match(
        item=str(snapshot.searchable().features.items[row]),
        distance=distance,
        probability=probability,
        score=score,
        within_threshold=None if threshold is None else score <= threshold.threshold,
        identity=texts["identity"],
        camera=texts["camera"],
        path=texts["path"],
        extra=json.loads(texts["extra"] or "{}"),
    )
