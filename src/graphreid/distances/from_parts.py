"""Vectors made of blocks, of which some may be missing, as an affinity: only blocks that both
images have are compared (ICG).

Vectors are [always there ... | part 1 | ... | part m], blocks of one length, zeros for a part that
is not seen. With V the bits of what is seen and n = fixed + sum(V), the mean cosine distance of the
blocks that both have (ICG, Eqs. 13-15) is

    1 - Q G^T / (fixed + V_q V_g^T) = 1 - cos(q, g) sqrt(n_q n_g) / (fixed + V_q V_g^T)

for Q has the length sqrt(n): exact, from products of vectors and of bits.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int32
from numpy.typing import NDArray

from graphreid.distances.shared import Above, Pairs
from graphreid.gallery import Gallery
from graphreid.knn.exact import LOWEST, MARGIN, block_distances
from graphreid.protocols import Corrections
from graphreid.resources import Resources
from graphreid.types import Features, Neighbors

Bits = Float32[np.ndarray, "n parts"]


class Parted(Above):
    """The distances of parts as an affinity, exact and in blocks.

    Args:
        query, gallery: as for `Reranker.distances`; the gallery's metric must be "cosine".
        parts: m, blocks at the end that may be missing.
        width: entries of each.
        fixed: blocks before them, which every image has.
        resources: where and with how much memory.

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
        super().__init__(query, gallery, ("parted", parts, width, fixed), resources=resources)
        if gallery.metric != "cosine":
            raise ValueError(
                "distances of parts are made of cosines: use a gallery with metric='cosine'"
            )
        if query.width < parts * width + fixed:
            raise ValueError(
                f"vectors are {query.width} wide: too few for {parts} parts of {width} entries and "
                f"{fixed} blocks before them"
            )
        self._fixed, self._shape = fixed, (parts, width)
        self._images = gallery.per_image(
            ("parted", parts, width), lambda rows: self._bits(gallery.vectors[rows])
        )
        self._queries = self._bits(self.beneath.vectors)

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

    def neighbors(self, k: int) -> Neighbors:
        """Each node's k nearest others in the union ([n, k])."""
        rows = np.arange(len(self))
        return self._search(
            self.beneath.union, self._union, self.beneath.union, self._union, rows, self.pairs, k
        )

    def gallery_neighbors(self, k: int) -> Neighbors:
        """Each gallery image's k nearest others in the gallery ([g, k])."""
        images, bits = self.beneath.gallery.vectors, self._images

        def make() -> Neighbors:
            own = np.arange(self.images)
            return self._search(images, bits, images, bits, own, self.gallery_pairs, k)

        return self.derived(("lists", k), make)

    def query_neighbors(self, k: int) -> Neighbors:
        """Each query's k nearest gallery images, itself left out ([q, k])."""
        images = self.beneath.gallery.vectors
        return self._search(
            self.beneath.vectors, self._queries, images, self._images, self.own, self.query_pairs, k
        )

    def distances(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the queries start .. stop-1 to the gallery."""
        return self._changed(
            self.beneath.distances(start, stop), self._queries[start:stop], self._images
        )

    def pairs(
        self, nodes: Int32[np.ndarray, " e"], others: Int32[np.ndarray, " e"]
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs of nodes."""
        return self._each(
            self.beneath.pairs(nodes, others), self._union[nodes], self._union[others]
        )

    def gallery_pairs(
        self, rows: Int32[np.ndarray, " e"], others: Int32[np.ndarray, " e"]
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs of gallery images."""
        return self._each(
            self.beneath.gallery_pairs(rows, others), self._images[rows], self._images[others]
        )

    def query_pairs(
        self, queries: Int32[np.ndarray, " e"], rows: Int32[np.ndarray, " e"]
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed queries to listed gallery images."""
        return self._each(
            self.beneath.query_pairs(queries, rows), self._queries[queries], self._images[rows]
        )

    def among(self, rows: Int32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b k k"]:
        """Distances between the gallery images of each list."""
        return self._changed(self.beneath.among(rows), self._images[rows], self._images[rows])

    def blocks(
        self, row_bytes: int = 0, *, fixed_bytes: int = 0, what: str = "distances"
    ) -> Iterator[tuple[int, int]]:
        """Ranges of queries, as large as the memory allows when a query takes `row_bytes` beside
        its two rows of distances.
        """
        held = fixed_bytes + self._images.nbytes + self._queries.nbytes
        yield from self.beneath.blocks(row_bytes + self.images * 4, fixed_bytes=held, what=what)

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
    def _union(self) -> NDArray[np.float32]:
        fresh = self.own < 0
        return np.concatenate([self._images, self._queries[fresh]]) if fresh.any() else self._images

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

    @staticmethod
    def _exact(
        pairs: Pairs, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Distances of each row's columns; +inf where a column is -1."""
        flat = columns.reshape(-1).astype(np.int32)
        distance = pairs(np.repeat(rows.astype(np.int32), columns.shape[1]), np.maximum(flat, 0))
        return np.where(flat < 0, np.float32(np.inf), distance).reshape(columns.shape)

    def _search(
        self,
        queries: NDArray[np.float32],
        query_bits: NDArray[np.float32],
        base: NDArray[np.float32],
        bits: NDArray[np.float32],
        itself: NDArray[np.int64],
        pairs: Pairs,
        k: int,
    ) -> Neighbors:
        """The k nearest rows of `base` for each query, but row `itself`, by the distances that
        `pairs` gives.
        """
        m, n = len(queries), len(base)
        k = min(k, n - 1 if (itself >= 0).any() else n)
        out = Neighbors(
            np.empty((m, k), np.int32), np.empty((m, k), np.float32), np.empty(m, np.float32)
        )
        # how far a product of that many terms may be from the true one, times the largest factor
        parts = self._shape[0]
        bound = base.shape[1] * 2.0**-24 * 1.01 * (self._fixed + parts) / max(self._fixed, 1) + 1e-6
        step = self.resources.rows(n * 24 + k * 32, what=f"a search among {n} images")
        starts = range(0, m, step)
        for start in self.resources.track("neighbours", starts, len(starts)):
            part = np.arange(start, min(start + step, m))
            rough = block_distances(queries[part], base, "cosine", self.resources)
            rough = self._changed(rough, query_bits[part], bits)
            far = np.argpartition(-rough, min(LOWEST, n - 1), axis=1)[:, :LOWEST]
            own = np.flatnonzero(itself[part] >= 0)
            out.farthest[part] = self._exact(pairs, part, far).max(1)
            rough[own, itself[part[own]]] = np.inf
            if not k:
                continue
            wide = min(k + MARGIN, n)
            near = np.argpartition(rough, wide - 1, axis=1)[:, :wide]
            value = np.take_along_axis(rough, near, 1)
            last = np.partition(value, k - 1, axis=1)[:, k - 1]
            exact = self._exact(pairs, part, np.where(np.isposinf(value), -1, near))
            order = np.lexsort((near, exact), axis=1)[:, :k]
            out.index[part], out.distance[part] = (
                np.take_along_axis(x, order, 1) for x in (near, exact)
            )
            # the best that was left out could still belong to the first k: look again among all
            # that the bound admits
            close = (value.max(1) <= last + 2 * bound) if wide < n else np.zeros(len(part), bool)
            for place in np.flatnonzero(close).tolist():
                every = np.flatnonzero(rough[place] <= last[place] + 2 * bound)
                exact = self._exact(pairs, part[place : place + 1], every[None])[0]
                order = np.lexsort((every, exact))[:k]
                out.index[part[place]], out.distance[part[place]] = every[order], exact[order]
        return out


def _scaled(distance: NDArray[np.float32], factor: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 - (1 - distance) factor, at least 0, in place of the distances."""
    np.subtract(1, distance, out=distance)
    distance *= factor
    np.subtract(1, distance, out=distance)
    return np.maximum(distance, 0, out=distance)
