"""Another method's distances as an affinity: what B starts from in A+B where A gives distances. Its
size is bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32
from numpy.typing import NDArray

from graphreid.distances.shared import Above, Pairs
from graphreid.gallery import Gallery
from graphreid.graphs import csr as rows
from graphreid.protocols import Corrections, Reranker, Rescores, fingerprint
from graphreid.ranking import first
from graphreid.resources import Resources
from graphreid.types import Features, Neighbors

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
        return (
            self.near.distance[:, -1] if self.near.k else np.zeros(len(self.near.index), np.float32)
        )


class Reranked(Above):
    """Another method's distances as an affinity: what it gave the nearest images, and base distance
    + its tail beyond.

    Distances are moved up by the method's least, so that none is below 0; those of an image to
    itself are 0; beyond the images kept none is below the last of these. `Neighbors.farthest` is by
    the method's own distances.

    Args:
        method: it gives distances, and has a tail.
        query, gallery: as for `Reranker.distances`.
        resources: where and with how much memory.
    """

    def __init__(
        self, method: Reranker, query: Features, gallery: Gallery, *, resources: Resources
    ) -> None:
        if not isinstance(method, Rescores):
            raise ValueError(
                f"{type(method).__name__} has no tail: no method can start from its distances"
            )
        super().__init__(query, gallery, fingerprint(method), resources=resources)
        self.method: Reranker = method
        self.tail = float(method.tail - method.least)
        self._least = np.float32(method.least)
        self._query = query
        self._union: _Kept | None = None
        self._mine: _Kept | None = None
        self._keep = KEEP

    def neighbors(self, k: int) -> Neighbors:
        """Each node's k nearest others in the union ([n, k])."""
        return self._of_union(k).near.first(k)

    def gallery_neighbors(self, k: int) -> Neighbors:
        """Each gallery image's k nearest others in the gallery ([g, k])."""
        return self._of_gallery(k).near.first(k)

    def query_neighbors(self, k: int) -> Neighbors:
        """Each query's k nearest gallery images ([q, k])."""
        return self._of_queries(k).near.first(k)

    def distances(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the queries start .. stop-1 to the gallery."""
        if self._union is None:
            kept, anchors = self._of_queries(0), np.arange(start, stop)
        else:
            kept, anchors = self._union, self.nodes[start:stop]
        distance = self.beneath.distances(start, stop)
        distance += np.float32(self.tail)
        np.maximum(distance, kept.last[anchors, None], out=distance)
        index = kept.near.index[anchors]
        row, place = np.nonzero((index >= 0) & (index < self.images))
        distance[row, index[row, place]] = kept.near.distance[anchors][row, place]
        return distance

    def pairs(
        self, nodes: Int32[np.ndarray, " e"], others: Int32[np.ndarray, " e"]
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs of nodes."""
        return self._looked_up(
            self._of_union(0), nodes, others, nodes == others, self.beneath.pairs
        )

    def gallery_pairs(
        self, rows: Int32[np.ndarray, " e"], others: Int32[np.ndarray, " e"]
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs of gallery images."""
        return self._looked_up(
            self._of_gallery(0), rows, others, rows == others, self.beneath.gallery_pairs
        )

    def query_pairs(
        self, queries: Int32[np.ndarray, " e"], rows: Int32[np.ndarray, " e"]
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed queries to listed gallery images."""
        return self._looked_up(
            self._of_queries(0), queries, rows, self.own[queries] == rows, self.beneath.query_pairs
        )

    def among(self, rows: Int32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b k k"]:
        """Distances between the gallery images of each list."""
        b, k = rows.shape
        base = self.beneath.among(rows).reshape(-1)
        one, other = np.repeat(rows, k, axis=1).reshape(-1), np.tile(rows, (1, k)).reshape(-1)
        kept, there = self._of_gallery(0).look_up(one, other)
        base = np.maximum(base + np.float32(self.tail), self._of_gallery(0).last[one])
        return np.where(there, kept, np.where(one == other, np.float32(0), base)).reshape(b, k, k)

    def corrections(self, *, online: bool) -> Corrections:
        """What the method changed in the distances of `beneath`, beside adding its tail.

        Here a distance beyond the images kept is base distance + tail alone.
        """
        if not online:
            entries = self._entries(
                self._of_union(0).near, np.arange(len(self), dtype=np.int32), self.beneath.pairs
            )
            return Corrections(entries, self.nodes, self.tail)
        near, mine = self._of_gallery(0).near, self._of_queries(0).near

        def gallery() -> rows.Matrix:
            own = np.arange(self.images, dtype=np.int32)
            return self._entries(near, own, self.beneath.gallery_pairs)

        queries = self._entries(mine, self.own.astype(np.int32), self.beneath.query_pairs)
        both = rows.stacked(self.derived(("corrections", near.k), gallery), queries)
        return Corrections(both, self.images + np.arange(self.queries), self.tail)

    def blocks(
        self, row_bytes: int = 0, *, fixed_bytes: int = 0, what: str = "distances"
    ) -> Iterator[tuple[int, int]]:
        """Ranges of queries, as large as the memory allows when a query takes `row_bytes` beside
        its two rows of distances.
        """
        kept = (self._union, self._mine)
        held = sum(each.keys.nbytes * 2 + each.distance.nbytes for each in kept if each is not None)
        yield from self.beneath.blocks(row_bytes, fixed_bytes=fixed_bytes + held, what=what)

    def _looked_up(
        self,
        kept: _Kept,
        anchors: Int32[np.ndarray, " e"],
        others: Int32[np.ndarray, " e"],
        same: Bool[np.ndarray, " e"],
        base: Pairs,
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs: 0 to itself, what was kept, or base distance + tail but no
        less than the last kept.
        """
        out, there = kept.look_up(anchors, others)
        missing = np.flatnonzero(~there & ~same)
        some = anchors[missing]
        out[missing] = np.maximum(
            base(some, others[missing]) + np.float32(self.tail), kept.last[some]
        )
        return out

    def _entries(
        self,
        near: Neighbors,
        itself: Int32[np.ndarray, " m"],
        base: Pairs,
    ) -> rows.Matrix:
        index = np.concatenate([itself[:, None], near.index], axis=1)
        distance = np.concatenate([np.zeros((len(index), 1), np.float32), near.distance], axis=1)
        start, column, value = rows.listed(index, distance)
        anchor = np.repeat(np.arange(len(index), dtype=np.int32), np.diff(start))
        return start, column, value - base(anchor, column) - np.float32(self.tail)

    def _of_union(self, k: int) -> _Kept:
        if self._union is None or self._union.near.k < min(k, len(self) - 1):
            gallery = self.beneath.gallery
            if len(self) > self.images:
                gallery = Gallery(self._joined(), metric=self.metric)
            near = self._lists(gallery.features, gallery, max(k, KEEP))
            self._union = _Kept.of(near, len(self))
        return self._union

    def _of_gallery(self, k: int) -> _Kept:
        gallery = self.beneath.gallery
        # the lists that were asked for are those in which pairs are looked up
        keep = self._keep = max(k, self._keep)
        make = lambda: _Kept.of(self._lists(gallery.features, gallery, keep), self.images)  # noqa: E731
        return self.derived(("lists", keep), make)

    def _of_queries(self, k: int) -> _Kept:
        if self._mine is None or self._mine.near.k < min(k, self.images):
            self._mine = _Kept.of(
                self._lists(self._query, self.beneath.gallery, max(k, KEEP)), self.images
            )
        return self._mine

    def _lists(self, query: Features, gallery: Gallery, keep: int) -> Neighbors:
        """The first `keep` images of each anchor, by the method."""
        keep = min(keep, len(gallery) - int((gallery.rows_of(query.items) >= 0).any()))
        index = np.empty((len(query), keep), np.int32)
        distance = np.empty((len(query), keep), np.float32)
        farthest = np.empty(len(query), np.float32)
        for block in self.method.distances(query, gallery, resources=self.resources):
            part = slice(block.start, block.start + len(block.distance))
            moved = np.maximum(block.distance - self._least, 0)
            index[part] = first(moved, keep) if keep else index[part]
            distance[part] = np.take_along_axis(moved, index[part].astype(np.int64), 1)
            farthest[part] = np.where(np.isposinf(moved), 0, moved).max(axis=1)
        return Neighbors(index, distance, farthest)

    def _joined(self) -> Features:
        """The gallery, and the queries that are not in it."""
        images, queries = self.beneath.gallery.features, self._query
        new = np.flatnonzero(self.own < 0)
        both = images.camera is not None and queries.camera is not None
        camera = np.concatenate([images.camera, queries.camera[new]]) if both else None  # type: ignore[index]
        return Features(
            np.concatenate([images.vectors, queries.vectors[new]]),
            np.concatenate([images.items, queries.items[new]]),
            camera,
            "keep",
        )
