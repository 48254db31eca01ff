"""From which score on a probe is "unknown": chosen on labelled probes, kept beside the table, one for each method."""

import dataclasses
import hashlib
from dataclasses import dataclass

from graphreid.compute import Compute
from graphreid.evaluation import RULES
from graphreid.living.living import LivingGallery
from graphreid.openset import PairCounts, Unknowns, Verdicts
from graphreid.protocols import Reranker, fingerprint
from graphreid.types import Features, Labels

FILE = "thresholds.json"


@dataclass(frozen=True)
class Threshold:
    """A probe is unknown if the score of its first image is larger.

    Attributes:
        method: as it was named.
        score: what is compared, "distance" or "1 - link probability".
        threshold: the largest score that is let pass.
        false_positive_rate: share of the unknown probes that it let pass (FPIR), as measured.
        identification_rate: share of the known probes whose first image was right and passed (DIR), as measured.
        asked: the false positive identification rate that was asked for.
        probes: how many were judged.
        unknowns: "given", or "removed": known probes with their right images hidden.
        rule: which pairs counted.
        images: in the gallery when it was chosen; with many more, more unknown probes pass.
        version: of the table then.
    """

    method: str
    score: str
    threshold: float
    false_positive_rate: float
    identification_rate: float
    asked: float
    probes: int
    unknowns: str
    rule: str
    images: int
    version: int


def choose(
    living: LivingGallery,
    text: str,
    method: Reranker,
    query: Features,
    labels: Labels,
    *,
    rate: float,
    unknowns: Unknowns = "given",
    rule: str = "market",
    compute: Compute | None = None,
) -> Threshold:
    """Choose a method's threshold on labelled probes, and keep it with the gallery.

    Args:
        living: the gallery, whose images have identities.
        text: the method as the user names it.
        method: the same, in its online setting.
        query: the probes, and `labels` theirs.
        rate: the false positive identification rate, in (0, 1).
        unknowns: which probes are those that are not in the gallery (`openset.Separation.at_fpir`).
        rule: a name of evaluation.RULES.
        compute: where and with how much.

    Raises:
        ValueError: no identities in the gallery, too few probes to see the rate, or scores that can't be compared.
    """
    compute = compute or Compute()
    snapshot = living.snapshot()
    gallery = snapshot.searchable()
    known = snapshot.labels()
    verdicts = Verdicts(labels, known, own=gallery.rows_of(query.items), rule=RULES[rule])
    counts = PairCounts(verdicts, comparable=method.comparable)
    for block in method.distances(query, gallery, compute=compute):
        counts.add(block)
    separation = counts.separation()
    point = separation.at_fpir(rate, unknowns=unknowns)
    chosen = Threshold(
        method=text,
        score=separation.score,
        threshold=point.threshold,
        false_positive_rate=point.false,
        identification_rate=point.true,
        asked=rate,
        probes=len(query),
        unknowns=unknowns,
        rule=rule,
        images=len(snapshot),
        version=snapshot.version,
    )
    with living.store.locked():
        content = living.store.read_json(FILE)
        living.store.write_json(FILE, {**content, _key(method): dataclasses.asdict(chosen)})
    return chosen


def thresholds(living: LivingGallery) -> dict[str, Threshold]:
    """All that were chosen, by a digest of the method.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return {key: Threshold(**value) for key, value in living.store.read_json(FILE).items()}
    except TypeError as error:
        raise ValueError(f"{living.folder / FILE}: not readable ({error}): remove it, and calibrate again") from None


def threshold_of(living: LivingGallery, method: Reranker) -> Threshold | None:
    """The threshold of a method with these options and what it has learned; None where none was chosen."""
    return thresholds(living).get(_key(method))


def _key(method: Reranker) -> str:
    return hashlib.blake2b(repr(fingerprint(method)).encode(), digest_size=12).hexdigest()
