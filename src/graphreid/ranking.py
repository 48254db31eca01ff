"""`rank`, the one place that sorts a gallery."""

from collections.abc import Iterable
from typing import cast

import numpy as np
from jaxtyping import Float32, Int32

from graphreid.arrays import Array, ArrowArray, ArrowStream, DLPack, to_numpy
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


def cut_to_top(block: DistanceBlock, top: int) -> DistanceBlock:
    """The block with all but each query's first `top` images at +inf."""
    kept = np.full_like(block.distance, np.inf)
    for start in range(0, len(kept), _ROWS):
        rows = slice(start, start + _ROWS)
        order = first(block.distance[rows], top)
        row, place = np.nonzero(order >= 0)
        column = order[row, place]
        kept[rows][row, column] = block.distance[rows][row, column]
    return DistanceBlock(block.start, kept, block.probability)


class TopLists:
    """Gathers the first gallery images of every query from blocks of distances.

    Args:
        top: how many; cut to the gallery's size.

    Raises:
        ValueError: top is less than 1.
    """

    def __init__(self, top: int) -> None:
        if top < 1:
            raise ValueError(f"top is {top}: ask for at least one image")
        self._top = top
        self._orders: list[Int32[np.ndarray, "b top"]] = []
        self._distances: list[Float32[np.ndarray, "b top"]] = []
        self._probabilities: list[Float32[np.ndarray, "b top"]] = []

    def add(self, block: DistanceBlock) -> None:
        """Sort out the first images of a block's queries."""
        for start in range(0, len(block.distance), _ROWS):
            rows = slice(start, start + _ROWS)
            distance = block.distance[rows]
            order = first(distance, self._top)
            self._orders.append(order)
            self._distances.append(
                np.where(order < 0, np.float32(np.inf), np.take_along_axis(distance, order, 1))
            )
            if block.probability is not None:
                given = np.take_along_axis(block.probability[rows], order, 1)
                self._probabilities.append(np.where(order < 0, np.float32(0), given))

    def result(self) -> Ranking:
        """The first images, once every query was there."""
        return Ranking(
            np.concatenate(self._orders),
            np.concatenate(self._distances),
            np.concatenate(self._probabilities) if self._probabilities else None,
        )


def rank(blocks: Iterable[DistanceBlock] | Array, top: int) -> Ranking:
    """The first `top` gallery images of every query.

    Args:
        blocks: what `Reranker.distances` gives; or all distances [q, g], an array or table of any
            library that `arrays.to_numpy` reads.
        top: how many; cut to the gallery's size.

    Raises:
        ValueError: top is less than 1, or an array that holds no distances.
    """
    lists = TopLists(top)
    if isinstance(blocks, ArrowStream | ArrowArray | DLPack) or hasattr(blocks, "__array__"):
        blocks = [_whole(cast("Array", blocks))]
    for block in cast("Iterable[DistanceBlock]", blocks):
        lists.add(block)
    return lists.result()


def _whole(given: Array) -> DistanceBlock:
    distance = to_numpy(given, "distances")
    if distance.ndim != 2 or distance.dtype.kind not in "fiu":
        raise ValueError(
            f"distances must be numbers, [queries, gallery], not {distance.dtype} of shape "
            f"{distance.shape}"
        )
    if np.isnan(distance).any():
        row = int(np.isnan(distance).any(axis=1).argmax())
        raise ValueError(f"distances has NaN in row {row}: mend it, or drop that query")
    return DistanceBlock(0, distance.astype(np.float32))
