"""`Gallery`, the images to be found, and `RetrievalSet`, the gallery with some queries beside it.

Queries and gallery are one set of images, by item id. Here, and nowhere else, it is decided that a
query never finds itself.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.arrays import Array
from graphreid.knn.exact import (
    Metric,
    block_distances,
    listed_distances,
    nearest_in,
    pair_distances,
    search,
)
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Neighbors, Text

T = TypeVar("T")
Side = Literal["union", "query", "gallery"]
"""Whose distances are asked for.

"union": each image of gallery and queries to all others, the transductive view. The online view has
two halves: "query", each query to the gallery images, and "gallery", each gallery image to the
others, as the gallery alone gives them.
"""
AT_ONCE = 32
"""Queries whose distances to all images are kept until they are asked for."""
SAME = 1e-4
"""Two unit vectors farther apart than this in any entry are not one image embedded twice."""


def normalise(vectors: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Rows of unit length; a zero row stays zero."""
    out = np.empty_like(vectors)
    for start in range(0, len(vectors), 4096):
        block = vectors[start : start + 4096]
        length = np.sqrt(np.einsum("nd,nd->n", block, block, dtype=np.float64))
        np.divide(
            block,
            np.where(length > 0, length, 1)[:, None],
            out=out[start : start + 4096],
            casting="same_kind",
        )
    return out


class Gallery:
    """An immutable snapshot of the images to be found, with what was derived of it kept beside.

    Args:
        features: the images.
        metric: "cosine" (vectors are normalised, here and once) or "euclidean" (they are taken as
            they are).
        version: counts the snapshots of one gallery.
        vectors: the images' vectors as the metric wants them, where they are known from an earlier
            snapshot.

    Attributes:
        lists: where neighbour lists come from that are kept elsewhere; a search takes its place
            where it is None or gives None.
    """

    def __init__(
        self,
        features: Features,
        *,
        metric: Metric = "cosine",
        version: int = 0,
        vectors: Float32[np.ndarray, "n d"] | None = None,
    ) -> None:
        self.features = features
        self.metric: Metric = metric
        self.version = version
        known = features.vectors if metric == "euclidean" else vectors
        self.vectors = normalise(features.vectors) if known is None else known
        self.lists: Callable[[int, Resources | None], Neighbors | None] | None = None
        self._neighbors: Neighbors | None = None
        self._derived: dict[Hashable, Any] = {}
        self._per_image: dict[Hashable, NDArray[Any]] = {}

    @classmethod
    def of(cls, given: "Gallery | Features | Array") -> "Gallery":
        """A gallery as it is, or of features or vectors by cosine distances."""
        return given if isinstance(given, Gallery) else cls(Features.of(given))

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.features.items.tolist())}

    def rows_of(self, items: Text) -> Int64[np.ndarray, " m"]:
        """The row of each item, or -1 where it is not in the gallery."""
        return np.array([self._row.get(item, -1) for item in items.tolist()], np.int64)

    def neighbors(self, k: int, *, resources: Resources | None = None) -> Neighbors:
        """Each image's k nearest others in the gallery ([g, min(k, g - 1)]), kept for the largest k
        asked so far.
        """
        if self._neighbors is None or (self._neighbors.k < min(k, len(self) - 1)):
            kept = None if self.lists is None else self.lists(k, resources)
            self._neighbors = (
                search(self.vectors, k, metric=self.metric, resources=resources)
                if kept is None
                else kept
            )
        return self._neighbors.first(k)

    def pairs(
        self,
        rows: Int32[np.ndarray, " e"],
        others: Int32[np.ndarray, " e"],
        *,
        resources: Resources | None = None,
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs of gallery images."""
        return pair_distances(
            self.vectors, rows, self.vectors, others, self.metric, resources or Resources()
        )

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, kept with this snapshot under `key` (a method's name and settings)."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def per_image(
        self, key: Hashable, make: Callable[[NDArray[np.intp]], NDArray[Any]]
    ) -> NDArray[Any]:
        """`make(rows)`, a value for each image that depends on that image alone; kept for the
        snapshots that follow.
        """
        known = self._per_image.get(key)
        done = 0 if known is None else len(known)
        if known is None or done < len(self):
            fresh = make(np.arange(done, len(self)))
            known = fresh if known is None else np.concatenate([known, fresh])
            self._per_image[key] = known
        return known

    def add(self, features: Features) -> "Gallery":
        """The next snapshot, with more images at its end.

        Raises:
            ValueError: an item that is there already, another width, or cameras on one side only.
        """
        _same_width(features, self)
        there = self.rows_of(features.items) >= 0
        if there.any():
            raise ValueError(
                f"item {str(features.items[there.argmax()])!r} is in the gallery already: remove "
                f"it first"
            )
        if (features.camera is None) != (self.features.camera is None):
            raise ValueError("the gallery and what is added must both have cameras, or neither")
        camera = (
            None
            if features.camera is None or self.features.camera is None
            else np.concatenate([self.features.camera, features.camera])
        )
        joined = Features(
            np.concatenate([self.features.vectors, features.vectors]),
            np.concatenate([self.features.items, features.items]),
            camera,
            self.features.zero,
        )
        cosine = self.metric == "cosine"
        vectors = (
            np.concatenate([self.vectors, normalise(features.vectors)])
            if cosine
            else joined.vectors
        )
        after = Gallery(joined, metric=self.metric, version=self.version + 1, vectors=vectors)
        after._per_image = dict(self._per_image)
        return after

    def remove(self, items: Text) -> "Gallery":
        """The next snapshot, without these images.

        Raises:
            ValueError: an item that is not there, or nothing would be left.
        """
        rows = self.rows_of(np.asarray(items))
        if (rows < 0).any():
            raise ValueError(f"item {str(items[(rows < 0).argmax()])!r} is not in the gallery")
        keep = np.setdiff1d(np.arange(len(self)), rows)
        if not len(keep):
            raise ValueError("a gallery can't be empty: one image must stay")
        vectors = self.vectors[keep] if self.metric == "cosine" else None
        after = Gallery(
            self.features.take(keep), metric=self.metric, version=self.version + 1, vectors=vectors
        )
        after._per_image = {
            key: value[keep[keep < len(value)]] for key, value in self._per_image.items()
        }
        return after


class RetrievalSet:
    """The union of gallery and queries by item id: nodes 0 .. g-1 are the gallery, new queries
    follow in their order.

    It is a `distances.protocol.DistanceSource`: the one whose distances are those of vectors.

    Attributes:
        own: int64 [q], the gallery image that a query itself is, or -1.
        nodes: int64 [q], the node of each query.
        query_vectors: float32 [q, d].

    Raises:
        ValueError: widths differ, or one id has two vectors.
    """

    def __init__(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> None:
        _same_width(query, gallery)
        self.gallery = gallery
        self.resources = resources or Resources()
        cosine = gallery.metric == "cosine"
        self.query_vectors = normalise(query.vectors) if cosine else query.vectors
        self.own = gallery.rows_of(query.items)
        self._new = np.flatnonzero(self.own < 0)
        self.nodes = self.own.copy()
        self.nodes[self._new] = len(gallery) + np.arange(len(self._new))
        self._made: NDArray[np.float32] | None = None
        self._check_same(query)

    def __len__(self) -> int:
        """Nodes, n."""
        return len(self.gallery) + len(self._new)

    @property
    def query_count(self) -> int:
        """How many queries there are, q."""
        return len(self.own)

    @property
    def gallery_count(self) -> int:
        """How many gallery images there are, g."""
        return len(self.gallery)

    @property
    def base(self) -> "RetrievalSet":
        """The vectors that the distances are made of: these."""
        return self

    def corrections(self, *, online: bool) -> None:
        """Nothing was changed in the distances of the vectors."""
        del online

    @property
    def metric(self) -> Metric:
        """What a distance is: "cosine", 1 - cos in [0, 2], or "euclidean"."""
        return self.gallery.metric

    @cached_property
    def union_vectors(self) -> Float32[np.ndarray, "n d"]:
        """The vector of each node."""
        if not len(self._new):
            return self.gallery.vectors
        return np.concatenate([self.gallery.vectors, self._new_vectors])

    @cached_property
    def _new_vectors(self) -> NDArray[np.float32]:
        """The vectors of the nodes that are not in the gallery."""
        all_new = len(self._new) == self.query_count
        return self.query_vectors if all_new else self.query_vectors[self._new]

    def neighbors(self, k: int, *, side: Side) -> Neighbors:
        """The k nearest others of each node ("union": [n, k], queries among them) or gallery image
        ("gallery": [g, k]), or the k nearest gallery images of each query ("query": [q, k]).
        """
        if side == "query":
            return self._query_neighbors(k)
        if side == "gallery" or not len(self._new):
            return self.gallery.neighbors(k, resources=self.resources)
        return search(
            self.gallery.vectors,
            k,
            more=self._new_vectors,
            metric=self.metric,
            resources=self.resources,
        )

    def _query_neighbors(self, k: int) -> Neighbors:
        images = self.gallery.vectors
        few = min(AT_ONCE, self.resources.rows(len(images) * 8, what="distances"))
        if self.metric == "cosine" and self.query_count <= few:
            # a few queries: one product gives their neighbours and their distances
            self._made = self.block(0, self.query_count)
            return nearest_in(
                self._made,
                images,
                k,
                queries=self.query_vectors,
                own=self.own,
                resources=self.resources,
            )
        return search(
            images,
            k,
            queries=self.query_vectors,
            own=self.own,
            metric=self.metric,
            resources=self.resources,
        )

    def block(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the queries start .. stop-1 to the whole gallery."""
        made, self._made = self._made, None
        if made is not None and (start, stop) == (0, self.query_count):
            return made
        return block_distances(
            self.query_vectors[start:stop], self.gallery.vectors, self.metric, self.resources
        )

    def candidates(
        self, queries: Int64[np.ndarray, " b"], index: Int32[np.ndarray, "b r"]
    ) -> Float32[np.ndarray, "b r"]:
        """Distances of listed queries to the gallery images in their lists (+inf where -1); the
        work and memory don't grow with the gallery.
        """
        return listed_distances(
            self.query_vectors[queries], self.gallery.vectors, index, self.metric, self.resources
        )

    def pairs(
        self,
        left: Int32[np.ndarray, " e"],
        right: Int32[np.ndarray, " e"],
        *,
        side: Side,
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs: of nodes ("union"), of gallery images ("gallery"), or of a
        query and a gallery image ("query").
        """
        images = self.gallery.vectors
        if side == "gallery":
            return self.gallery.pairs(left, right, resources=self.resources)
        if side == "query":
            return pair_distances(
                self.query_vectors, left, images, right, self.metric, self.resources
            )
        return pair_distances(
            images, left, images, right, self.metric, self.resources, more=self._new_vectors
        )

    def among(self, rows: Int32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b k k"]:
        """Distances between the gallery images of each list, by products (`pairs` rounds more
        carefully).
        """
        b, k = rows.shape
        out = np.empty((b, k, k), np.float32)
        base = torch.from_numpy(self.gallery.vectors).to(self.resources.device)
        step = self.resources.rows(
            k * (base.shape[1] + k) * 4, most=64, what="distances among neighbours"
        )
        with self.resources.limits():
            for start in range(0, b, step):
                some = base[torch.from_numpy(rows[start : start + step]).to(base.device).long()]
                product = some @ some.transpose(1, 2)
                if self.metric == "cosine":
                    distance = (1 - product).clamp_(min=0)
                else:
                    squares = product.diagonal(dim1=1, dim2=2)
                    distance = (
                        (squares[:, :, None] + squares[:, None] - 2 * product).clamp_(min=0).sqrt_()
                    )
                out[start : start + step] = distance.cpu().numpy()
        return out

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a value of the gallery's side alone, kept with the gallery under `key`."""
        return self.gallery.derived(key, make)

    def blocks(
        self, row_bytes: int = 0, *, fixed_bytes: int = 0, what: str = "distances"
    ) -> Iterator[tuple[int, int]]:
        """Ranges of queries, as large as the memory allows when a query takes `row_bytes` beside
        its two rows of distances.
        """
        rows = self.resources.rows(
            len(self.gallery) * 8 + row_bytes, fixed_bytes=fixed_bytes, most=256, what=what
        )
        starts = range(0, self.query_count, rows)
        for start in self.resources.track(what, starts, len(starts)):
            yield start, min(start + rows, self.query_count)

    def distance_block(
        self,
        start: int,
        distance: Float32[np.ndarray, "b g"],
        probability: Float32[np.ndarray, "b g"] | None = None,
    ) -> DistanceBlock:
        """A block of results in which no query finds itself."""
        own = self.own[start : start + len(distance)]
        rows = np.flatnonzero(own >= 0)
        distance[rows, own[rows]] = np.inf
        return DistanceBlock(start, distance, probability)

    def _check_same(self, query: Features) -> None:
        both = np.flatnonzero(self.own >= 0)
        for part in np.array_split(both, max(1, len(both) // 4096)):
            apart = (
                np.abs(self.query_vectors[part] - self.gallery.vectors[self.own[part]]).max(
                    axis=1, initial=0
                )
                > SAME
            )
            if apart.any():
                item = str(query.items[part[apart.argmax()]])
                raise ValueError(
                    f"item {item!r} has one vector among the queries and another in the gallery: "
                    f"an item is one image, "
                    "so give two images two ids"
                )


def _same_width(features: Features, gallery: Gallery) -> None:
    if features.width != gallery.features.width:
        raise ValueError(
            f"vectors are {features.width} wide and the gallery's {gallery.features.width}: embed "
            f"both with the same network"
        )
