"""k-reciprocal re-ranking: two images are alike if their sets of mutual neighbours are.

Zhong, Zheng, Cao, Li: Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017.
Equations are that paper's;
where it and the authors' published code differ, the code is followed
(docs/methods/k-reciprocal.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet, Side
from graphreid.graphs.csr import CHUNKS, Matrix, stacked, taken, transposed
from graphreid.graphs.explanation import build_explanation, edges_of_entries, single_query
from graphreid.protocols import ONLINE, TRANSDUCTIVE, DistanceSource
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Explanation, Features, Labels, Neighbors

Encoded = tuple[Matrix, NDArray[np.int64], Matrix, NDArray[np.float32]]
"""V of all images, the row of each query in it, V of the gallery by columns, and each query's
largest distance.
"""


@dataclass
class KReciprocal:
    """k-reciprocal re-ranking.

    Attributes:
        k1: neighbours among which reciprocity is judged, the image itself not counted.
        k2: images whose encodings are averaged (local query expansion), the image itself counted; 1
            averages nothing.
        lam: weight of the original distance in [0, 1], the paper's lambda.
        setting: "transductive" as published, or "online": the gallery's lists and encodings are its
            own, and query p and image g are reciprocal iff g is among p's k1 nearest and p is no
            farther from g than g's k1-th neighbour in the gallery.

    Raises:
        ValueError: a value out of its range.
    """

    k1: int = 20
    k2: int = 6
    lam: float = 0.3
    setting: str = TRANSDUCTIVE

    name: ClassVar[str] = "k-reciprocal"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "distances"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    unscored_offset: ClassVar[float] = 1.0
    min_distance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1:
            raise ValueError(f"k1 is {self.k1} and k2 is {self.k2}: both must be at least 1")
        if not 0 <= self.lam <= 1:
            raise ValueError(f"lam is {self.lam}: it must be between 0 and 1")
        if self.setting not in self.settings:
            raise ValueError(
                f"setting is {self.setting!r}: choose one of {', '.join(sorted(self.settings))}"
            )

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "KReciprocal":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: (1 - lam) Jaccard + lam original (Eq.
        12).
        """
        yield from self.from_distances(_retrieval_set(query, gallery, resources))

    def from_distances(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """The same from any distances, which take the place of the squared Euclidean ones as they
        are.
        """
        yield from self._blend(source, *self._encoded(source))

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The query's encoding V_p, whose images are the nodes, and what stands at these in their
        own encodings.

        Two images are alike by what their encodings share (Eq. 10). In the transductive setting the
        query is the only one.

        Raises:
            ValueError: not one query.
        """
        retrieval_set = single_query(_retrieval_set(query, gallery, resources))
        encoded, rows, by_column, farthest = self._encoded(retrieval_set)
        block = next(self._blend(retrieval_set, encoded, rows, by_column, farthest))
        _, column, heard = taken(encoded, rows)
        kept = column != retrieval_set.nodes[0]
        nodes, heard = column[kept], heard[kept]
        start, others, value = taken(transposed(by_column, retrieval_set.gallery_count), nodes)
        row = np.repeat(np.arange(len(nodes)), np.diff(start))
        return build_explanation(
            retrieval_set, block, nodes, edges_of_entries(nodes, row, others, value), heard
        )

    def _encoded(self, source: DistanceSource) -> Encoded:
        if self.setting != TRANSDUCTIVE:
            return self._online(source)
        near = source.neighbors(self._k(len(source.base)), side="union")
        encoded = self._expand(self._encode(source, near, "union"), near)
        return (
            encoded,
            source.base.nodes,
            self._by_column(encoded, source),
            near.farthest[source.base.nodes],
        )

    def _k(self, nodes: int) -> int:
        return min(max(self.k1, self.k2 - 1), nodes - 1)

    def _half(self, lists: Int32[np.ndarray, "n k"]) -> int:
        return min(round(self.k1 / 2), lists.shape[1])  # half to even, as the code's numpy.around

    def _encode(self, source: DistanceSource, near: Neighbors, side: Side) -> Matrix:
        """V, a row a node: exp(-d_o) on the expanded reciprocal set, summing to 1 (Eq. 7; the sum
        is the code's).
        """
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415  # heavy, and not for the GPU path

        lists = np.ascontiguousarray(near.index[:, : self.k1])
        back = jaccard.back_rank(lists)
        nodes = np.arange(len(lists), dtype=np.int32)
        half = self._half(lists)
        start, column = jaccard.expanded_sets(
            lists, back, half, back < lists.shape[1], nodes, lists, CHUNKS
        )
        # most members are in the anchor's own list, with their distances
        distance = jaccard.known_values(start, column, near.index, near.distance)
        others = np.flatnonzero(np.isnan(distance))
        row = np.repeat(nodes, np.diff(start))[others]
        distance[others] = source.pairs(row, column[others], side=side)
        return (
            start,
            column,
            _weights(distance, start, near.farthest, np.zeros(len(nodes), np.float32)),
        )

    def _expand(self, encoded: Matrix, near: Neighbors) -> Matrix:
        """Each row the mean of the k2 nearest rows, itself first (Eq. 11)."""
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415

        if self.k2 == 1:
            return encoded
        n = len(near.index)
        lists = np.concatenate(
            [np.arange(n, dtype=np.int32)[:, None], near.index[:, : self.k2 - 1]], axis=1
        )
        return jaccard.mean_rows(*encoded, lists, n, CHUNKS)

    def _by_column(self, encoded: Matrix, source: DistanceSource) -> Matrix:
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415

        return jaccard.inverted(*encoded, source.base.gallery_count, len(encoded[0]) - 1)

    def _blend(
        self,
        source: DistanceSource,
        encoded: Matrix,
        rows: NDArray[np.int64],
        by_column: Matrix,
        farthest: Float32[np.ndarray, " q"],
    ) -> Iterator[DistanceBlock]:
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415

        scale = _inverse(farthest)
        for start, stop in source.blocks(
            source.base.gallery_count * 4, what="k-reciprocal distances"
        ):
            distance = source.block(start, stop)
            jaccard.blend_jaccard(
                *encoded, rows[start:stop], *by_column, self.lam, distance, scale[start:stop]
            )
            yield source.base.distance_block(start, distance)

    def _online(self, source: DistanceSource) -> Encoded:
        """The gallery's side is the gallery's own and kept with it; each query is encoded by
        itself.
        """
        images = source.base.gallery_count
        near = source.neighbors(self._k(images), side="gallery")
        key = (self.name, self.k1, self.k2)

        def encode() -> tuple[Matrix, Matrix, Matrix]:
            plain = self._encode(source, near, "gallery")
            expanded = self._expand(plain, near)
            return plain, expanded, self._by_column(expanded, source)

        plain, expanded, by_column = source.derived(key, encode)
        fresh = np.flatnonzero(source.base.own < 0)
        mine = source.neighbors(min(max(self.k1, self.k2 - 1), images), side="query")
        encoded, rows = self._encode_queries(source, near, mine, plain, fresh)
        # a query that is in the gallery has its encoding there
        joined = stacked(expanded, encoded) if len(fresh) < source.base.query_count else encoded
        rows = (
            np.where(source.base.own >= 0, source.base.own, images + rows)
            if len(fresh) < source.base.query_count
            else rows
        )
        farthest = np.where(source.base.own >= 0, near.farthest[source.base.own], mine.farthest)
        return joined, rows, by_column, farthest

    def _encode_queries(
        self,
        source: DistanceSource,
        near: Neighbors,
        mine: Neighbors,
        plain: Matrix,
        fresh: NDArray[np.intp],
    ) -> tuple[Matrix, NDArray[np.int64]]:
        """Encodings of the queries that are not in the gallery, and for every query its row among
        them.
        """
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415

        lists = np.ascontiguousarray(near.index[:, : self.k1])
        own_lists = np.ascontiguousarray(mine.index[fresh, : self.k1])
        # the gallery image's own k1-th distance; where it has fewer others, every query is near
        # enough
        reach = (
            near.distance[:, self.k1 - 1]
            if near.k >= self.k1
            else np.full(len(lists), np.inf, np.float32)
        )
        mutual = mine.distance[fresh, : self.k1] <= reach[own_lists]
        back = source.derived((self.name, "back", self.k1), lambda: jaccard.back_rank(lists))
        none = np.full(len(fresh), -1, np.int32)
        start, column = jaccard.expanded_sets(
            lists, back, self._half(lists), mutual, none, own_lists, CHUNKS
        )
        row = np.repeat(np.arange(len(fresh)), np.diff(start))
        distance = source.pairs(fresh[row].astype(np.int32), column, side="query")
        # the query is in its own set with weight exp(0) = 1; no gallery image has it, so only the
        # sum shows it
        value = _weights(distance, start, mine.farthest[fresh], np.ones(len(fresh), np.float32))
        encoded: Matrix = start, column, value
        if self.k2 > 1:
            chosen = np.ascontiguousarray(mine.index[fresh, : self.k2 - 1])
            wanted, place = np.unique(chosen, return_inverse=True)
            both = stacked(taken(plain, wanted), encoded)
            itself = (len(wanted) + np.arange(len(fresh)))[:, None]
            chosen = np.concatenate([itself, place.reshape(chosen.shape)], axis=1).astype(np.int32)
            encoded = jaccard.mean_rows(*both, chosen, source.base.gallery_count, CHUNKS)
        return encoded, np.cumsum(source.base.own < 0) - 1


class _Squared(RetrievalSet):
    """Gallery and queries with their Euclidean distances squared (Eq. 1)."""

    def neighbors(self, k: int, *, side: Side) -> Neighbors:
        near = super().neighbors(k, side=side)
        return Neighbors(near.index, np.square(near.distance), np.square(near.farthest))

    def block(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        distance = super().block(start, stop)
        return np.square(distance, out=distance)

    def candidates(
        self, queries: Int64[np.ndarray, " b"], index: Int32[np.ndarray, "b r"]
    ) -> Float32[np.ndarray, "b r"]:
        return np.square(super().candidates(queries, index))

    def pairs(
        self, left: Int32[np.ndarray, " e"], right: Int32[np.ndarray, " e"], *, side: Side
    ) -> Float32[np.ndarray, " e"]:
        return np.square(super().pairs(left, right, side=side))


def _retrieval_set(query: Features, gallery: Gallery, resources: Resources | None) -> RetrievalSet:
    """With squared Euclidean distances: a cosine distance is half of one, and the row's maximum
    divides the half out.
    """
    return (_Squared if gallery.metric == "euclidean" else RetrievalSet)(
        query, gallery, resources=resources
    )


def _weights(
    distance: Float32[np.ndarray, " e"],
    start: NDArray[np.int64],
    farthest: Float32[np.ndarray, " n"],
    more: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, " e"]:
    """exp(-distance / farthest) of each row, divided by its sum plus `more`."""
    count = np.diff(start)
    weight = np.exp(-distance * np.repeat(_inverse(farthest), count))
    total = (
        np.bincount(np.repeat(np.arange(len(count)), count), weight, minlength=len(count)) + more
    )
    return (weight / np.repeat(total, count)).astype(np.float32)


def _inverse(farthest: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """1 / farthest; 0 where all images are equal, so that their normalised distances are 0 and not
    0 / 0.
    """
    return np.divide(1, farthest, out=np.zeros_like(farthest), where=farthest > 0)
