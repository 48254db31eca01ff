"""Open-set thresholds of a gallery on disk: the score beyond which a query is unknown.

A threshold is chosen on labelled queries, one for each method, and is kept in thresholds.json
beside the table.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from graphreid.atomic_files import whole_file
from graphreid.metrics.evaluate import accumulate
from graphreid.metrics.open_set import ScoreHistograms, Unknowns
from graphreid.metrics.protocol import PROTOCOLS
from graphreid.metrics.relevance import Relevance
from graphreid.options import check_options
from graphreid.protocols import Reranker
from graphreid.resources import Resources
from graphreid.store.method_digest import method_digest, method_digest_1
from graphreid.store.persistent_gallery import PersistentGallery
from graphreid.store.table import from_json, read_json
from graphreid.types import Features, Labels

FILE = "thresholds.json"
FORMAT = 2
"""Of the file: {"format": 2, "thresholds": {digest of the method: fields of a Threshold}}; format 1
had the inner object alone.
"""
_RENAMED = {"probes": "queries", "asked": "target_rate", "rule": "protocol"}
"""Fields of format 1, and what they are called now."""
_MEND = "remove it, and calibrate again"


@dataclass(frozen=True)
class Threshold:
    """A query is taken to be unknown if the score of its first image is larger.

    Attributes:
        method: the METHOD text.
        score: what is compared, "distance" or "1 - link probability".
        threshold: the largest score that is accepted.
        false_positive_rate: share of the unknown queries that were accepted (FPIR), in [0, 1].
        identification_rate: share of the known queries whose first image was right and accepted
            (DIR), in [0, 1].
        target_rate: the false positive identification rate that was asked for.
        queries: how many were evaluated.
        unknowns: which queries counted as unknown: "given", those whose identity is not in the
            gallery, or "removed", the known ones with their right images hidden.
        protocol: name of the evaluation protocol.
        images: in the gallery when it was chosen; in a larger gallery more unknown queries are
            accepted.
        version: of the gallery then.
    """

    method: str
    score: str
    threshold: float
    false_positive_rate: float
    identification_rate: float
    target_rate: float
    queries: int
    unknowns: str
    protocol: str
    images: int
    version: int

    def __post_init__(self) -> None:
        check_options(self)


def choose_threshold(
    gallery: PersistentGallery,
    text: str,
    method: Reranker,
    query: Features,
    labels: Labels,
    *,
    rate: float,
    unknowns: Unknowns = "given",
    protocol: str = "market",
    resources: Resources | None = None,
) -> Threshold:
    """Choose a method's threshold on labelled queries, and keep it with the gallery.

    Args:
        gallery: with identities.
        text: the METHOD text.
        method: the same, in its online setting.
        query: the queries.
        labels: of the queries.
        rate: the false positive identification rate, in (0, 1).
        unknowns: which queries count as unknown (`metrics.open_set.Separation.at_fpir`).
        protocol: a name in `metrics.protocol.PROTOCOLS`.
        resources: where and with how much.

    Raises:
        ValueError: no identities in the gallery, too few queries for the rate, or a method whose
            scores can't be compared between queries.
    """
    resources = resources or Resources()
    snapshot = gallery.snapshot()
    images = snapshot.searchable()
    own = images.rows_of(query.items)
    relevance = Relevance(labels, snapshot.labels(), own=own, protocol=PROTOCOLS[protocol])
    histograms = ScoreHistograms(relevance, comparable=method.comparable)
    accumulate(method, query, images, [histograms], resources=resources)
    separation = histograms.result()
    point = separation.at_fpir(rate, unknowns=unknowns)
    chosen = Threshold(
        method=text,
        score=separation.score,
        threshold=point.threshold,
        false_positive_rate=point.false,
        identification_rate=point.true,
        target_rate=rate,
        queries=len(query),
        unknowns=unknowns,
        protocol=protocol,
        images=len(snapshot),
        version=snapshot.version,
    )
    with gallery.table.locked(), whole_file(gallery.folder / FILE) as temporary:
        known = {**load_thresholds(gallery), method_digest(method): chosen}
        entries = {key: dataclasses.asdict(each) for key, each in known.items()}
        temporary.write_text(json.dumps({"format": FORMAT, "thresholds": entries}, indent=1) + "\n")
    return chosen


def load_thresholds(gallery: PersistentGallery) -> dict[str, Threshold]:
    """All thresholds of a gallery, by a digest of the method.

    Raises:
        ValueError: the file is damaged, or of a newer format.
    """
    file = gallery.folder / FILE
    if not file.is_file():
        return {}
    content: Any = read_json(file, mend=_MEND)
    if isinstance(content, dict) and "format" in content:
        if content["format"] != FORMAT:
            raise ValueError(
                f"{file}: format {content['format']} is newer than this package reads: update "
                f"graphreid"
            )
        content = content.get("thresholds")
    if not isinstance(content, dict):
        raise ValueError(f"{file}: not readable (no thresholds in it): {_MEND}")
    return {
        str(key): from_json(Threshold, entry, file, mend=_MEND, renamed=_RENAMED)
        for key, entry in content.items()
    }


def find_threshold(gallery: PersistentGallery, method: Reranker) -> Threshold | None:
    """The threshold of a method with these options and what it has learned; None where none was
    chosen.
    """
    known = load_thresholds(gallery)
    if not known:
        return None
    return known.get(method_digest(method)) or known.get(method_digest_1(method))
