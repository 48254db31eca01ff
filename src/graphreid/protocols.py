"""What an embedder and a re-ranker promise. Methods are final dataclasses; nothing inherits from these."""

from collections.abc import Iterator
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, Int64

from graphreid.compute import Compute
from graphreid.data.images import Images
from graphreid.gallery import Gallery
from graphreid.types import DistanceBlock, Features, Labels, Neighbors

ONLINE, TRANSDUCTIVE = "online", "transductive"


@runtime_checkable
class Embedder(Protocol):
    """Turns images into vectors. Fields are hyper-parameters; what `fit` learned ends in an underscore."""

    def fit(self, images: Images, labels: Labels, *, compute: Compute = ...) -> "Embedder":
        """Learn from labelled images, forgetting what was learned before; returns itself."""
        ...

    def embed(self, images: Images, *, compute: Compute = ...) -> Features:
        """A vector for each image, in their order."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Gives the distances of probes to a gallery, by what the gallery says about each match.

    Attributes:
        settings: "online" (a probe sees the gallery alone), "transductive" (it sees the other probes too), or both.
        setting: the one in use; by default as published.
        needs: "affinity" (any distances will do) or "vectors" (coordinates are needed).
        uses_camera: whether `Features.camera` has an influence.
    """

    settings: ClassVar[frozenset[str]]
    needs: ClassVar[str]
    uses_camera: ClassVar[bool]

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
        compute: Compute = ...,
    ) -> "Reranker":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself."""
        ...

    def distances(self, query: Features, gallery: Gallery, *, compute: Compute = ...) -> Iterator[DistanceBlock]:
        """Distances of every probe to every gallery image, in blocks of probes, in the order of the probes."""
        ...


@runtime_checkable
class Affinity(Protocol):
    """What a re-ranker starts from: a union of gallery and probes, with distances (see `gallery.Pool`)."""

    own: Int64[np.ndarray, " q"]

    @property
    def probes(self) -> int:
        """How many probes there are."""
        ...

    def neighbors(self, k: int) -> Neighbors:
        """Each node's k nearest others in the union."""
        ...

    def probe_neighbors(self, k: int) -> Neighbors:
        """Each probe's k nearest gallery images."""
        ...

    def gallery_neighbors(self, k: int) -> Neighbors:
        """Each gallery image's k nearest others in the gallery."""
        ...

    def distances(self, start: int, stop: int) -> Float32[np.ndarray, "b g"]:
        """Distances of the probes start .. stop-1 to the gallery."""
        ...

    def pairs(self, nodes: Int32[np.ndarray, " e"], others: Int32[np.ndarray, " e"]) -> Float32[np.ndarray, " e"]:
        """Distances of listed pairs of nodes."""
        ...
