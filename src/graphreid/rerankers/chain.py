"""`A+B`: one re-ranker after another.

Where A gives new vectors, B runs on them. Where A gives distances, every image, probe or gallery, is A's probe once, and B
starts from the lists that come out: a re-ranked affinity, of bounded size; or, where A's distances are one, from that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

from graphreid.compute import Compute
from graphreid.gallery import Gallery
from graphreid.graph.reranked import Reranked
from graphreid.protocols import (
    ONLINE,
    TRANSDUCTIVE,
    Affinity,
    FromAffinity,
    GivesAffinity,
    Reranker,
    Rescores,
    Transforms,
    fingerprint,
)
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Chain:
    """One re-ranker after another.

    Attributes:
        first: A. It either has `transform` (new vectors) or a `tail` (new distances for the nearest images).
        second: B. After distances it must be one that any distances will do for (`needs` is "affinity").

    Raises:
        ValueError: the two don't fit.
    """

    first: Reranker
    second: Reranker

    name: ClassVar[str] = "chain"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    needs: ClassVar[str] = "vectors"

    def __post_init__(self) -> None:
        one, other = _name(self.first), _name(self.second)
        if gives_vectors(self.first):
            return
        _rescoring(self.first)
        if self.second.needs != "affinity" or not isinstance(self.second, FromAffinity):
            raise ValueError(f"{one}+{other}: {other} needs vectors, and {one} gives distances; aqe and dba give vectors")

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
    def tail(self) -> float:
        """The second's, which gives the distances."""
        return _rescoring(self.second).tail

    @property
    def least(self) -> float:
        """The second's."""
        return _rescoring(self.second).least

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        compute: Compute | None = None,
    ) -> "Chain":
        """Fit each of the two on the embeddings as given; returns itself."""
        compute = compute or Compute()
        self.first.fit(train, labels, validation=validation, compute=compute)
        self.second.fit(train, labels, validation=validation, compute=compute)
        return self

    def transform(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> tuple[Features, Features]:
        """The second's new vectors, made from the first's.

        Raises:
            ValueError: one of the two gives distances.
        """
        if not isinstance(self.first, Transforms) or not isinstance(self.second, Transforms):
            one, other = _name(self.first), _name(self.second)
            raise ValueError(f"{one}+{other} gives distances, not vectors")
        compute = compute or Compute()
        probes, images = self._transformed(self.first, query, gallery, compute)
        return self.second.transform(probes, images, compute=compute)

    def distances(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> Iterator[DistanceBlock]:
        """Distances of every probe to the gallery, in blocks."""
        compute = compute or Compute()
        if isinstance(self.first, Transforms) and gives_vectors(self.first):
            probes, images = self._transformed(self.first, query, gallery, compute)
            yield from self.second.distances(probes, images, compute=compute)
        elif isinstance(self.second, FromAffinity):
            yield from self.second.from_affinity(self._affinity(query, gallery, compute))

    def _affinity(self, query: Features, gallery: Gallery, compute: Compute) -> Affinity:
        """What the second starts from."""
        if isinstance(self.first, GivesAffinity):
            return self.first.affinity(query, gallery, compute=compute)
        return Reranked(self.first, query, gallery, compute=compute)

    def _transformed(self, method: Transforms, query: Features, gallery: Gallery, compute: Compute) -> tuple[Features, Gallery]:
        probes, images = method.transform(query, gallery, compute=compute)
        if images is gallery.features:
            return probes, gallery
        make = lambda: Gallery(images, metric=getattr(method, "metric", gallery.metric))  # noqa: E731
        # an online method's new gallery is the gallery's own, and so are its lists: they stay with it
        online = self.first.setting == ONLINE
        return probes, gallery.derived((fingerprint(method), "gallery"), make) if online else make()


def chained(first: Reranker, second: Reranker) -> Reranker:
    """One re-ranker after another, as a re-ranker.

    Raises:
        ValueError: the two don't fit.
    """
    # whether a chain uses cameras is no fact of its class, as the protocol has it, but of what it is made of
    return cast("Reranker", Chain(first, second))


def gives_vectors(method: Reranker) -> bool:
    """Whether what follows runs on new vectors of `method`."""
    if isinstance(method, Chain):
        return gives_vectors(method.first) and gives_vectors(method.second)
    return isinstance(method, Transforms)


def _rescoring(method: Reranker) -> Rescores:
    if not isinstance(method, Rescores):
        raise ValueError(f"{_name(method)} gives neither vectors nor a tail: it can't stand before another method")
    return method


def _name(method: Reranker) -> str:
    if isinstance(method, Chain):
        return f"{_name(method.first)}+{_name(method.second)}"
    return str(getattr(method, "name", type(method).__name__))
