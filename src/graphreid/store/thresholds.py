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
from graphreid.options import flat_options
from graphreid.protocols import Reranker, fingerprint
from graphreid.resources import Resources
from graphreid.store.persistent_gallery import PersistentGallery
from graphreid.types import Features, Labels

FILE = "thresholds.json"
_RENAMED = {"probes": "queries"}
"""Fields and options of old files, and what they are called now."""
_ORDER = {
    "CAGCN": "sampler k1 k2 k edges links edge_weight edge_input scale_attention attention_width "
    "self_loops layers width lam alpha gamma optimizer rate weight_decay schedule batch epochs "
    "patience noise calibrate precision seed",
    "ECGCN": "sampler k1 k2 gamma links self_loops layers width lam loss alpha focus optimizer "
    "rate weight_decay schedule batch probes epochs patience noise metric calibrate precision seed",
    "FAECGCN": "setting distance lam fa_k fa_layers identity_weight tau include_self fa_optimizer "
    "fa_rate fa_weight_decay fa_schedule fa_batch fa_epochs sampler k1 k2 gamma links self_loops "
    "layers width loss alpha focus optimizer rate weight_decay schedule batch probes epochs "
    "patience noise calibrate precision seed",
    "FAGCN": "k layers distance setting identity_weight tau include_self optimizer rate "
    "weight_decay schedule batch epochs patience seed",
    "HRNet": "nodes individual pairwise constraint propagation k graph attention self_in_c init "
    "layers edges alpha beta lam readout margin smoothing balance batches identities images rate "
    "weight_decay schedule epochs patience noise calibrate precision seed",
    "SGGNN": "k width share lam rate weight_decay batch epochs patience noise calibrate precision "
    "seed",
}
"""Options in the keys of old files, in their order, of methods where it is another now."""


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
    known = thresholds(living)
    return known.get(_key(method), known.get(_old_key(method)))


def _key(method: Reranker) -> str:
    return _digest(fingerprint(method))


def _old_key(method: Reranker) -> str:
    """The key of the same method in a file of before its options stood in groups."""
    name = type(method).__name__
    described, learned = fingerprint(method)
    if name in _ORDER:
        options = flat_options(method)
        pairs = ((key, options[_RENAMED.get(key, key)]) for key in _ORDER[name].split())
        described = f"{name}({', '.join(f'{key}={value!r}' for key, value in pairs)})"
    return _digest((described, learned))


def _digest(named: tuple[str, str]) -> str:
    return hashlib.blake2b(repr(named).encode(), digest_size=12).hexdigest()
