"""The package's data types: immutable values, checked when they are created.

`Features` are the inputs of inference; they have no identities, so that a re-ranker can't use
labels. `Labels` are given to `fit` and `evaluate` only. A re-ranker returns a stream of
`DistanceBlock`s.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32, Int32, Int64, Shaped
from numpy.typing import NDArray

from graphreid.arrays import Array, as_pandas, to_numpy

if TYPE_CHECKING:
    import pandas

NORMAL = 0
JUNK = 1
DISTRACTOR = 2
ROLES = ("normal", "junk", "distractor")

Zero = Literal["refuse", "keep"]

Text = Shaped[np.ndarray, " n"]
"""Text [n]. (NumPy's text types differ in length, and run-time checkers would tell them apart.)"""


def codes(values: Array, what: str) -> NDArray[np.int64]:
    """Convert ids, numbers or text, to integers; the same id is the same integer in every file.

    Integers are unchanged, and so is text that spells one canonically ("17", "-1", not "017").
    Other text becomes a 62-bit hash, at least 2^40, which collides with no number in use.

    Args:
        values: [n] integers, or text.
        what: the name of the values in an error message.

    Returns:
        int64 [n].

    Raises:
        ValueError: a value is neither, the array is not one-dimensional, or text is empty.
    """
    array = to_numpy(values, what)
    if array.ndim != 1:
        raise ValueError(f"{what} must be one value a row, not an array of shape {array.shape}")
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f" and bool(np.all(np.isfinite(array) & (array == np.round(array)))):
        return array.astype(np.int64)
    if array.dtype.kind not in "UOT":
        raise ValueError(f"{what} must be integers or text, not {array.dtype}")
    names, inverse = np.unique(array.astype(str), return_inverse=True)
    if names.size and not names[0].strip():
        row = int(np.flatnonzero(inverse == 0)[0])
        raise ValueError(f"{what} is empty in row {row}: name it, or leave the row out")
    return np.array([_code(name) for name in names.tolist()], np.int64)[inverse.reshape(-1)]


def _code(name: str) -> int:
    digits = name.removeprefix("-")
    if digits.isdecimal() and digits.isascii() and len(digits) <= 12 and str(int(name)) == name:
        return int(name)
    return (
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 2 | 1 << 40
    )


@dataclass(frozen=True, eq=False, init=False)
class Features:
    """Embedding vectors of images with their ids, and cameras where they are known.

    Attributes:
        vectors: float32 [n, d], as the network gave them (`Gallery` normalises, once). Given are
            arrays or tables of numpy, torch, pandas, Arrow or another library (`arrays.to_numpy`),
            of any float type; likewise the other columns.
        items: text [n], unique. Without given items an id is unique to this object, so that no two
            objects share an image.
        camera: int64 [n], or None where the data has no cameras. Text is coded by value (`codes`).
        zero: what to do with a vector of zeros: "refuse" it with its row, or "keep" it (its cosine
            to everything is 0).

    Raises:
        ValueError: wrong shape or type, a row with NaN or infinity, a zero row, a repeated item,
            lengths that differ.
    """

    vectors: NDArray[np.float32]
    items: Text
    camera: NDArray[np.int64] | None
    zero: Zero

    def __init__(
        self,
        vectors: Array,
        items: Array | None = None,
        camera: Array | None = None,
        zero: Zero = "refuse",
    ) -> None:
        checked = _vectors(vectors)
        n = len(checked)
        source = secrets.token_hex(6)
        given = [f"{source}#{row}" for row in range(n)] if items is None else items
        names = to_numpy(given, "items").astype(str)
        if names.shape != (n,):
            raise ValueError(f"items has {names.size} values for {n} vectors: give one id a vector")
        _unique(names)
        cameras = None if camera is None else codes(camera, "camera")
        if cameras is not None and len(cameras) != n:
            raise ValueError(
                f"camera has {len(cameras)} values for {n} vectors: give one a vector, or none at "
                f"all"
            )
        _check_rows(checked, zero)
        object.__setattr__(self, "vectors", checked)
        object.__setattr__(self, "items", names)
        object.__setattr__(self, "camera", cameras)
        object.__setattr__(self, "zero", zero)

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def of(cls, given: "Features | Array") -> "Features":
        """Features as they are, or of vectors without items and cameras."""
        return given if isinstance(given, Features) else cls(given)

    @property
    def width(self) -> int:
        """Entries of a vector, d."""
        return int(self.vectors.shape[1])

    def take(self, rows: NDArray[Any]) -> "Features":
        """The images of `rows` (indices or a mask), in that order."""
        camera = None if self.camera is None else self.camera[rows]
        return Features(self.vectors[rows], self.items[rows], camera, self.zero)


@dataclass(frozen=True, eq=False, init=False)
class Labels:
    """Identity, camera and role of images: ground truth for `fit` and `evaluate`.

    Attributes:
        identity: int64 [n]; text is coded by value (`codes`).
        camera: int64 [n] or None, for protocols that ignore gallery images of the query's identity
            and camera.
        role: int8 [n], NORMAL, JUNK or DISTRACTOR; text is accepted. Not given: identity -1 is
            junk, all others normal.

    Raises:
        ValueError: lengths that differ, or a role that is none of the three.
    """

    identity: NDArray[np.int64]
    camera: NDArray[np.int64] | None
    role: NDArray[np.int8]

    def __init__(
        self, identity: Array, camera: Array | None = None, role: Array | None = None
    ) -> None:
        identities = codes(identity, "identity")
        n = len(identities)
        cameras = None if camera is None else codes(camera, "camera")
        if cameras is not None and len(cameras) != n:
            raise ValueError(
                f"camera has {len(cameras)} values for {n} identities: give one each, or none at "
                f"all"
            )
        roles = _roles(
            np.where(identities == -1, JUNK, NORMAL) if role is None else to_numpy(role, "role")
        )
        if len(roles) != n:
            raise ValueError(
                f"role has {len(roles)} values for {n} identities: give one each, or none at all"
            )
        object.__setattr__(self, "identity", identities)
        object.__setattr__(self, "camera", cameras)
        object.__setattr__(self, "role", roles)

    def __len__(self) -> int:
        return len(self.identity)

    @classmethod
    def of(cls, given: "Labels | Array") -> "Labels":
        """Labels as they are, or of identities without cameras."""
        return given if isinstance(given, Labels) else cls(given)

    def take(self, rows: NDArray[Any]) -> "Labels":
        """The labels of `rows` (indices or a mask), in that order."""
        camera = None if self.camera is None else self.camera[rows]
        return Labels(self.identity[rows], camera, self.role[rows])

    def classes(self) -> tuple[Int64[np.ndarray, " n"], int]:
        """Class numbers to train with, and how many classes there are.

        Returns:
            int64 [n], an image's identity as a number from 0; an image that is not normal has a
            negative number of its own. And the number of identities.

        Raises:
            ValueError: no identity has two images.
        """
        normal = self.role == NORMAL
        names, count = np.unique(self.identity[normal], return_counts=True)
        if not (count > 1).any():
            raise ValueError("no identity has two images: there is no right match to learn from")
        target = -1 - np.arange(len(self))
        target[normal] = np.searchsorted(names, self.identity[normal])
        return target, len(names)


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest neighbours of each row, without itself, by distance and then by index.

    Attributes:
        index: int32 [n, k].
        distance: float32 [n, k], ascending along a row.
        farthest: float32 [n], the largest distance of the row to any image searched.
    """

    index: Int32[np.ndarray, "n k"]
    distance: Float32[np.ndarray, "n k"]
    farthest: Float32[np.ndarray, " n"]

    @property
    def k(self) -> int:
        """Neighbours a row."""
        return int(self.index.shape[1])

    def first(self, k: int) -> "Neighbors":
        """The first `k` of each row (all, where there are fewer)."""
        return Neighbors(self.index[:, :k], self.distance[:, :k], self.farthest)


@dataclass(frozen=True, eq=False)
class DistanceBlock:
    """Distances of consecutive queries to all gallery images.

    Attributes:
        start: the first query's index among the queries.
        distance: float32 [b, g], smaller is closer, columns in gallery order; +inf where the
            gallery image is the query.
        probability: float32 [b, g] in [0, 1], that the two show one identity; None where a method
            gives none.
    """

    start: int
    distance: Float32[np.ndarray, "b g"]
    probability: Float32[np.ndarray, "b g"] | None = None


@dataclass(frozen=True, eq=False)
class Ranking:
    """The `top` nearest gallery images of each query, by distance and then by gallery index.

    A query that is itself in the gallery has one image fewer to find: its last entry is order -1,
    distance +inf.

    Attributes:
        order: int32 [q, top], gallery indices.
        distance: float32 [q, top], ascending.
        probability: float32 [q, top] or None.
    """

    order: Int32[np.ndarray, "q top"]
    distance: Float32[np.ndarray, "q top"]
    probability: Float32[np.ndarray, "q top"] | None = None

    def to_arrow(
        self, query_items: Array | None = None, gallery_items: Array | None = None
    ) -> Any:  # a pyarrow.Table, which has no types
        """A table with a row for each image found: query and image (their rows), rank (from 1),
        distance, and probability where there is one.

        Args:
            query_items: text [q], the queries' ids, for a column query_item.
            gallery_items: text [g], the gallery's, for a column item.
        """
        # here: the library is large, and few who rank want a table
        import pyarrow as pa  # noqa: PLC0415

        query, place = np.nonzero(self.order >= 0)
        image = self.order[query, place]
        columns: dict[str, NDArray[Any]] = {"query": query, "rank": place + 1, "image": image}
        if query_items is not None:
            columns["query_item"] = to_numpy(query_items, "query_items").astype(str)[query]
        if gallery_items is not None:
            columns["item"] = to_numpy(gallery_items, "gallery_items").astype(str)[image]
        columns["distance"] = self.distance[query, place]
        if self.probability is not None:
            columns["probability"] = self.probability[query, place]
        return pa.table(columns)

    def to_pandas(
        self, query_items: Array | None = None, gallery_items: Array | None = None
    ) -> "pandas.DataFrame":
        """The same as a pandas table.

        Raises:
            ValueError: pandas is not installed.
        """
        return as_pandas(self.to_arrow(query_items, gallery_items))


@dataclass(frozen=True, eq=False)
class Explanation:
    """How a method ranked one query: its graph of it, and each image's rank before and after.

    Weights and probabilities are those of the forward pass that gives the method's distances. The
    message of an edge goes from its source to its target: the target aggregates its sources, by
    weight. The query itself is not in `nodes`; its own edges are `query_weights`.

    Attributes:
        nodes: int64 [n], the gallery rows in the graph, each once, in the method's order.
        edges: int64 [e, 2], (source, target), both indices into `nodes`; each pair once.
        weights: float32 [e], of the edges, above 0.
        probability: float32 [n] in [0, 1], that a node shows the query's identity; None where the
            method predicts no links.
        rank_before: int64 [n], each node's rank in the whole gallery by the base distance, from 1.
        rank_after: int64 [n], its rank by the method's distance, from 1.
        query_weights: float32 [n], weight of the edge from each node to the query, 0 where there is
            none; None where the query is no node of the method's graph.
    """

    nodes: Int64[np.ndarray, " n"]
    edges: Int64[np.ndarray, "e 2"]
    weights: Float32[np.ndarray, " e"]
    probability: Float32[np.ndarray, " n"] | None
    rank_before: Int64[np.ndarray, " n"]
    rank_after: Int64[np.ndarray, " n"]
    query_weights: Float32[np.ndarray, " n"] | None = None


def positions(
    values: Shaped[np.ndarray, " n"], wanted: Shaped[np.ndarray, " m"]
) -> Int64[np.ndarray, " m"]:
    """The index of each wanted value among unique values: int64 [m], -1 where it is missing."""
    if not len(values):
        return np.full(len(wanted), -1)
    order = np.argsort(values, kind="stable")
    found = order[np.minimum(np.searchsorted(values, wanted, sorter=order), len(values) - 1)]
    return np.where(values[found] == wanted, found, -1)


def drop_junk(features: Features, labels: Labels) -> tuple[Features, Labels]:
    """Remove junk images: they never count in evaluation, and should be no nodes of a graph.

    Raises:
        ValueError: lengths that differ, or all are junk.
    """
    if len(features) != len(labels):
        raise ValueError(f"{len(labels)} labels for {len(features)} vectors: give one each")
    keep = labels.role != JUNK
    if not keep.any():
        raise ValueError(
            f"all {len(features)} images are junk (identity -1, or by their role): give some with "
            f"identities"
        )
    return (features, labels) if keep.all() else (features.take(keep), labels.take(keep))


def _vectors(given: Array) -> NDArray[np.float32]:
    vectors = to_numpy(given, "vectors")
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ValueError(f"vectors must be [images, width], not an array of shape {vectors.shape}")
    if vectors.dtype.kind not in "fiu":
        raise ValueError(f"vectors must be numbers, not {vectors.dtype}")
    if not len(vectors):
        raise ValueError("vectors is empty: there must be at least one image")
    with np.errstate(
        over="ignore"
    ):  # what is too large becomes infinity, and is refused with its row
        return np.ascontiguousarray(vectors, np.float32)


def _check_rows(vectors: NDArray[np.float32], zero: Zero) -> None:
    if zero not in ("refuse", "keep"):
        raise ValueError(f"zero is {zero!r}: choose 'refuse' or 'keep'")
    for start in range(0, len(vectors), 4096):
        block = vectors[start : start + 4096]
        # one pass: a sum of squares is finite and positive for every good row, whatever NaN or
        # infinity it holds
        squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        bad = ~np.isfinite(squares)
        if bad.any():
            raise ValueError(
                f"vectors has NaN or infinity in row {start + int(bad.argmax())}: mend or drop "
                f"that image"
            )
        if zero == "refuse" and (squares == 0).any():
            row = start + int((squares == 0).argmax())
            raise ValueError(
                f"vectors is all zeros in row {row}: drop that image, or keep it with zero='keep' "
                f"(--zero keep)"
            )


def _unique(items: Text) -> None:
    if len(set(items.tolist())) == len(items):
        return
    names, counts = np.unique(items, return_counts=True)
    name = str(names[counts > 1][0])
    rows = np.flatnonzero(items == name)[:2]
    raise ValueError(
        f"item {name!r} stands in rows {rows[0]} and {rows[1]}: an item is one image, give each "
        f"its own id"
    )


def _roles(given: NDArray[Any]) -> NDArray[np.int8]:
    if given.ndim != 1:
        raise ValueError(f"role must be one value a row, not an array of shape {given.shape}")
    if given.dtype.kind in "iu":
        if given.size and (given.min() < 0 or given.max() >= len(ROLES)):
            raise ValueError(f"role must be one of {', '.join(ROLES)}")
        return given.astype(np.int8)
    role = np.full(len(given), -1, np.int8)
    for code, name in enumerate(ROLES):
        role[given.astype(str) == name] = code
    if (role < 0).any():
        row = int((role < 0).argmax())
        raise ValueError(
            f"role is {str(given[row])!r} in row {row}: it must be one of {', '.join(ROLES)}"
        )
    return role
