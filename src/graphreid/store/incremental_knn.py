"""Neighbour lists that are kept while a gallery changes, instead of being searched anew.

A list is the beginning of what a search would give: all of its images, in its order, and then
nothing more. Where an image of
the list leaves the gallery, the list is one shorter and still such a beginning. Where an image
comes, it takes its place in every list that reaches so far. A list that has become too short is
searched anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.knn.exact import Metric, block_distances, pair_distances, search
from graphreid.resources import Resources
from graphreid.types import Neighbors

BLOCK = 1 << 22
"""Distances in a block, where it has few columns."""
MUCH = 0.5
"""Share of new images from which on a new search is no more work."""


@dataclass(frozen=True, eq=False)
class Lists:
    """The nearest others of each image, nearest first, equal distances by index.

    Attributes:
        serial: int64 [n], which image each row is, ascending.
        index: int32 [n, w], rows of the nearest; -1 beyond the end of a list.
        distance: float32 [n, w], +inf beyond the end.
        farthest: float32 [n], each image's largest distance to another.
    """

    serial: Int64[np.ndarray, " n"]
    index: Int32[np.ndarray, "n w"]
    distance: Float32[np.ndarray, "n w"]
    farthest: Float32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.serial)

    @property
    def width(self) -> int:
        """The most neighbours that a list can hold, w."""
        return int(self.index.shape[1])

    @property
    def depth(self) -> int:
        """Neighbours that every list has."""
        return int((self.index >= 0).sum(axis=1).min(initial=self.width))

    def first(self, k: int) -> Neighbors:
        """The k nearest of each; every list must have them."""
        return Neighbors(self.index[:, :k], self.distance[:, :k], self.farthest)


def built(
    serial: Int64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    width: int,
    metric: Metric,
    resources: Resources,
) -> Lists:
    """Lists by a search among all."""
    near = search(vectors, width, metric=metric, resources=resources)
    return _wide(serial, near, width)


def updated(
    lists: Lists,
    serial: Int64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    removed: Float32[np.ndarray, "r d"],
    *,
    least: int,
    metric: Metric,
    resources: Resources,
) -> Lists:
    """What `built` would give of the images that are there now, but for where long lists end.

    Args:
        lists: of an earlier set of images.
        serial: which images there are now, ascending; those that are not in `lists` are larger than
            all that are.
        vectors: theirs.
        removed: vectors of the images that are in `lists` and are not there any more.
        least: a list with fewer neighbours, where there are more images, is searched anew.
        metric: of the distances.
        resources: where and with how much.
    """
    old = int(np.isin(serial, lists.serial, assume_unique=True).sum())
    n, fresh = len(serial), len(serial) - old
    if fresh > MUCH * n or not old:
        return built(serial, vectors, lists.width, metric, resources)
    tolerance = _tolerance(vectors, metric)
    kept, again = _without(
        lists, serial[:old], vectors[:old], removed, metric, tolerance, resources
    )
    again |= (kept.index >= 0).sum(axis=1) < min(least, old - 1)
    index, distance = (
        np.full((n, lists.width), -1, np.int32),
        np.full((n, lists.width), np.inf, np.float32),
    )
    index[:old], distance[:old] = kept.index, kept.distance
    farthest = np.concatenate([kept.farthest, np.zeros(fresh, np.float32)])
    if fresh:
        _insert(index, distance, farthest, vectors, old, metric, tolerance, resources)
    rows = np.concatenate([np.flatnonzero(again), np.arange(old, n)])
    if len(rows):
        near = search(
            vectors,
            lists.width,
            queries=vectors[rows],
            own=rows,
            metric=metric,
            resources=resources,
        )
        index[rows], distance[rows], farthest[rows] = -1, np.inf, near.farthest
        index[rows, : near.k], distance[rows, : near.k] = near.index, near.distance
    return Lists(serial, index, distance, farthest)


def _wide(serial: NDArray[np.int64], near: Neighbors, width: int) -> Lists:
    """Lists of `width`, where there may be fewer images than that."""
    short = width - near.k
    index = np.pad(near.index, ((0, 0), (0, short)), constant_values=-1)
    return Lists(
        serial,
        index,
        np.pad(near.distance, ((0, 0), (0, short)), constant_values=np.inf),
        near.farthest,
    )


def _without(
    lists: Lists,
    serial: NDArray[np.int64],
    vectors: NDArray[np.float32],
    removed: NDArray[np.float32],
    metric: Metric,
    tolerance: float,
    resources: Resources,
) -> tuple[Lists, Bool[np.ndarray, " n"]]:
    """The lists of the images that stay, and which of them have lost their farthest image."""
    if not len(removed):
        return lists, np.zeros(len(lists), bool)
    stays = np.isin(lists.serial, serial, assume_unique=True)
    place = np.where(stays, np.cumsum(stays) - 1, -1).astype(np.int32)
    index, distance = lists.index[stays], lists.distance[stays]
    index = np.where(index >= 0, place[index], np.int32(-1))
    distance = np.where(index >= 0, distance, np.float32(np.inf))
    holes = np.flatnonzero(((index[:, :-1] < 0) & (index[:, 1:] >= 0)).any(axis=1))
    order = np.argsort(index[holes] < 0, axis=1, kind="stable")
    index[holes] = np.take_along_axis(index[holes], order, 1)
    distance[holes] = np.take_along_axis(distance[holes], order, 1)
    farthest = lists.farthest[stays]
    lost = np.zeros(len(index), bool)
    for part in _parts(len(index), len(removed), resources):
        apart = _comparable(block_distances(vectors[part], removed, metric, resources), metric)
        lost[part] = (apart >= _comparable(farthest[part], metric)[:, None] - tolerance).any(axis=1)
    return Lists(serial, index, distance, farthest), lost


def _insert(
    index: NDArray[np.int32],
    distance: NDArray[np.float32],
    farthest: NDArray[np.float32],
    vectors: NDArray[np.float32],
    old: int,
    metric: Metric,
    tolerance: float,
    resources: Resources,
) -> None:
    """Put the images from row `old` on where they belong in the lists of the rows before; in
    place.
    """
    count = (index[:old] >= 0).sum(axis=1)
    last = distance[np.arange(old), np.maximum(count - 1, 0)]
    # a list of all others takes any image, and another none beyond its end: some that it does not
    # hold may be nearer
    whole = (count == old - 1) & (count < index.shape[1])
    limit = np.where(whole, np.float32(np.inf), np.where(count > 0, last, np.float32(-1)))
    for part in _parts(old, len(vectors) - old, resources):
        apart = _comparable(
            block_distances(vectors[part], vectors[old:], metric, resources), metric
        )
        near = apart <= _comparable(limit[part], metric)[:, None] + tolerance
        near |= apart >= _comparable(farthest[part], metric)[:, None] - tolerance
        row, column = (each.astype(np.int32) for each in np.nonzero(near))
        row, column = row + part.start, column + old
        exact = pair_distances(vectors, row, vectors, column, metric, resources)
        np.maximum.at(farthest, row, exact)
        # an equal distance goes behind the list's last: its index is larger
        inside = exact < limit[row]
        _merge(index, distance, row[inside], column[inside], exact[inside])


def _merge(
    index: NDArray[np.int32],
    distance: NDArray[np.float32],
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    value: NDArray[np.float32],
) -> None:
    """Put `column` at distance `value` into the list of `row` (ascending); what then is too much
    falls off its end.
    """
    rows, start, many = np.unique(row, return_index=True, return_counts=True)
    if not len(rows):
        return
    nth = np.arange(len(row)) - np.repeat(start, many)
    place = np.repeat(np.arange(len(rows)), many)
    more = np.full((len(rows), int(many.max())), -1, np.int32)
    beyond = np.full(more.shape, np.inf, np.float32)
    more[place, nth], beyond[place, nth] = column, value
    every, apart = (
        np.concatenate([index[rows], more], axis=1),
        np.concatenate([distance[rows], beyond], axis=1),
    )
    # the empty places, at +inf, go last
    order = np.lexsort((np.where(every < 0, np.iinfo(np.int32).max, every), apart), axis=1)[
        :, : index.shape[1]
    ]
    index[rows], distance[rows] = (
        np.take_along_axis(every, order, 1),
        np.take_along_axis(apart, order, 1),
    )


def _parts(rows: int, columns: int, resources: Resources) -> Iterator[slice]:
    # few columns make large blocks: what is done for a block has a price of its own
    step = resources.rows(
        columns * 16, most=max(2048, BLOCK // columns), what="distances to new or removed images"
    )
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _comparable(distance: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """Distances as a product gives them with an error that does not depend on their size."""
    return distance * distance if metric == "euclidean" else distance


def _tolerance(vectors: NDArray[np.float32], metric: Metric) -> float:
    """How far a product may be from the true value (as in `neighbors`), with room."""
    longest = (
        float(np.einsum("nd,nd->n", vectors, vectors).max(initial=0))
        if metric == "euclidean"
        else 1.0
    )
    return 4 * (vectors.shape[1] * 2.0**-24 * longest * 1.01 + 1e-7 * max(longest, 1.0))
