"""A small examined set that several tests of the report share."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphreid.gallery import Gallery
from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.protocol import MARKET, Protocol
from graphreid.metrics.report import Report
from graphreid.report import Details, examine
from graphreid.resources import Resources
from graphreid.types import Features, Labels
from tests.support import labelled


@dataclass(frozen=True, eq=False)
class Examined:
    query: Features
    query_labels: Labels
    gallery: Gallery
    gallery_labels: Labels
    reports: list[Report]
    details: list[Details]


def examined(
    seed: int = 0,
    *,
    methods: int = 2,
    protocol: Protocol = MARKET,
    queries: int = 40,
    images: int = 150,
) -> Examined:
    """Cosine and k-reciprocal on ten noisy centres."""
    (query, query_labels), (features, gallery_labels) = labelled(
        seed, queries=queries, images=images
    )
    gallery = Gallery(features)
    reports: list[Report] = []
    details: list[Details] = []
    for method in (Cosine(), KReciprocal(k1=8, k2=3), KReciprocal(k1=8, k2=3, setting="online"))[
        :methods
    ]:
        name = f"{method.name}:{method.setting}"
        report, detail = examine(
            method, query, gallery, query_labels, gallery_labels, protocol=protocol, name=name
        )
        reports.append(report)
        details.append(detail)
    return Examined(query, query_labels, gallery, gallery_labels, reports, details)


def many(
    seed: int = 0, identities: int = 24, each: int = 6
) -> tuple[Features, Labels, Gallery, Labels]:
    """Queries (two of each identity) and gallery with as many identities as a map needs."""
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(identities), each)
    vectors = rng.normal(size=(identities, 8))[identity] + 0.2 * rng.normal(size=(len(identity), 8))
    query = np.tile(np.arange(each) < 2, identities)
    items = np.array([f"m{row}" for row in range(len(identity))])
    return (
        Features(vectors[query], items[query]),
        Labels(identity[query]),
        Gallery(Features(vectors[~query], items[~query])),
        Labels(identity[~query]),
    )


@dataclass
class Shifted(Cosine):
    """A method that gives new vectors: the old ones, stretched along one axis."""

    name: ClassVar[str] = "shifted"

    def transform(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> tuple[Features, Features]:
        return tuple(  # pyright: ignore[reportReturnType]
            Features(
                each.vectors * np.array([3.0] + [1.0] * (each.width - 1), np.float32), each.items
            )
            for each in (query, gallery.features)
        )
