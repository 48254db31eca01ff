"""CA-Jaccard: k-reciprocal sets within an image's camera and across the others, so that neither
crowds out the other.

Chen, Fan, Chen, Zheng, Wang: CA-Jaccard: Camera-aware Jaccard Distance for Person
Re-identification, CVPR 2024. Where the text
and the authors' published code differ, the code is followed (docs/methods/ca-jaccard.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Int32
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import csr as rows
from graphreid.knn.exact import search
from graphreid.protocols import ONLINE, TRANSDUCTIVE, need_cosine
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, Neighbors

WIDE = 64
"""Neighbours of whatever camera, among which both lists are looked for; rows with too few of a kind
are searched apart.
"""


@dataclass
class CAJaccard:
    """Camera-aware Jaccard distance.

    Attributes:
        k1_intra, k1_inter: neighbours in the image's own camera, itself not counted, and (k1_inter
            + 1 of them, as in the published code) in the others, among which reciprocity is judged.
        k2_intra, k2_inter: rows that are averaged of the first, the image itself counted, and of
            the second.
        lam: weight of the original distance in [0, 1], the cosine distance over its largest in the
            row, as in k-reciprocal.
        setting: "transductive" as published, or "online": the gallery's lists and rows are its own,
            and query p and image g are reciprocal iff g is in p's list and p is no farther from g
            than the last image of g's list of that kind.

    Raises:
        ValueError: a value out of its range.
    """

    k1_intra: int = 5
    k1_inter: int = 20
    k2_intra: int = 2
    k2_inter: int = 4
    lam: float = 0.3
    setting: str = TRANSDUCTIVE

    name: ClassVar[str] = "ca-jaccard"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = True
    comparable: ClassVar[bool] = False
    unscored_offset: ClassVar[float] = 1.0
    min_distance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if min(self.k1_intra, self.k1_inter, self.k2_inter) < 0 or self.k2_intra < 1:
            raise ValueError(
                f"k1_intra is {self.k1_intra}, k1_inter {self.k1_inter}, k2_intra {self.k2_intra} "
                f"and k2_inter "
                f"{self.k2_inter}: at least 0, and 1 for k2_intra, are needed"
            )
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
    ) -> "CAJaccard":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: (1 - lam) Jaccard + lam original.

        Raises:
            ValueError: queries or gallery have no cameras.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        need_cosine(retrieval_set, self.name)
        if query.camera is None or gallery.features.camera is None:
            side = "the queries" if query.camera is None else "the gallery"
            raise ValueError(
                f"ca-jaccard needs the camera of every image, and {side} have none: give a camera "
                f"column"
            )
        cameras = gallery.features.camera
        if self.setting == TRANSDUCTIVE:
            union_cameras = np.concatenate([cameras, query.camera[retrieval_set.own < 0]])
            near = retrieval_set.neighbors(WIDE, side="union")
            side = self._side(
                retrieval_set.union_vectors,
                union_cameras,
                near,
                retrieval_set.gallery_count,
                retrieval_set.resources,
            )
            yield from self._blend(
                retrieval_set,
                side.mean,
                retrieval_set.nodes,
                side.by_column,
                near.farthest[retrieval_set.nodes],
            )
        else:
            near = retrieval_set.neighbors(WIDE, side="gallery")
            key = (self.name, self.k1_intra, self.k1_inter, self.k2_intra, self.k2_inter)
            side = retrieval_set.derived(
                key,
                lambda: self._side(
                    gallery.vectors,
                    cameras,
                    near,
                    retrieval_set.gallery_count,
                    retrieval_set.resources,
                ),
            )
            queries = retrieval_set.neighbors(WIDE, side="query")
            fresh = np.flatnonzero(retrieval_set.own < 0)
            mine = self._inserted(retrieval_set, query.camera[fresh], side, queries, fresh)
            farthest = np.where(
                retrieval_set.own >= 0, near.farthest[retrieval_set.own], queries.farthest
            )
            at = np.cumsum(retrieval_set.own < 0) - 1
            if len(fresh) < retrieval_set.query_count:
                # a query that is in the gallery has its row there
                mine = rows.stacked(mine, side.mean)
                at = np.where(retrieval_set.own >= 0, len(fresh) + retrieval_set.own, at)
            yield from self._blend(retrieval_set, mine, at, side.by_column, farthest)

    def _blend(
        self,
        retrieval_set: RetrievalSet,
        mine: rows.Matrix,
        at: NDArray[np.int64],
        by_column: rows.Matrix,
        farthest: Float32[np.ndarray, " q"],
    ) -> Iterator[DistanceBlock]:
        from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415  # heavy, and not for the GPU path

        scale = np.divide(1, farthest, out=np.zeros_like(farthest), where=farthest > 0)
        held = rows.size(mine, by_column)
        for start, stop in retrieval_set.blocks(
            retrieval_set.gallery_count * 4, fixed_bytes=held, what="CA-Jaccard distances"
        ):
            distance = retrieval_set.block(start, stop)
            jaccard.blend_jaccard(
                *mine, at[start:stop], *by_column, self.lam, distance, scale[start:stop]
            )
            yield retrieval_set.distance_block(start, distance)

    def _side(
        self,
        vectors: Float32[np.ndarray, "n d"],
        cameras: NDArray[np.int64],
        near: Neighbors,
        images: int,
        resources: Resources,
    ) -> "_Side":
        """The rows of a set of images, and those of its first `images` by column."""
        n = len(vectors)
        found = _Found(vectors, cameras, near, vectors, cameras, np.arange(n), resources)
        intra, inter = (
            found.lists(self.k1_intra, same=True),
            found.lists(self.k1_inter + 1, same=False),
        )
        index = np.concatenate([intra.index, inter.index], axis=1)
        mutual = np.concatenate([_mutual(intra.index), _mutual(inter.index)], axis=1)
        distance = np.concatenate([intra.distance, inter.distance], axis=1)
        itself = np.arange(n, dtype=np.int32)[:, None]
        plain = _softmax(
            np.concatenate([itself, np.where(mutual, index, np.int32(-1))], axis=1),
            np.concatenate([np.zeros((n, 1), np.float32), distance], axis=1),
        )
        mean = self._mean(plain, np.concatenate([itself, self._averaged(found)], axis=1), n)
        return _Side(plain, mean, rows.transposed(mean, n, rows=images), intra.reach, inter.reach)

    def _inserted(
        self,
        retrieval_set: RetrievalSet,
        cameras: NDArray[np.int64],
        side: "_Side",
        queries: Neighbors,
        fresh: NDArray[np.intp],
    ) -> rows.Matrix:
        """The rows that queries have if the gallery's stay as they are; the queries themselves are
        no column.
        """
        gallery = retrieval_set.gallery
        assert gallery.features.camera is not None  # noqa: S101  # `distances` has looked
        mine = Neighbors(queries.index[fresh], queries.distance[fresh], queries.farthest[fresh])
        nobody = np.full(len(fresh), -1)
        found = _Found(
            gallery.vectors,
            gallery.features.camera,
            mine,
            retrieval_set.query_vectors[fresh],
            cameras,
            nobody,
            retrieval_set.resources,
        )
        intra, inter = (
            found.lists(self.k1_intra, same=True),
            found.lists(self.k1_inter + 1, same=False),
        )
        index = np.concatenate([intra.index, inter.index], axis=1)
        distance = np.concatenate([intra.distance, inter.distance], axis=1)
        reach = np.concatenate(
            [side.reach_intra[intra.index], side.reach_inter[inter.index]], axis=1
        )
        index = np.where((index >= 0) & (distance <= reach), index, np.int32(-1))
        # the query is in its own set, with weight exp(0)
        plain = _softmax(index, distance, more=1.0)
        both, lists = rows.inserted(side.plain, plain, self._averaged(found))
        return self._mean(both, lists, len(gallery))

    def _averaged(self, found: "_Found") -> Int32[np.ndarray, "m k"]:
        """The others whose rows an image's row is averaged with."""
        intra, inter = (
            found.lists(self.k2_intra - 1, same=True),
            found.lists(self.k2_inter, same=False),
        )
        return np.concatenate([intra.index, inter.index], axis=1)

    def _mean(
        self, matrix: rows.Matrix, lists: Int32[np.ndarray, "m k"], width: int
    ) -> rows.Matrix:
        """Means of listed rows; where a camera has too few images, of those there are."""
        count = (lists >= 0).sum(axis=1, keepdims=True)
        return rows.summed(
            matrix, lists, np.broadcast_to(1 / count, lists.shape).astype(np.float32), width=width
        )


@dataclass(frozen=True, eq=False)
class _Side:
    """The rows of a set of images.

    Attributes:
        plain, mean: before and after averaging.
        by_column: the transpose of the gallery's mean rows.
        reach_intra, reach_inter: float32 [n], how far an image's lists reach; everywhere, where a
            list is not full.
    """

    plain: rows.Matrix
    mean: rows.Matrix
    by_column: rows.Matrix
    reach_intra: Float32[np.ndarray, " n"]
    reach_inter: Float32[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class _Lists:
    """Neighbours of one kind, nearest first; -1 and +inf where there are fewer."""

    index: Int32[np.ndarray, "m k"]
    distance: Float32[np.ndarray, "m k"]

    @property
    def reach(self) -> Float32[np.ndarray, " m"]:
        """The distance of the last image, +inf where the list is not full."""
        if not self.index.shape[1]:
            return np.full(len(self.index), -np.inf, np.float32)
        return self.distance[:, -1]


@dataclass(frozen=True, eq=False)
class _Found:
    """Neighbours of whatever camera, and what it takes to look for more of one kind.

    Attributes:
        vectors, cameras: the images among which is looked.
        near: neighbours of the m images for which is looked; nearest, vectors, cameras and own rows
            (-1: none) of these follow.
    """

    vectors: Float32[np.ndarray, "n d"]
    cameras: NDArray[np.int64]
    near: Neighbors
    queries: Float32[np.ndarray, "m d"]
    query_cameras: NDArray[np.int64]
    own: NDArray[np.int64]
    resources: Resources

    def lists(self, k: int, *, same: bool) -> _Lists:
        """The k nearest of the same camera, or of the others."""
        k = min(k, len(self.cameras))
        kind = (self.cameras[self.near.index] == self.query_cameras[:, None]) == same
        first = np.argsort(~kind, axis=1, kind="stable")[:, :k]
        here = np.take_along_axis(kind, first, 1)
        index = np.full((len(here), k), -1, np.int32)
        distance = np.full((len(here), k), np.inf, np.float32)
        index[:, : here.shape[1]] = np.where(
            here, np.take_along_axis(self.near.index, first, 1), -1
        )
        distance[:, : here.shape[1]] = np.where(
            here, np.take_along_axis(self.near.distance, first, 1), np.inf
        )
        short = (index >= 0).sum(axis=1) < np.minimum(k, self._available(same))
        for camera in np.unique(self.query_cameras[short]):
            among = np.flatnonzero((self.cameras == camera) == same)
            for inside in (True, False):
                some = np.flatnonzero(
                    short & (self.query_cameras == camera) & ((self.own >= 0) == inside)
                )
                if len(some):
                    own = (
                        np.searchsorted(among, self.own[some])
                        if inside and same
                        else np.full(len(some), -1)
                    )
                    more = search(
                        self.vectors[among],
                        k,
                        queries=self.queries[some],
                        own=own,
                        resources=self.resources,
                    )
                    index[some, : more.k] = among[more.index]
                    distance[some, : more.k] = more.distance
        return _Lists(index, distance)

    def _available(self, same: bool) -> NDArray[np.int64]:
        """How many images of a kind there are, the image itself left out."""
        known, count = np.unique(self.cameras, return_counts=True)
        place = np.minimum(np.searchsorted(known, self.query_cameras), len(known) - 1)
        alike = np.where(known[place] == self.query_cameras, count[place], 0)
        return alike - (self.own >= 0) if same else len(self.cameras) - alike


def _mutual(lists: Int32[np.ndarray, "n k"]) -> Bool[np.ndarray, "n k"]:
    """Where the listed image lists the image too."""
    from graphreid.kernels import neighbor_sets as jaccard  # noqa: PLC0415

    return (jaccard.back_rank(np.ascontiguousarray(lists)) < lists.shape[1]) & (lists >= 0)


def _softmax(
    index: Int32[np.ndarray, "m k"], distance: Float32[np.ndarray, "m k"], *, more: float = 0.0
) -> rows.Matrix:
    """Rows of exp(-squared Euclidean distance) over the images listed (-1: none), divided by their
    sum and `more`.
    """
    weight = np.where(index >= 0, np.exp(-2 * distance), 0)
    return rows.listed(
        index, (weight / (weight.sum(axis=1, keepdims=True) + more)).astype(np.float32)
    )
