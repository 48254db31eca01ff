"""Answers to queries, one at a time: the first images, how sure, and whether the query is in the
gallery at all.
"""

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
    """A gallery image in an answer.

    Attributes:
        item: its id.
        distance: the method's, smaller is closer.
        probability: that it shows the query's identity, in [0, 1]; None where the method gives
            none.
        score: what thresholds are set on: 1 - probability, or the distance.
        passes: whether its score is within the threshold; None where there is none.
        identity, camera, path: as they were given, None where they were not.
        extra: whatever else was given.
    """

    item: str
    distance: float
    probability: float | None
    score: float
    passes: bool | None
    identity: str | None
    camera: str | None
    path: str | None
    extra: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a gallery says of a query.

    Attributes:
        query: its item.
        version: of the table that was searched.
        images: how many were searched.
        matches: nearest first.
        unknown: whether the first image's score is beyond the threshold, so that the query is taken
            to be in the gallery with no image; None where there is no threshold.
    """

    query: str
    version: int
    images: int
    matches: tuple[Match, ...]
    unknown: bool | None


def online(method: Reranker, text: str) -> Reranker:
    """The method in its online setting: a gallery that lives answers each query by itself.

    Raises:
        ValueError: it has none.
    """
    if isinstance(method, Chain):
        return cast("Reranker", Chain(online(method.first, text), online(method.second, text)))
    if method.setting == ONLINE:
        return method
    if ONLINE not in method.settings:
        raise ValueError(
            f"method {text!r} has no online setting, and a gallery answers queries one at a time: "
            f"choose another"
        )
    return with_options(method, setting=ONLINE)


def respond(
    snapshot: Snapshot,
    method: Reranker,
    query: Features,
    *,
    top: int = 10,
    threshold: Threshold | None = None,
    resources: Resources | None = None,
) -> list[Answer]:
    """What the gallery says of each query.

    Args:
        snapshot: the gallery as it is now.
        method: in its online setting (`online`).
        query: the queries; one that is in the gallery by its item does not find itself.
        top: images of each to give, at most.
        threshold: of this method.
        resources: where and with how much.

    Raises:
        ValueError: an empty gallery, vectors of another width, or top less than 1.
    """
    ranking = rank(
        method.distances(query, snapshot.searchable(), resources=resources or Resources()), top
    )
    return told(snapshot, query, ranking, threshold)


def told(
    snapshot: Snapshot, query: Features, ranking: Ranking, threshold: Threshold | None
) -> list[Answer]:
    """A ranking of the gallery's images, with what is known of them and whether they pass."""
    answers: list[Answer] = []
    for one_query, item in enumerate(query.items.tolist()):
        matches: list[Match] = []
        for place in np.flatnonzero(ranking.order[one_query] >= 0).tolist():
            distance = float(ranking.distance[one_query, place])
            probability = (
                None
                if ranking.probability is None
                else float(ranking.probability[one_query, place])
            )
            # as openset has it, in float32: a threshold is the edge between two of its numbers
            score = (
                distance if probability is None else float(np.float32(1) - np.float32(probability))
            )
            passes = None if threshold is None else score <= threshold.threshold
            matches.append(
                _match(
                    snapshot,
                    int(ranking.order[one_query, place]),
                    distance,
                    probability,
                    score,
                    passes,
                )
            )
        unknown = None if threshold is None else not (matches and matches[0].passes)
        answers.append(Answer(item, snapshot.version, len(snapshot), tuple(matches), unknown))
    return answers


def _match(
    snapshot: Snapshot,
    row: int,
    distance: float,
    probability: float | None,
    score: float,
    passes: bool | None,
) -> Match:
    texts = {name: column[row] for name, column in snapshot.texts.items()}
    return Match(
        item=str(snapshot.searchable().features.items[row]),
        distance=distance,
        probability=probability,
        score=score,
        passes=passes,
        identity=texts["identity"],
        camera=texts["camera"],
        path=texts["path"],
        extra=json.loads(texts["extra"] or "{}"),
    )
