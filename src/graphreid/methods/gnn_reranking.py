"""GNN re-ranking: k-reciprocal encoding and query expansion as two rounds of message passing on the
neighbour graph.

Zhang, Jiang, Zheng, Gu, Wang, Yang, Hu: Understanding Image Retrieval Re-Ranking: A Graph Neural
Network Perspective, 2020
(arXiv 2012.07620). Where the text and the published code differ, the code is followed
(docs/methods/gnn-reranking.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import csr as rows
from graphreid.protocols import ONLINE, TRANSDUCTIVE, need_cosine
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, Neighbors


@dataclass
class GNNReranking:
    """Message passing on binary rows of neighbours, then their cosine.

    A distance is 1 - similarity, the published code's (1 - lam) (product of the two rows) + lam
    cosine, which it ranks by.

    Attributes:
        k1: neighbours that a row holds at first, the image itself counted.
        k2: neighbours whose rows an image takes over in each layer, the image itself counted; 1
            propagates nothing, and the rows are then neither made symmetric nor scaled (their
            product counts common neighbours, up to k1).
        layers: rounds of propagation.
        alpha: the exponent of |cosine| that weighs a neighbour's row.
        lam: weight of the cosine itself in [0, 1]. 0.3 is the published code's for Market-1501; the
            paper has none (0).
        setting: "transductive" as published, or "online": the gallery's rows are its own, and a
            query takes its row from them.

    Raises:
        ValueError: a value out of its range.
    """

    k1: int = 26
    k2: int = 7
    layers: int = 2
    alpha: float = 2.0
    lam: float = 0.3
    setting: str = TRANSDUCTIVE

    name: ClassVar[str] = "gnn-reranking"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.k1, self.k2) < 1 or self.layers < 0:
            raise ValueError(
                f"k1 is {self.k1}, k2 {self.k2} and layers {self.layers}: at least 1, 1 and 0 are "
                f"needed"
            )
        if not self.alpha >= 0:
            raise ValueError(f"alpha is {self.alpha}: it must be at least 0")
        if not 0 <= self.lam <= 1:
            raise ValueError(f"lam is {self.lam}: it must be between 0 and 1")
        if self.setting not in self.settings:
            raise ValueError(
                f"setting is {self.setting!r}: choose one of {', '.join(sorted(self.settings))}"
            )

    @property
    def unscored_offset(self) -> float:
        """More than any distance of an image that shares a neighbour."""
        return 1 + self.lam

    @property
    def min_distance(self) -> float:
        """1 - the largest similarity, which is 1, or without propagation counts common
        neighbours.
        """
        return (1 - self.lam) * (1 - self.k1) if self._plain else 0.0

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "GNNReranking":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        need_cosine(retrieval_set, self.name)
        images = retrieval_set.gallery_count
        depth = max(self.k1, self.k2) - 1
        at = np.arange(retrieval_set.query_count)
        if self.setting == TRANSDUCTIVE:
            graph = self._propagated(retrieval_set.neighbors(depth, side="union"))
            mine, right = graph.of(retrieval_set.nodes), graph.steps[-1]
        else:
            near = retrieval_set.neighbors(depth, side="gallery")
            key = (self.name, self.k1, self.k2, self.layers, self.alpha)
            graph = retrieval_set.derived(key, lambda: self._propagated(near))
            mine = self._inserted(retrieval_set, near, graph)
            there = np.flatnonzero(retrieval_set.own >= 0)
            at[there] = retrieval_set.query_count + np.arange(len(there))
            # the column of the query itself meets nobody
            right = rows.stacked(graph.steps[-1], rows.empty(1))
            # a query that is in the gallery has its row there
            mine = rows.stacked(mine, graph.of(retrieval_set.own[there])) if len(there) else mine
        lists, weights = graph.lists[:images], graph.weights[:images]
        held = rows.size(mine, *graph.steps) + lists.nbytes + weights.nbytes
        for start, stop in retrieval_set.blocks(
            images * 4, fixed_bytes=held, what="GNN re-ranking distances"
        ):
            product = np.zeros((stop - start, images), np.float32)
            rows.add_summed_product(mine, at[start:stop], right, lists, weights, product)
            distance = retrieval_set.block(start, stop)
            # 1 - ((1 - lam) product + lam (1 - distance))
            distance *= np.float32(self.lam)
            product *= np.float32(1 - self.lam)
            distance -= product
            distance += np.float32(1 - self.lam)
            yield retrieval_set.distance_block(start, distance)

    def _propagated(self, near: Neighbors) -> "_Graph":
        n = len(near.index)
        lists = rows.with_self(near.index)
        mine = rows.listed(
            lists[:, : self.k1], np.ones((n, min(self.k1, lists.shape[1])), np.float32)
        )
        if self._plain:
            return _Graph(
                (rows.identity(n),),
                lists[:, : self.k1],
                np.ones((n, min(self.k1, lists.shape[1])), np.float32),
            )
        lists, weights = lists[:, : self.k2], self._weights(near)
        # A + A^T: an image hears those that it lists and those that list it
        steps = [rows.symmetric(mine)]
        for _ in range(self.layers - 1):
            mine = rows.summed(steps[-1], lists, weights, width=n)
            rows.to_unit_length(mine)
            steps.append(rows.symmetric(mine))
        weights = weights / rows.summed_lengths(steps[-1], lists, weights, width=n)[:, None]
        return _Graph(tuple(steps), lists, weights)

    @property
    def _plain(self) -> bool:
        return self.k2 == 1 or self.layers == 0

    def _weights(self, near: Neighbors) -> Float32[np.ndarray, "n k2"]:
        """|cosine|^alpha of the first k2 of each list, the image itself (1) first."""
        cosine = np.abs(1 - near.distance[:, : self.k2 - 1])
        return np.concatenate(
            [np.ones((len(cosine), 1), np.float32), cosine**self.alpha], axis=1, dtype=np.float32
        )

    def _inserted(
        self, retrieval_set: RetrievalSet, near: Neighbors, graph: "_Graph"
    ) -> rows.Matrix:
        """The rows that queries have if the gallery's stay as they are.

        A query hears the images of its list, and is heard by those to which it is no farther than
        their own last neighbour. It is itself a column of its row, one that no gallery image has.
        """
        images, count = retrieval_set.gallery_count, retrieval_set.query_count
        queries = retrieval_set.neighbors(max(self.k1, self.k2) - 1, side="query")
        lists, distance = queries.index[:, : self.k1 - 1], queries.distance[:, : self.k1 - 1]
        lists = np.concatenate([np.full((count, 1), images, np.int32), lists], axis=1)
        values = np.ones(lists.shape, np.float32)
        if self._plain:
            return rows.listed(lists, values)
        # the gallery image's own last neighbour; where it has fewer others, every query is near
        # enough
        reach = (
            near.distance[:, self.k1 - 2]
            if 2 <= self.k1 <= near.k + 1
            else np.full(images, np.inf, np.float32)
        )
        values[:, 0] = 2
        values[:, 1:] += distance <= reach[lists[:, 1:]]
        mine = rows.listed(lists, values)
        weights = self._weights(queries)
        for layer, step in enumerate(graph.steps):
            if layer:
                # whom of the gallery it is heard by now can't be known without changing their rows:
                # taken to be whom it hears
                mine = mine[0], mine[1], 2 * mine[2]
            both, chosen = rows.inserted(step, mine, queries.index[:, : self.k2 - 1])
            mine = rows.summed(both, chosen, weights, width=images + 1)
            rows.to_unit_length(mine)
        return mine


@dataclass(frozen=True, eq=False)
class _Graph:
    """The rows of a set of images: row i is the sum over a of weights[i, a] times row lists[i, a]
    of the last step.

    Attributes:
        steps: the symmetric matrices that the layers take their rows from.
        lists: int32 [n, k], the images whose rows are summed, the image itself first.
        weights: float32 [n, k], scaled so that the summed row has unit length.
    """

    steps: tuple[rows.Matrix, ...]
    lists: Int32[np.ndarray, "n k"]
    weights: Float32[np.ndarray, "n k"]

    def of(self, nodes: NDArray[np.int64]) -> rows.Matrix:
        """The rows of some images."""
        return rows.summed(
            self.steps[-1], self.lists[nodes], self.weights[nodes], width=len(self.lists)
        )
