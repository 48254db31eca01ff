"""Vectors made of blocks, of which some may be missing, as an affinity: only blocks that both
images have are compared (ICG).

Vectors are [always there ... | part 1 | ... | part m], blocks of one length, zeros for a part that
is not seen. With V the bits of what is seen and n = fixed + sum(V), the mean cosine distance of the
blocks that both have (ICG, Eqs. 13-15) is

    1 - Q G^T / (fixed + V_q V_g^T) = 1 - cos(q, g) sqrt(n_q n_g) / (fixed + V_q V_g^T)

for Q has the length sqrt(n): exact, from products of vectors and of bits.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.distances.listed import by_pairs
from graphreid.gallery import Gallery, RetrievalSet, Side
from graphreid.knn.exact import LOWEST, MARGIN, block_distances
from graphreid.protocols import Corrections
from graphreid.resources import Resources
from graphreid.types import Features, Neighbors

T = TypeVar("T")
Bits = Float32[np.ndarray, "n parts"]
"""1 where an image shows a part, else 0."""


class PartDistances:
    """The distances of parts, exact and in blocks. A `DistanceSource`.

    Args:
        query, gallery: as for `Reranker.distances`; the gallery's metric must be "cosine".
        parts: m, blocks at the end that may be missing.
        width: entries of each.
        fixed: blocks before them, which every image has.
        resources: where and with how much memory.

    Attributes:
        base: the queries and the gallery.

    Raises:
        ValueError: vectors too narrow for that, or another metric.
    """

    def __init__(
        self,
        query: Features,
        gallery: Gallery,
        *,
        parts: int,
        width: int,
        fixed: int,
        resources: Resources | None = None,
    ) -> None:
        self.base = RetrievalSet(query, gallery, resources=resources)
        if gallery.metric != "cosine":
            raise ValueError(
                "distances of parts are made of cosines: use a gallery with metric='cosine'"
            )
        if query.width < parts * width + fixed:
            raise ValueError(
                f"vectors are {query.width} wide: too few for {parts} parts of {width} entries and "
                f"{fixed} blocks before them"
            )
        self._kind = ("parted", parts, width, fixed)
        self._fixed = fixed
        self._shape = (parts, width)
        self._gallery_bits = gallery.per_image(
            ("parted", parts, width), lambda rows: self._bits(gallery.vectors[rows])
        )
        self._query_bits = self._bits(self.base.query_vectors)

    def neighbors(self, k: int, *, side: Side) -> Neighbors:
        """The k nearest others of each node ("union"), query ("query") or gallery image
        ("gallery").
        """
        if side == "gallery":
            return self.derived(("lists", k), lambda: self._search(k, side))
        return self._search(k, side)

    def block(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the queries start .. stop-1 to the whole gallery."""
        bits = self._query_bits[start:stop]
        return self._changed(self.base.block(start, stop), bits, self._gallery_bits)

    def candidates(
        self, queries: Int64[np.ndarray, " b"], index: Int32[np.ndarray, "b r"]
    ) -> Float32[np.ndarray, "b r"]:
        """Distances of listed queries to the gallery images in their lists (+inf where -1)."""
        return by_pairs(self, queries, index, side="query")

    def pairs(
        self, left: Int32[np.ndarray, " e"], right: Int32[np.ndarray, " e"], *, side: Side
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs."""
        left_bits, right_bits = self._side_bits(side)
        return self._each(
            self.base.pairs(left, right, side=side), left_bits[left], right_bits[right]
        )

    def among(self, rows: Int32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b k k"]:
        """Distances between the gallery images of each list."""
        bits = self._gallery_bits[rows]
        return self._changed(self.base.among(rows), bits, bits)

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a value of the gallery's side alone, kept with the gallery under `key` and the
        shape of the parts.
        """
        return self.base.derived((self._kind, key), make)

    def corrections(self, *, online: bool) -> Corrections | None:
        """Refused, for every pair is changed.

        Raises:
            ValueError: always.
        """
        del online
        raise ValueError(
            "what follows needs sums of vectors, and distances of parts have none: choose another "
            "variant of it"
        )

    def blocks(
        self, row_bytes: int = 0, *, fixed_bytes: int = 0, what: str = "distances"
    ) -> Iterator[tuple[int, int]]:
        """Ranges of queries, as large as the memory allows when a query takes `row_bytes` beside
        its two rows of distances.
        """
        held = fixed_bytes + self._gallery_bits.nbytes + self._query_bits.nbytes
        shared = self.base.gallery_count * 4  # blocks that a query shares with each image
        yield from self.base.blocks(row_bytes + shared, fixed_bytes=held, what=what)

    def _bits(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        parts, width = self._shape
        if not parts:
            return np.zeros((len(vectors), 0), np.float32)
        return (
            (vectors[:, -parts * width :].reshape(len(vectors), parts, width) != 0)
            .any(2)
            .astype(np.float32)
        )

    @cached_property
    def _union_bits(self) -> NDArray[np.float32]:
        new = self.base.own < 0
        return np.concatenate([self._gallery_bits, self._query_bits[new]])

    def _side_bits(self, side: Side) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The bits of the images that distances are asked for, and of those that they go to."""
        if side == "union":
            return self._union_bits, self._union_bits
        return self._query_bits if side == "query" else self._gallery_bits, self._gallery_bits

    def _side_vectors(self, side: Side) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if side == "union":
            return self.base.union_vectors, self.base.union_vectors
        images = self.base.gallery.vectors
        return self.base.query_vectors if side == "query" else images, images

    def _changed(
        self, distance: NDArray[np.float32], left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Distances [..., a, b] of vectors to those of the blocks that both have, in place."""
        shared = left @ np.swapaxes(right, -1, -2)
        shared += np.float32(self._fixed)
        np.divide(self._length(left)[..., :, None], shared, out=shared)
        shared *= self._length(right)[..., None, :]
        return _scaled(distance, shared)

    def _each(
        self, distance: NDArray[np.float32], left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        shared = (left * right).sum(1) + np.float32(self._fixed)
        return _scaled(distance, self._length(left) / shared * self._length(right))

    def _length(self, bits: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.sqrt(np.float32(self._fixed) + bits.sum(-1))

    def _search(self, k: int, side: Side) -> Neighbors:
        """The k nearest of each, but itself, by the distances that `pairs` gives."""
        queries, base = self._side_vectors(side)
        query_bits, bits = self._side_bits(side)
        itself = self.base.own if side == "query" else np.arange(len(queries))
        m, n = len(queries), len(base)
        k = min(k, n - 1 if (itself >= 0).any() else n)
        out = Neighbors(
            np.empty((m, k), np.int32), np.empty((m, k), np.float32), np.empty(m, np.float32)
        )
        # how far a product of that many terms may be from the true one, times the largest factor
        parts = self._shape[0]
        bound = base.shape[1] * 2.0**-24 * 1.01 * (self._fixed + parts) / max(self._fixed, 1) + 1e-6
        step = self.base.resources.rows(n * 24 + k * 32, what=f"a search among {n} images")
        starts = range(0, m, step)
        for start in self.base.resources.track("neighbours", starts, len(starts)):
            part = np.arange(start, min(start + step, m))
            rough = block_distances(queries[part], base, "cosine", self.base.resources)
            rough = self._changed(rough, query_bits[part], bits)
            far = np.argpartition(-rough, min(LOWEST, n - 1), axis=1)[:, :LOWEST]
            own = np.flatnonzero(itself[part] >= 0)
            out.farthest[part] = by_pairs(self, part, far.astype(np.int32), side=side).max(1)
            rough[own, itself[part[own]]] = np.inf
            if not k:
                continue
            wide = min(k + MARGIN, n)
            near = np.argpartition(rough, wide - 1, axis=1)[:, :wide].astype(np.int32)
            value = np.take_along_axis(rough, near, 1)
            last = np.partition(value, k - 1, axis=1)[:, k - 1]
            listed = np.where(np.isposinf(value), np.int32(-1), near)
            exact = by_pairs(self, part, listed, side=side)
            order = np.lexsort((near, exact), axis=1)[:, :k]
            out.index[part] = np.take_along_axis(near, order, 1)
            out.distance[part] = np.take_along_axis(exact, order, 1)
            # the best that was left out could still belong to the first k: look again among all
            # that the bound admits
            close = (value.max(1) <= last + 2 * bound) if wide < n else np.zeros(len(part), bool)
            for place in np.flatnonzero(close).tolist():
                every = np.flatnonzero(rough[place] <= last[place] + 2 * bound)
                every = every.astype(np.int32)
                exact = by_pairs(self, part[place : place + 1], every[None], side=side)[0]
                order = np.lexsort((every, exact))[:k]
                out.index[part[place]] = every[order]
                out.distance[part[place]] = exact[order]
        return out


def _scaled(distance: NDArray[np.float32], factor: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 - (1 - distance) factor, at least 0, in place of the distances."""
    np.subtract(1, distance, out=distance)
    distance *= factor
    np.subtract(1, distance, out=distance)
    return np.maximum(distance, 0, out=distance)
