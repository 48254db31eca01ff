"""`A+B`: one re-ranker after another.

Where A gives new vectors, B runs on them. Where A gives distances, every image, query or gallery,
is A's query once, and B
starts from the lists that come out, of bounded size; or, where A's distances
are one, from that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

from graphreid.distances.from_reranker import RerankedDistances
from graphreid.gallery import Gallery
from graphreid.protocols import (
    ONLINE,
    TRANSDUCTIVE,
    DistanceSource,
    GivesDistances,
    GivesScores,
    Reranker,
    TakesDistances,
    Transforms,
    fingerprint,
)
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Chain:
    """One re-ranker after another.

    Attributes:
        first: A. It either has `transform` (new vectors) or an `unscored_offset` (new distances for
            the nearest images).
        second: B. After distances it must be one that any distances will do for (`takes` is
            "distances").

    Raises:
        ValueError: the two don't fit.
    """

    first: Reranker
    second: Reranker

    name: ClassVar[str] = "chain"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "vectors"

    def __post_init__(self) -> None:
        one, other = _name(self.first), _name(self.second)
        if gives_vectors(self.first):
            return
        _rescoring(self.first)
        if self.second.takes != "distances" or not isinstance(self.second, TakesDistances):
            raise ValueError(
                f"{one}+{other}: {other} needs vectors, and {one} gives distances; aqe and dba "
                f"give vectors"
            )

    @property
    def setting(self) -> str:
        """ "online" if both are."""
        return ONLINE if self.first.setting == self.second.setting == ONLINE else TRANSDUCTIVE

    @property
    def uses_camera(self) -> bool:
        """Whether either does."""
        return self.first.uses_camera or self.second.uses_camera

    @property
    def comparable(self) -> bool:
        """Where those of the second method are."""
        return self.second.comparable

    @property
    def unscored_offset(self) -> float:
        """The second's, which gives the distances."""
        return _rescoring(self.second).unscored_offset

    @property
    def min_distance(self) -> float:
        """The second's."""
        return _rescoring(self.second).min_distance

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "Chain":
        """Fit each of the two on the embeddings as given; returns itself."""
        resources = resources or Resources()
        self.first.fit(train, labels, validation=validation, resources=resources)
        self.second.fit(train, labels, validation=validation, resources=resources)
        return self

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        """The second's new vectors, made from the first's.

        Raises:
            ValueError: one of the two gives distances.
        """
        if not isinstance(self.first, Transforms) or not isinstance(self.second, Transforms):
            one, other = _name(self.first), _name(self.second)
            raise ValueError(f"{one}+{other} gives distances, not vectors")
        resources = resources or Resources()
        queries, images = self._transformed(self.first, query, gallery, resources)
        return self.second.transform(queries, images, resources=resources)

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks."""
        resources = resources or Resources()
        if isinstance(self.first, Transforms) and gives_vectors(self.first):
            queries, images = self._transformed(self.first, query, gallery, resources)
            yield from self.second.distances(queries, images, resources=resources)
        elif isinstance(self.second, TakesDistances):
            yield from self.second.from_distances(self._source(query, gallery, resources))

    def _source(self, query: Features, gallery: Gallery, resources: Resources) -> DistanceSource:
        """What the second starts from."""
        if isinstance(self.first, GivesDistances):
            return self.first.distance_source(query, gallery, resources=resources)
        return RerankedDistances(self.first, query, gallery, resources=resources)

    def _transformed(
        self, method: Transforms, query: Features, gallery: Gallery, resources: Resources
    ) -> tuple[Features, Gallery]:
        queries, images = method.transform(query, gallery, resources=resources)
        if images is gallery.features:
            return queries, gallery
        make = lambda: Gallery(images, metric=getattr(method, "metric", gallery.metric))  # noqa: E731
        # an online method's new gallery is the gallery's own, and so are its lists: they stay with
        # it
        online = self.first.setting == ONLINE
        return queries, gallery.derived(
            (fingerprint(method), "gallery"), make
        ) if online else make()


def chained(first: Reranker, second: Reranker) -> Reranker:
    """One re-ranker after another, as a re-ranker.

    Raises:
        ValueError: the two don't fit.
    """
    # whether a chain uses cameras is no fact of its class, as the protocol has it, but of what it
    # is made of
    return cast("Reranker", Chain(first, second))


def gives_vectors(method: Reranker) -> bool:
    """Whether what follows runs on new vectors of `method`."""
    if isinstance(method, Chain):
        return gives_vectors(method.first) and gives_vectors(method.second)
    return isinstance(method, Transforms)


def _rescoring(method: Reranker) -> GivesScores:
    if not isinstance(method, GivesScores):
        raise ValueError(
            f"{_name(method)} gives neither vectors nor an unscored_offset: it "
            f"can't stand before another method"
        )
    return method


def _name(method: Reranker) -> str:
    if isinstance(method, Chain):
        return f"{_name(method.first)}+{_name(method.second)}"
    return str(getattr(method, "name", type(method).__name__))
