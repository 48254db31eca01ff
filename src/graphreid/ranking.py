"""`rank`, the one place that sorts a gallery."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32, Int32

from graphreid.types import DistanceBlock, Ranking

_ROWS = 64
"""Queries that are sorted in one go, where all of a block need not be: sorting takes three times
the room of the distances.
"""


def first(distance: Float32[np.ndarray, "b g"], top: int) -> Int32[np.ndarray, "b top"]:
    """Columns of the `top` smallest of each row, ascending, equal distances by column; -1 where
    +inf.

    Args:
        distance: float32 [b, g].
        top: how many; cut to g.
    """
    top = min(top, distance.shape[1])
    if top == distance.shape[1]:
        order = np.argsort(distance, axis=1, kind="stable").astype(np.int32)
    else:
        order = np.argpartition(distance, top, axis=1)[:, :top].astype(np.int32)
        last = np.take_along_axis(distance, order, 1).max(axis=1, initial=-np.inf)
        # equal distances at the cut: which of them argpartition took is chance
        for row in np.flatnonzero((distance <= last[:, None]).sum(axis=1) > top):
            tied = np.flatnonzero(distance[row] <= last[row])
            order[row] = tied[np.lexsort((tied, distance[row, tied]))][:top]
        by_distance = np.lexsort((order, np.take_along_axis(distance, order, 1)), axis=1)
        order = np.take_along_axis(order, by_distance, 1)
    order[np.isposinf(np.take_along_axis(distance, order, 1))] = -1
    return order


def listed(block: DistanceBlock, top: int) -> DistanceBlock:
    """The block as a list of `top` images a query tells it: all others are at +inf."""
    kept = np.full_like(block.distance, np.inf)
    for start in range(0, len(kept), _ROWS):
        rows = slice(start, start + _ROWS)
        order = first(block.distance[rows], top)
        row, place = np.nonzero(order >= 0)
        column = order[row, place]
        kept[rows][row, column] = block.distance[rows][row, column]
    return DistanceBlock(block.start, kept, block.probability)


def rank(blocks: Iterable[DistanceBlock], top: int) -> Ranking:
    """The first `top` gallery images of every query.

    Args:
        blocks: what `Reranker.distances` gives.
        top: how many; cut to the gallery's size.

    Raises:
        ValueError: top is less than 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}: ask for at least one image")
    orders: list[Int32[np.ndarray, "b top"]] = []
    distances: list[Float32[np.ndarray, "b top"]] = []
    probabilities: list[Float32[np.ndarray, "b top"]] = []
    for block in blocks:
        order = first(block.distance, top)
        orders.append(order)
        distances.append(
            np.where(order < 0, np.float32(np.inf), np.take_along_axis(block.distance, order, 1))
        )
        if block.probability is not None:
            probabilities.append(
                np.where(order < 0, np.float32(0), np.take_along_axis(block.probability, order, 1))
            )
    return Ranking(
        np.concatenate(orders),
        np.concatenate(distances),
        np.concatenate(probabilities) if probabilities else None,
    )
