"""An exact kNN index of a gallery that is updated when images are added or removed.

Every image has a list of its nearest others, which is always the beginning of what a full search
gives. When an image is removed, it leaves the lists that hold it. When one is added, it is inserted
into the lists that reach as far as its distance. Only a list that has become too short is searched
anew. The result equals that of a full search, to the last bit.
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
REBUILD_SHARE = 0.5
"""Share of new images from which on a full search is no more work than an update."""


@dataclass(frozen=True, eq=False)
class KNNIndex:
    """The nearest others of each image, nearest first; equal distances go by row.

    Attributes:
        serial: int64 [n], serial numbers of the images, ascending.
        index: int32 [n, w], rows of the nearest others; -1 beyond the end of a list.
        distance: float32 [n, w], +inf beyond the end of a list.
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
        """Neighbours that a list can hold, w."""
        return int(self.index.shape[1])

    @property
    def shortest(self) -> int:
        """Neighbours in the shortest list."""
        return int((self.index >= 0).sum(axis=1).min(initial=self.width))

    def first(self, k: int) -> Neighbors:
        """The k nearest of each image; no list may be shorter."""
        return Neighbors(self.index[:, :k], self.distance[:, :k], self.farthest)


def build_index(
    serial: Int64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    width: int,
    metric: Metric,
    resources: Resources,
) -> KNNIndex:
    """An index by a full search.

    Args:
        serial: serial numbers, ascending.
        vectors: of the images; of unit length for "cosine".
        width: neighbours of each image; fewer where there are fewer others.
        metric: of the distances.
        resources: where and with how much.
    """
    found = search(vectors, width, metric=metric, resources=resources)
    index, distance = _empty_lists(len(serial), width)
    index[:, : found.k] = found.index
    distance[:, : found.k] = found.distance
    return KNNIndex(serial, index, distance, found.farthest)


def update_index(
    before: KNNIndex,
    serial: Int64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    removed: Float32[np.ndarray, "r d"],
    *,
    min_length: int,
    metric: Metric,
    resources: Resources,
) -> KNNIndex:
    """The index of the images that there are now: that of `build_index`, with lists that may be
    shorter.

    Args:
        before: of an earlier set of images.
        serial: serial numbers of the images now, ascending; new ones are larger than all old ones.
        vectors: of the images now.
        removed: vectors of the images that are in `before` and not there any more.
        min_length: a shorter list is searched anew, if there are more images than it has.
        metric: of the distances.
        resources: where and with how much.
    """
    n = len(serial)
    old = int(np.isin(serial, before.serial, assume_unique=True).sum())
    if n - old > REBUILD_SHARE * n or not old:
        return build_index(serial, vectors, before.width, metric, resources)
    tolerance = _tolerance(vectors, metric)
    kept, search_anew = _remove(
        before, serial[:old], vectors[:old], removed, metric, tolerance, resources
    )
    search_anew |= (kept.index >= 0).sum(axis=1) < min(min_length, old - 1)
    index, distance = _empty_lists(n, before.width)
    index[:old] = kept.index
    distance[:old] = kept.distance
    farthest = np.concatenate([kept.farthest, np.zeros(n - old, np.float32)])
    if n > old:
        _insert(index, distance, farthest, vectors, old, metric, tolerance, resources)
    rows = np.concatenate([np.flatnonzero(search_anew), np.arange(old, n)])
    if len(rows):
        found = search(
            vectors,
            before.width,
            queries=vectors[rows],
            own=rows,
            metric=metric,
            resources=resources,
        )
        index[rows] = -1
        index[rows, : found.k] = found.index
        distance[rows] = np.inf
        distance[rows, : found.k] = found.distance
        farthest[rows] = found.farthest
    return KNNIndex(serial, index, distance, farthest)


def _empty_lists(n: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    return np.full((n, width), -1, np.int32), np.full((n, width), np.inf, np.float32)


def _remove(
    before: KNNIndex,
    serial: NDArray[np.int64],
    vectors: NDArray[np.float32],
    removed: NDArray[np.float32],
    metric: Metric,
    tolerance: float,
    resources: Resources,
) -> tuple[KNNIndex, Bool[np.ndarray, " n"]]:
    """The index of the images that stay, and which of them may have lost their farthest image."""
    if not len(removed):
        return before, np.zeros(len(before), bool)
    stays = np.isin(before.serial, serial, assume_unique=True)
    new_row = np.where(stays, np.cumsum(stays) - 1, -1).astype(np.int32)
    index = before.index[stays]
    index = np.where(index >= 0, new_row[index], np.int32(-1))
    distance = np.where(index >= 0, before.distance[stays], np.float32(np.inf))
    # close the gaps that removed images leave in the middle of a list
    gaps = np.flatnonzero(((index[:, :-1] < 0) & (index[:, 1:] >= 0)).any(axis=1))
    order = np.argsort(index[gaps] < 0, axis=1, kind="stable")
    index[gaps] = np.take_along_axis(index[gaps], order, 1)
    distance[gaps] = np.take_along_axis(distance[gaps], order, 1)
    farthest = before.farthest[stays]
    lost = np.zeros(len(index), bool)
    for block in _row_blocks(len(index), len(removed), resources):
        to_removed = _comparable(
            block_distances(vectors[block], removed, metric, resources), metric
        )
        limit = _comparable(farthest[block], metric)[:, None] - tolerance
        lost[block] = (to_removed >= limit).any(axis=1)
    return KNNIndex(serial, index, distance, farthest), lost


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
    """Insert the images from row `old` on into the lists of the rows before; in place."""
    length = (index[:old] >= 0).sum(axis=1)
    last = distance[np.arange(old), np.maximum(length - 1, 0)]
    # A list of all others takes any image. Another takes none beyond its end: images that it does
    # not hold may be nearer.
    holds_all = (length == old - 1) & (length < index.shape[1])
    limit = np.where(holds_all, np.float32(np.inf), np.where(length > 0, last, np.float32(-1)))
    for block in _row_blocks(old, len(vectors) - old, resources):
        to_new = _comparable(
            block_distances(vectors[block], vectors[old:], metric, resources), metric
        )
        candidate = to_new <= _comparable(limit[block], metric)[:, None] + tolerance
        candidate |= to_new >= _comparable(farthest[block], metric)[:, None] - tolerance
        row, column = (each.astype(np.int32) for each in np.nonzero(candidate))
        row += block.start
        column += old
        exact = pair_distances(vectors, row, vectors, column, metric, resources)
        np.maximum.at(farthest, row, exact)
        # an equal distance goes behind the list's last image: its row is larger
        inside = exact < limit[row]
        _merge(index, distance, row[inside], column[inside], exact[inside])


def _merge(
    index: NDArray[np.int32],
    distance: NDArray[np.float32],
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    value: NDArray[np.float32],
) -> None:
    """Put image `column` at distance `value` into the list of `row` (ascending); what is too much
    falls off the list's end. In place.
    """
    rows, start, count = np.unique(row, return_index=True, return_counts=True)
    if not len(rows):
        return
    list_of = np.repeat(np.arange(len(rows)), count)
    nth = np.arange(len(row)) - np.repeat(start, count)
    new_index, new_distance = _empty_lists(len(rows), int(count.max()))
    new_index[list_of, nth] = column
    new_distance[list_of, nth] = value
    all_index = np.concatenate([index[rows], new_index], axis=1)
    all_distance = np.concatenate([distance[rows], new_distance], axis=1)
    # empty places, at +inf, go last
    by_row = np.where(all_index < 0, np.iinfo(np.int32).max, all_index)
    order = np.lexsort((by_row, all_distance), axis=1)[:, : index.shape[1]]
    index[rows] = np.take_along_axis(all_index, order, 1)
    distance[rows] = np.take_along_axis(all_distance, order, 1)


def _row_blocks(rows: int, columns: int, resources: Resources) -> Iterator[slice]:
    # few columns make large blocks: each block has a fixed cost
    step = resources.rows(
        columns * 16, most=max(2048, BLOCK // columns), what="distances to new or removed images"
    )
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _comparable(distance: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """Distances on the scale on which a matrix product's error does not depend on their size."""
    return distance * distance if metric == "euclidean" else distance


def _tolerance(vectors: NDArray[np.float32], metric: Metric) -> float:
    """How far a matrix product may be from the true value (as in `knn.exact`), with a margin."""
    longest = 1.0
    if metric == "euclidean":
        longest = float(np.einsum("nd,nd->n", vectors, vectors).max(initial=0))
    return 4 * (vectors.shape[1] * 2.0**-24 * longest * 1.01 + 1e-7 * max(longest, 1.0))
