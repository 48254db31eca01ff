"""Expanded cross neighbourhood: two images are as far apart as each is from the other's neighbours,
and these one's neighbours.

Sarfraz, Schumann, Eberle, Stiefelhagen: A Pose-Sensitive Embedding for Person Re-identification
with Expanded Cross
Neighborhood Re-ranking, CVPR 2018. Equations are that paper's; where it and the authors' published
code differ, the code is followed (docs/methods/ecn.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Int32

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import csr as rows
from graphreid.graphs.aggregation import weighted_sum
from graphreid.knn.exact import block_distances
from graphreid.protocols import ONLINE, TRANSDUCTIVE, DistanceSource, need_cosine
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, Neighbors


@dataclass
class ECN:
    """Expanded cross neighbourhood distance.

    Attributes:
        k: images at the head of a ranked list that count in the rank-list distance, the image
            itself among them.
        t: nearest neighbours of an image in its expanded neighbourhood.
        q: nearest neighbours of each of those that join it.
        method: "rankdist", the rank-list distance: minus the sum of (k - position)(k - position)
            over the images in both lists, at most 0, and the cosine distance where the lists share
            none; or "origdist", the cosine distance.
        setting: "transductive" as published, or "online": neighbours are gallery images, and their
            lists the gallery's own.

    Raises:
        ValueError: a value out of its range.
    """

    k: int = 25
    t: int = 3
    q: int = 8
    method: Literal["rankdist", "origdist"] = "rankdist"
    setting: str = TRANSDUCTIVE

    name: ClassVar[str] = "ecn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "distances"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if min(self.k, self.t, self.q) < 1:
            raise ValueError(
                f"k is {self.k}, t is {self.t} and q is {self.q}: all must be at least 1"
            )
        if self.method not in ("rankdist", "origdist"):
            raise ValueError(f"method is {self.method!r}: choose rankdist or origdist")
        if self.setting not in self.settings:
            raise ValueError(
                f"setting is {self.setting!r}: choose one of {', '.join(sorted(self.settings))}"
            )

    @property
    def unscored_offset(self) -> float:
        """0 for "rankdist", which keeps the cosine distance; 2 for "origdist", the largest
        there is.
        """
        return 0.0 if self.method == "rankdist" else 2.0

    @property
    def min_distance(self) -> float:
        """The rank-list distance of an image to itself; 0 for "origdist"."""
        return -self.k * (self.k + 1) * (2 * self.k + 1) / 6 if self.method == "rankdist" else 0.0

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "ECN":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks (Eq. 5)."""
        yield from self.from_distances(RetrievalSet(query, gallery, resources=resources))

    def from_distances(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """The same from any distances."""
        if self.method == "rankdist":
            yield from self._ranked(source)
        else:
            need_cosine(source, "ecn:method=origdist")
            yield from self._original(source)

    def _ranked(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """By lists: with w_x(j) = max(0, k - position of j in the list of x), d(x, y) = - w_x . w_y
        (Eqs. 6-7).

        The sum over n in E(p) of d(n, g) is therefore minus the product of the summed rows of E(p)
        and the row of g: two sparse products give all distances.
        """
        near, queries = self._neighbors(source)
        images, nodes = source.base.gallery_count, len(near.index)

        def gallery_side() -> tuple[rows.Matrix, ...]:
            lists = self._weights(rows.with_self(near.index))
            sums = rows.summed(lists, self._expanded(near, near), width=nodes)
            by_list, by_sum = (
                rows.transposed(matrix, nodes, rows=images) for matrix in (lists, sums)
            )
            return lists, sums, by_list, by_sum

        if queries is None:
            lists, sums, by_list, by_sum = gallery_side()
            at, terms = source.base.nodes, 2 * self._terms(near, near)
        else:
            key = (self.name, self.k, self.t, self.q)
            lists, _, by_list, by_sum = source.derived(key, gallery_side)
            sums = rows.summed(lists, self._expanded(queries, near), width=nodes)
            lists = self._weights(
                np.concatenate([source.base.own[:, None].astype(np.int32), queries.index], axis=1)
            )
            at, terms = (
                np.arange(source.base.query_count),
                self._terms(queries, near) + self._terms(near, near),
            )
        held = rows.size(lists, sums, by_list, by_sum)
        for start, stop in source.blocks(images * 8, fixed_bytes=held, what="ECN distances"):
            shared = np.zeros((stop - start, images), np.float32)
            rows.add_product(sums, at[start:stop], by_list, shared)
            rows.add_product(lists, at[start:stop], by_sum, shared)
            distance = source.block(start, stop)
            # as in the published code, the original distance where the lists share nothing
            np.divide(shared, -terms, out=distance, where=shared > 0)
            yield source.base.distance_block(start, distance)

    def _original(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """By cosine distances, which are linear: the mean over n in E(p) of 1 - n . g is 1 - (mean
        of E(p)) . g.
        """
        near, queries = self._neighbors(source)
        retrieval_set, resources = source.base, source.base.resources
        vectors = retrieval_set.union_vectors if queries is None else retrieval_set.gallery.vectors
        every = self._expanded(near, near)
        mine = every[source.base.nodes] if queries is None else self._expanded(queries, near)
        terms = np.array([mine.shape[1], every.shape[1]], np.float32)
        share = terms / max(terms.sum(), 1)

        def mean(lists: Int32[np.ndarray, "m e"]) -> Float32[np.ndarray, "m d"]:
            return weighted_sum(vectors, lists, resources=resources) / np.float32(
                max(lists.shape[1], 1)
            )

        query_mean = mean(mine)
        if queries is None:
            gallery_mean = mean(every[: source.base.gallery_count])
        else:
            gallery_mean = source.derived(
                (self.name, self.method, self.t, self.q), lambda: mean(every)
            )
        add_more = self._corrected(source, mine, every, online=queries is not None)
        for start, stop in source.blocks(
            source.base.gallery_count * 4, fixed_bytes=gallery_mean.nbytes, what="ECN distances"
        ):
            if not every.shape[1]:
                # a lone image would be compared with itself; as in the published code, the original
                # distance stands for 0
                yield source.base.distance_block(start, source.block(start, stop))
                continue
            distance = block_distances(
                query_mean[start:stop], retrieval_set.gallery.vectors, "cosine", resources
            )
            distance *= share[0]
            other = block_distances(
                retrieval_set.query_vectors[start:stop], gallery_mean, "cosine", resources
            )
            distance += np.multiply(other, share[1], out=other)
            add_more(start, stop, distance)
            yield source.base.distance_block(start, distance)

    def _corrected(
        self,
        source: DistanceSource,
        mine: Int32[np.ndarray, "q e"],
        every: Int32[np.ndarray, "n f"],
        *,
        online: bool,
    ) -> Callable[[int, int, Float32[np.ndarray, "b g"]], None]:
        """Adds the means of what another method changed in the distances: `unscored_offset`
        everywhere, and sparse corrections.
        """
        changed = source.corrections(online=online)
        if changed is None:
            return _nothing
        nodes, images = len(every), source.base.gallery_count
        weight = 1 / np.float32(max(mine.shape[1] + every.shape[1], 1))
        spread = rows.summed(changed.entries, mine, np.full(mine.shape, weight), width=nodes)
        itself = rows.stacked(rows.identity(images), rows.empty(nodes - images))
        back = rows.transposed(rows.listed(every, np.full(every.shape, weight)), nodes, rows=images)

        def add(start: int, stop: int, distance: Float32[np.ndarray, "b g"]) -> None:
            distance += np.float32(changed.unscored_offset)
            rows.add_product(spread, np.arange(start, stop), itself, distance)
            rows.add_product(changed.entries, changed.queries[start:stop], back, distance)

        return add

    def _neighbors(self, source: DistanceSource) -> tuple[Neighbors, Neighbors | None]:
        """The lists of all nodes; or those of the gallery in itself, and of the queries in the
        gallery.
        """
        depth = (
            max(self.k - 1, self.t, self.q) if self.method == "rankdist" else max(self.t, self.q)
        )
        if self.setting == TRANSDUCTIVE:
            return source.neighbors(depth, side="union"), None
        return source.neighbors(depth, side="gallery"), source.neighbors(depth, side="query")

    def _weights(self, lists: Int32[np.ndarray, "m k"]) -> rows.Matrix:
        """k - position, in a list whose position 0 is the image itself."""
        lists = lists[:, : self.k]
        weight = np.broadcast_to(self.k - np.arange(lists.shape[1], dtype=np.float32), lists.shape)
        return rows.listed(lists, weight)

    def _expanded(self, first: Neighbors, then: Neighbors) -> Int32[np.ndarray, "m e"]:
        """E: the t nearest, and the q nearest of each of those; repetitions are kept."""
        nearest = first.index[:, : self.t]
        others = then.index[:, : self.q][nearest]
        return np.concatenate([nearest, others.reshape(len(nearest), -1)], axis=1)

    def _terms(self, first: Neighbors, then: Neighbors) -> int:
        """How many images E has."""
        return min(self.t, first.k) * (1 + min(self.q, then.k))


def _nothing(start: int, stop: int, distance: Float32[np.ndarray, "b g"]) -> None:
    del start, stop, distance
