"""Open-set numbers from full lists of pairs, one pair after another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from graphreid.metrics.protocol import Protocol
from graphreid.types import Labels

Ints = NDArray[np.int64]
Reals = NDArray[np.float32]
Scores = NDArray[np.float64]
Search = tuple[float, bool, float, bool]


def mark(
    query: Labels, gallery: Labels, own: Ints, protocol: Protocol, one_query: int, image: int
) -> int | None:
    """1 right, 0 wrong, None where the pair does not count."""
    if gallery.role[image] == 1 or own[one_query] == image:
        return None
    same = query.identity[one_query] == gallery.identity[image]
    cameras = (
        None
        if query.camera is None or gallery.camera is None
        else (query.camera[one_query], gallery.camera[image])
    )
    if protocol.camera == "remove" and same and cameras is not None and cameras[0] == cameras[1]:
        return None
    distracts = gallery.role[image] == 2 or (
        protocol.distractor is not None and gallery.identity[image] == protocol.distractor
    )
    return int(same and not distracts and query.role[one_query] == 0)


def pairs(
    score: Reals, query: Labels, gallery: Labels, own: Ints, protocol: Protocol
) -> tuple[Scores, Scores]:
    """Scores of right and of wrong pairs; queries that are junk have none."""
    found: dict[int, list[float]] = {1: [], 0: []}
    for one_query in range(len(query)):
        if query.role[one_query] == 1:
            continue
        for image in range(len(gallery)):
            marks = mark(query, gallery, own, protocol, one_query, image)
            if marks is not None:
                found[marks].append(float(score[one_query, image]))
    return np.array(found[1]), np.array(found[0])


def rates(right: Scores, wrong: Scores, threshold: float) -> tuple[float, float]:
    """FMR and 1 - FNMR at a threshold."""
    return float(np.mean(wrong <= threshold)), float(np.mean(right <= threshold))


def unknown(query: Labels, gallery: Labels, own: Ints, protocol: Protocol, one_query: int) -> bool:
    """Whether no image of the query's identity is in the gallery, whatever the camera."""
    if query.role[one_query] == 1:
        return False
    for image in range(len(gallery)):
        distracts = gallery.role[image] != 0 or (
            protocol.distractor is not None and gallery.identity[image] == protocol.distractor
        )
        same = query.identity[one_query] == gallery.identity[image]
        if same and not distracts and own[one_query] != image and query.role[one_query] == 0:
            return False
    return True


def searches(
    distance: Reals, score: Reals, query: Labels, gallery: Labels, own: Ints, protocol: Protocol
) -> list[Search]:
    """For each query: (score of its first image, is it right, score of its first wrong image, has
    it a right one).
    """
    out: list[Search] = []
    for one_query in range(len(query)):
        if query.role[one_query] == 1:
            out.append((np.inf, False, np.inf, False))
            continue
        marks = [
            mark(query, gallery, own, protocol, one_query, image) for image in range(len(gallery))
        ]
        order = [
            image
            for image in np.argsort(distance[one_query], kind="stable")
            if marks[image] is not None
        ]
        wrong = [image for image in order if marks[image] == 0]
        out.append(
            (
                float(score[one_query, order[0]]) if order else np.inf,
                bool(order) and marks[order[0]] == 1,
                float(score[one_query, wrong[0]]) if wrong else np.inf,
                1 in marks,
            )
        )
    return out


def identification(
    results: list[Search], unknowns: list[float], threshold: float
) -> tuple[float, float]:
    """FPIR and DIR at a threshold; `unknowns` are the scores of the first image that an unknown
    query meets.
    """
    known = [entry for entry in results if entry[3]]
    return (
        sum(s <= threshold for s in unknowns) / len(unknowns),
        sum(first <= threshold and right for first, right, _, _ in known) / len(known),
    )


def calibration(
    probability: Sequence[float], right: Sequence[int], bins: int = 15
) -> tuple[float, float]:
    """Expected calibration error and Brier score of pairs."""
    error = 0.0
    for b in range(bins):
        inside = [i for i, p in enumerate(probability) if b / bins < p <= (b + 1) / bins]
        if inside:
            gap = np.mean([right[i] for i in inside]) - np.mean([probability[i] for i in inside])
            error += float(abs(gap)) * len(inside) / len(probability)
    return error, float(np.mean([(p - y) ** 2 for p, y in zip(probability, right, strict=True)]))
