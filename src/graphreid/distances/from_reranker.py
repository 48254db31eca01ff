"""Another method's distances, as what the next one starts from: `B` in `A+B` where A gives
distances. Its size is bounded.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.distances.listed import by_pairs
from graphreid.gallery import Gallery, RetrievalSet, Side
from graphreid.graphs import csr as rows
from graphreid.protocols import Corrections, GivesScores, Reranker, fingerprint
from graphreid.ranking import first
from graphreid.resources import Resources
from graphreid.types import Features, Neighbors

T = TypeVar("T")
KEEP = 128
"""Images of every list that keep the distance that A gave them, if B does not ask for more."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """The nearest images of some anchors by the first method's distances, and how to find one of
    them.

    Attributes:
        near: neighbours of [m, k].
        keys: int64 [m k], ascending: anchor times `width` plus image. `distance` float32 [m k] goes
            with it.
        width: images there are.
    """

    near: Neighbors
    keys: NDArray[np.int64]
    distance: NDArray[np.float32]
    width: int

    @staticmethod
    def of(near: Neighbors, width: int) -> "_Kept":
        order = np.argsort(near.index, axis=1)
        image = np.take_along_axis(near.index, order, 1).astype(np.int64)
        keys = image + width * np.arange(len(image))[:, None]
        return _Kept(
            near, keys.reshape(-1), np.take_along_axis(near.distance, order, 1).reshape(-1), width
        )

    def look_up(
        self, anchors: Int32[np.ndarray, " e"], others: Int32[np.ndarray, " e"]
    ) -> tuple[Float32[np.ndarray, " e"], Bool[np.ndarray, " e"]]:
        """Distances of listed pairs, 0 where none was kept, and where one was."""
        wanted = anchors.astype(np.int64) * self.width + others
        if not len(self.keys):
            return np.zeros(len(wanted), np.float32), np.zeros(len(wanted), bool)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        there = self.keys[place] == wanted
        return np.where(there, self.distance[place], np.float32(0)), there

    @property
    def last(self) -> Float32[np.ndarray, " m"]:
        """The last distance that was kept for each anchor; the method put all others behind it."""
        if not self.near.k:
            return np.zeros(len(self.near.index), np.float32)
        return self.near.distance[:, -1]


class RerankedDistances:
    """Another method's distances: what it gave the nearest images, and base distance + its offset
    beyond. A `DistanceSource`.

    Distances are moved up by the method's smallest, so that none is below 0; those of an image to
    itself are 0; beyond the images kept none is below the last of these. `Neighbors.farthest` is by
    the method's own distances.

    Args:
        method: it gives scores: its distances have an `unscored_offset` and a `min_distance`.
        query, gallery: as for `Reranker.distances`.
        resources: where and with how much memory.

    Attributes:
        base: the queries and the gallery.
        unscored_offset: what is added to a base distance beyond the images kept.
    """

    def __init__(
        self, method: Reranker, query: Features, gallery: Gallery, *, resources: Resources
    ) -> None:
        if not isinstance(method, GivesScores):
            raise ValueError(
                f"{type(method).__name__} has no unscored_offset: no method can start from its "
                f"distances"
            )
        self.base = RetrievalSet(query, gallery, resources=resources)
        self.method: Reranker = method
        self.unscored_offset = float(method.unscored_offset - method.min_distance)
        self._min_distance = np.float32(method.min_distance)
        self._kind = fingerprint(method)
        self._query = query
        self._union: _Kept | None = None
        self._of_query: _Kept | None = None
        self._keep = KEEP

    def neighbors(self, k: int, *, side: Side) -> Neighbors:
        """The k nearest others of each node ("union"), query ("query") or gallery image
        ("gallery").
        """
        return self._kept(side, k).near.first(k)

    def block(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the queries start .. stop-1 to the whole gallery."""
        side, anchors = self._anchors(np.arange(start, stop))
        kept = self._kept(side, 0)
        distance = self.base.block(start, stop)
        distance += np.float32(self.unscored_offset)
        np.maximum(distance, kept.last[anchors, None], out=distance)
        index = kept.near.index[anchors]
        row, place = np.nonzero((index >= 0) & (index < self.base.gallery_count))
        distance[row, index[row, place]] = kept.near.distance[anchors][row, place]
        return distance

    def candidates(
        self, queries: Int64[np.ndarray, " b"], index: Int32[np.ndarray, "b r"]
    ) -> Float32[np.ndarray, "b r"]:
        """Distances of listed queries to the gallery images in their lists (+inf where -1)."""
        side, anchors = self._anchors(queries)
        return by_pairs(self, anchors, index, side=side)

    def pairs(
        self, left: Int32[np.ndarray, " e"], right: Int32[np.ndarray, " e"], *, side: Side
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs: 0 to itself, what was kept, or base distance + offset but no
        less than the last kept.
        """
        kept = self._kept(side, 0)
        out, there = kept.look_up(left, right)
        same = (self.base.own[left] if side == "query" else left) == right
        missing = np.flatnonzero(~there & ~same)
        some = left[missing]
        base = self.base.pairs(some, right[missing], side=side)
        out[missing] = np.maximum(base + np.float32(self.unscored_offset), kept.last[some])
        return out

    def among(self, rows: Int32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b k k"]:
        """Distances between the gallery images of each list."""
        b, k = rows.shape
        base = self.base.among(rows).reshape(-1)
        one, other = np.repeat(rows, k, axis=1).reshape(-1), np.tile(rows, (1, k)).reshape(-1)
        lists = self._kept("gallery", 0)
        kept, there = lists.look_up(one, other)
        base = np.maximum(base + np.float32(self.unscored_offset), lists.last[one])
        return np.where(there, kept, np.where(one == other, np.float32(0), base)).reshape(b, k, k)

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a value of the gallery's side alone, kept with the gallery under `key` and the
        method.
        """
        return self.base.derived((self._kind, key), make)

    def corrections(self, *, online: bool) -> Corrections:
        """What the method changed in the distances of `base`, beside adding its offset.

        Here a distance beyond the images kept is base distance + offset alone.
        """
        images = self.base.gallery_count
        if not online:
            nodes = np.arange(len(self.base), dtype=np.int32)
            entries = self._entries("union", nodes)
            return Corrections(entries, self.base.nodes, self.unscored_offset)
        near = self._kept("gallery", 0).near

        def of_gallery() -> rows.Matrix:
            return self._entries("gallery", np.arange(images, dtype=np.int32))

        queries = self._entries("query", self.base.own.astype(np.int32))
        both = rows.stacked(self.derived(("corrections", near.k), of_gallery), queries)
        at = images + np.arange(self.base.query_count)
        return Corrections(both, at, self.unscored_offset)

    def blocks(
        self, row_bytes: int = 0, *, fixed_bytes: int = 0, what: str = "distances"
    ) -> Iterator[tuple[int, int]]:
        """Ranges of queries, as large as the memory allows when a query takes `row_bytes` beside
        its two rows of distances.
        """
        kept = (self._union, self._of_query)
        held = sum(each.keys.nbytes * 2 + each.distance.nbytes for each in kept if each is not None)
        yield from self.base.blocks(row_bytes, fixed_bytes=fixed_bytes + held, what=what)

    def _anchors(self, queries: Int64[np.ndarray, " b"]) -> tuple[Side, Int64[np.ndarray, " b"]]:
        """Where these queries' distances are kept: with those of the union, if these were made."""
        if self._union is None:
            return "query", queries
        return "union", self.base.nodes[queries]

    def _entries(self, side: Side, itself: Int32[np.ndarray, " m"]) -> rows.Matrix:
        """The kept distances, and 0 for each row's own image, less base distance + offset."""
        near = self._kept(side, 0).near
        index = np.concatenate([itself[:, None], near.index], axis=1)
        distance = np.concatenate([np.zeros((len(index), 1), np.float32), near.distance], axis=1)
        start, column, value = rows.listed(index, distance)
        anchor = np.repeat(np.arange(len(index), dtype=np.int32), np.diff(start))
        base = self.base.pairs(anchor, column, side=side)
        return start, column, value - base - np.float32(self.unscored_offset)

    def _kept(self, side: Side, k: int) -> _Kept:
        """The lists of one side, at least k long."""
        base, images = self.base, self.base.gallery_count
        if side == "union":
            if self._union is None or self._union.near.k < min(k, len(base) - 1):
                all_known = len(base) == images
                gallery = base.gallery if all_known else Gallery(self._joined(), metric=base.metric)
                near = self._lists(gallery.features, gallery, max(k, KEEP))
                self._union = _Kept.of(near, len(base))
            return self._union
        if side == "query":
            if self._of_query is None or self._of_query.near.k < min(k, images):
                near = self._lists(self._query, base.gallery, max(k, KEEP))
                self._of_query = _Kept.of(near, images)
            return self._of_query
        # the lists that were asked for are those in which pairs are looked up
        keep = self._keep = max(k, self._keep)

        def make() -> _Kept:
            return _Kept.of(self._lists(base.gallery.features, base.gallery, keep), images)

        return self.derived(("lists", keep), make)

    def _lists(self, query: Features, gallery: Gallery, keep: int) -> Neighbors:
        """The first `keep` images of each anchor, by the method."""
        keep = min(keep, len(gallery) - int((gallery.rows_of(query.items) >= 0).any()))
        index = np.empty((len(query), keep), np.int32)
        distance = np.empty((len(query), keep), np.float32)
        farthest = np.empty(len(query), np.float32)
        for block in self.method.distances(query, gallery, resources=self.base.resources):
            part = slice(block.start, block.start + len(block.distance))
            moved = np.maximum(block.distance - self._min_distance, 0)
            index[part] = first(moved, keep) if keep else index[part]
            distance[part] = np.take_along_axis(moved, index[part].astype(np.int64), 1)
            farthest[part] = np.where(np.isposinf(moved), 0, moved).max(axis=1)
        return Neighbors(index, distance, farthest)

    def _joined(self) -> Features:
        """The gallery, and the queries that are not in it."""
        images, queries = self.base.gallery.features, self._query
        new = np.flatnonzero(self.base.own < 0)
        camera = None
        if images.camera is not None and queries.camera is not None:
            camera = np.concatenate([images.camera, queries.camera[new]])
        return Features(
            np.concatenate([images.vectors, queries.vectors[new]]),
            np.concatenate([images.items, queries.items[new]]),
            camera,
            "keep",
        )
