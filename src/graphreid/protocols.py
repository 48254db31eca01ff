"""What an embedder and a re-ranker promise. Methods are final dataclasses; nothing inherits from
these.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.datasets.images import Images
from graphreid.gallery import Gallery, RetrievalSet, Side
from graphreid.options import flat_options
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Explanation, Features, Labels, Neighbors

T = TypeVar("T")
ONLINE, TRANSDUCTIVE = "online", "transductive"


@runtime_checkable
class Embedder(Protocol):
    """Turns images into vectors. Fields are hyper-parameters; what `fit` learned ends in an
    underscore.
    """

    def fit(self, images: Images, labels: Labels, *, resources: Resources = ...) -> "Embedder":
        """Learn from labelled images, forgetting what was learned before; returns itself."""
        ...

    def embed(self, images: Images, *, resources: Resources = ...) -> Features:
        """A vector for each image, in their order."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Gives the distances of queries to a gallery, by what the gallery says about each match.

    Attributes:
        version: raised when the method's numbers change; results of another version are others.
        settings: "online" (a query sees the gallery alone), "transductive" (it sees the other
            queries too), or both.
        setting: the one in use; by default as published.
        takes: what it starts from, "distances" (of whatever kind) or "vectors".
        uses_camera: whether `Features.camera` has an influence.
        comparable: whether distances of different queries may be held against one threshold (those
            that are scaled by query may not; a link probability always may).
    """

    version: ClassVar[int]
    settings: ClassVar[frozenset[str]]
    takes: ClassVar[str]
    uses_camera: ClassVar[bool]
    comparable: ClassVar[bool]

    @property
    def setting(self) -> str:
        """The setting in use."""
        ...

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources = ...,
    ) -> "Reranker":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself."""
        ...

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources = ...
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to every gallery image, in blocks of queries, in the order of
        the queries.
        """
        ...


@dataclass(frozen=True, eq=False)
class Corrections:
    """Distances that another method changed: base distance + `unscored_offset` + the sparse
    `entries`, a row an image that was the query.

    Attributes:
        entries: compressed rows (start, column, value), one a node; in the online view one a
            gallery image, then one a query.
        queries: int64 [q], the row of each query.
        unscored_offset: what is added to every base distance.
    """

    entries: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
    queries: Int64[np.ndarray, " q"]
    unscored_offset: float


@runtime_checkable
class DistanceSource(Protocol):
    """What a re-ranker starts from: distances of some queries and a gallery.

    `gallery.RetrievalSet` gives those of vectors, `distances.from_reranker.RerankedDistances` those
    that another method made. Nodes 0 .. g-1 are the gallery; queries that are not in it follow in
    their order. Distances need not be symmetric: the first image of a pair is the one that was the
    query.

    Attributes:
        base: the queries and the gallery, with the vectors that the distances are made of.
    """

    @property
    def base(self) -> RetrievalSet:
        """Queries and gallery."""
        ...

    def neighbors(self, k: int, *, side: Side) -> Neighbors:
        """The k nearest others of each node ("union": [n, k]) or gallery image ("gallery": [g, k]),
        or the k nearest gallery images of each query ("query": [q, k]).
        """
        ...

    def pairs(
        self, left: Int32[np.ndarray, " e"], right: Int32[np.ndarray, " e"], *, side: Side
    ) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs: of nodes ("union"), of gallery images ("gallery"), or of a
        query and a gallery image ("query").
        """
        ...

    def among(self, rows: Int32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b k k"]:
        """Distances between the gallery images of each list, as the gallery alone gives them."""
        ...

    def block(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the queries start .. stop-1 to the whole gallery."""
        ...

    def candidates(
        self, queries: Int64[np.ndarray, " b"], index: Int32[np.ndarray, "b r"]
    ) -> Float32[np.ndarray, "b r"]:
        """Distances of listed queries to the gallery images in their lists (+inf where -1), without
        a row of distances to the whole gallery.
        """
        ...

    def blocks(
        self, row_bytes: int = 0, *, fixed_bytes: int = 0, what: str = "distances"
    ) -> Iterator[tuple[int, int]]:
        """Ranges of queries, as large as the memory allows when a query takes `row_bytes` beside
        its two rows of distances.
        """
        ...

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a value of the gallery's side alone, kept with the gallery under `key`."""
        ...

    def corrections(self, *, online: bool) -> Corrections | None:
        """What was changed in the distances of `base`; None where nothing was."""
        ...


@runtime_checkable
class TakesDistances(Protocol):
    """A re-ranker that can start from any distances (`takes` is "distances"), and so stand after
    another in A+B.
    """

    def from_distances(self, source: DistanceSource) -> Iterator[DistanceBlock]:
        """What `distances` gives, from any distances instead of those of vectors."""
        ...


@runtime_checkable
class GivesDistances(Protocol):
    """A re-ranker that knows the distance of any two images, so that another method can start from
    these in A+B.
    """

    def distance_source(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = ...
    ) -> DistanceSource:
        """Queries and gallery, with these distances."""
        ...


@runtime_checkable
class Transforms(Protocol):
    """A re-ranker that gives new vectors; in A+B the other method runs on them.

    Where it has an attribute `metric`, that is what the distance of two of them is; else it is what
    it was.
    """

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources = ...
    ) -> tuple[Features, Features]:
        """The queries' and the gallery's new vectors, with their items and cameras."""
        ...


@runtime_checkable
class GivesScores(Protocol):
    """A re-ranker that scores some of the gallery's images and moves all others behind by a
    constant, and so can stand first in A+B.
    """

    @property
    def unscored_offset(self) -> float:
        """What is added to the base distance of an image that the method does not score, or that
        A+B does not keep.
        """
        ...

    @property
    def min_distance(self) -> float:
        """No distance is below it; in A+B it becomes 0."""
        ...


@runtime_checkable
class Learned(Protocol):
    """A re-ranker that learns, as `graphreid fit` needs it.

    Attributes:
        presets: settings by name, each a set of options that differ from the defaults.
        record_: facts about the fit, kept with the method; a JSON object, empty before.
    """

    presets: ClassVar[dict[str, dict[str, Any]]]
    record_: dict[str, Any]

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> Reranker:
        """As `Reranker.fit`; with a folder, from where an earlier call stopped, to the same end
        result.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """A re-ranker that gives its graph of a query."""

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The graph of one query, from the forward pass that gives its distances.

        Raises:
            ValueError: not one query.
        """
        ...


@runtime_checkable
class HasGraphWeights(Protocol):
    """A re-ranker that gives the edge weights among a few images, for a heat map."""

    def graph_weights(
        self, features: Features, *, resources: Resources | None = None
    ) -> dict[str, Float32[np.ndarray, "n n"]]:
        """By the name of each graph: weight [i, j] with which image i aggregates image j."""
        ...


def need_cosine(source: DistanceSource, method: str) -> None:
    """Raises ValueError where distances are not 1 - cosine, nor made of it."""
    if source.base.metric != "cosine":
        raise ValueError(f"{method} needs cosine similarities: use a gallery with metric='cosine'")


def fingerprint(method: Any) -> tuple[str, str]:
    """Names a method with its options, and what it has learned; values derived from a gallery are
    kept under it.
    """
    learned = hashlib.blake2b(digest_size=16)
    for key, value in sorted(vars(method).items()):
        if isinstance(value, Reranker):
            learned.update(repr(fingerprint(value)).encode())
        elif key.endswith("_"):
            tensors: dict[str, Any] = value if isinstance(value, dict) else {"": value}
            for name, part in sorted(tensors.items()):
                is_tensor = isinstance(part, torch.Tensor)
                known = (
                    part.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
                    if is_tensor
                    else repr(part).encode()
                )
                learned.update(f"{key}{name}:".encode() + known)
    return described(method), learned.hexdigest()


def described(method: Any) -> str:
    """A method with its options, as text."""
    options = ", ".join(f"{name}={value!r}" for name, value in flat_options(method).items())
    return f"{type(method).__name__}({options})"
