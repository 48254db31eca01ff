"""From which score on a query is "unknown": chosen on labelled queries, kept beside the table, one
for each method.
"""

import dataclasses
import hashlib
from dataclasses import dataclass

from graphreid.metrics.evaluate import accumulate
from graphreid.metrics.open_set import ScoreHistograms, Unknowns
from graphreid.metrics.protocol import PROTOCOLS
from graphreid.metrics.relevance import Relevance
from graphreid.protocols import Reranker, fingerprint
from graphreid.resources import Resources
from graphreid.store.persistent_gallery import PersistentGallery
from graphreid.types import Features, Labels

FILE = "thresholds.json"
_RENAMED = {"probes": "queries"}
"""Fields of old files, and what they are called now."""


@dataclass(frozen=True)
class Threshold:
    """A query is unknown if the score of its first image is larger.

    Attributes:
        method: as it was named.
        score: what is compared, "distance" or "1 - link probability".
        threshold: the largest score that is let pass.
        false_positive_rate: share of the unknown queries that it let pass (FPIR), as measured.
        identification_rate: share of the known queries whose first image was right and passed
            (DIR), as measured.
        asked: the false positive identification rate that was asked for.
        queries: how many were judged.
        unknowns: "given", or "removed": known queries with their right images hidden.
        rule: which pairs counted.
        images: in the gallery when it was chosen; with many more, more unknown queries pass.
        version: of the table then.
    """

    method: str
    score: str
    threshold: float
    false_positive_rate: float
    identification_rate: float
    asked: float
    queries: int
    unknowns: str
    rule: str
    images: int
    version: int


def choose(
    living: PersistentGallery,
    text: str,
    method: Reranker,
    query: Features,
    labels: Labels,
    *,
    rate: float,
    unknowns: Unknowns = "given",
    rule: str = "market",
    resources: Resources | None = None,
) -> Threshold:
    """Choose a method's threshold on labelled queries, and keep it with the gallery.

    Args:
        living: the gallery, whose images have identities.
        text: the method as the user names it.
        method: the same, in its online setting.
        query: the queries, and `labels` theirs.
        rate: the false positive identification rate, in (0, 1).
        unknowns: which queries are those that are not in the gallery
            (`openset.Separation.at_fpir`).
        rule: a name in metrics.protocol.PROTOCOLS.
        resources: where and with how much.

    Raises:
        ValueError: no identities in the gallery, too few queries to see the rate, or scores that
            can't be compared.
    """
    resources = resources or Resources()
    snapshot = living.snapshot()
    gallery = snapshot.searchable()
    known = snapshot.labels()
    relevance = Relevance(labels, known, own=gallery.rows_of(query.items), protocol=PROTOCOLS[rule])
    counts = ScoreHistograms(relevance, comparable=method.comparable)
    accumulate(method, query, gallery, [counts], resources=resources)
    separation = counts.result()
    point = separation.at_fpir(rate, unknowns=unknowns)
    chosen = Threshold(
        method=text,
        score=separation.score,
        threshold=point.threshold,
        false_positive_rate=point.false,
        identification_rate=point.true,
        asked=rate,
        queries=len(query),
        unknowns=unknowns,
        rule=rule,
        images=len(snapshot),
        version=snapshot.version,
    )
    with living.store.locked():
        content = living.store.read_json(FILE)
        living.store.write_json(FILE, {**content, _key(method): dataclasses.asdict(chosen)})
    return chosen


def thresholds(living: PersistentGallery) -> dict[str, Threshold]:
    """All that were chosen, by a digest of the method.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return {
            key: Threshold(**{_RENAMED.get(name, str(name)): each for name, each in value.items()})
            for key, value in living.store.read_json(FILE).items()
        }
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{living.folder / FILE}: not readable ({error}): remove it, and calibrate again"
        ) from None


def threshold_of(living: PersistentGallery, method: Reranker) -> Threshold | None:
    """The threshold of a method with these options and what it has learned; None where none was
    chosen.
    """
    return thresholds(living).get(_key(method))


def _key(method: Reranker) -> str:
    return hashlib.blake2b(repr(fingerprint(method)).encode(), digest_size=12).hexdigest()
