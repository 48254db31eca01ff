"""Counted ranks of small random sets, beside the same in ranked order for slow references."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.metric import Metric
from graphreid.metrics.protocol import MARKET, Protocol
from graphreid.metrics.ranks import RankCounter, Ranks
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report
from graphreid.types import DistanceBlock, Features, Labels
from tests.references import evaluation as slow

Right = NDArray[np.bool_]
SEEDS = range(5)


def count(
    distance: NDArray[np.float32],
    query: Labels,
    gallery: Labels,
    protocol: Protocol = MARKET,
    block: int = 7,
) -> Ranks:
    """In blocks of a few queries, none of which is in the gallery."""
    own = np.full(len(query), -1)
    counter = RankCounter(Relevance(query, gallery, own=own, protocol=protocol))
    for i in range(0, len(distance), block):
        counter.add(DistanceBlock(i, np.ascontiguousarray(distance[i : i + block])))
    return counter.result()


def ranked(seed: int) -> tuple[Ranks, list[Right]]:
    """Ranks with ties, junk and cameras; and for each query which of the images that count are
    right, in ranked order.
    """
    rng = np.random.default_rng(seed)
    distance = rng.integers(0, 12, (20, 50)).astype(np.float32)
    query = Labels(rng.integers(0, 7, 20), rng.integers(0, 3, 20))
    gallery = Labels(rng.integers(-1, 5, 50), rng.integers(0, 3, 50))
    assert query.camera is not None
    assert gallery.camera is not None
    rights = [
        slow.query(
            distance[row].astype(np.float64),
            int(query.identity[row]),
            int(query.camera[row]),
            gallery.identity,
            gallery.camera,
        )
        for row in range(20)
    ]
    return count(distance, query, gallery), rights


def check_against(metric: Metric, reference: Callable[[Right], float]) -> None:
    """The metric's values are those of the reference on several sets, NaN without a positive."""
    some = none = 0
    for seed in SEEDS:
        ranks, rights = ranked(seed)
        for value, right in zip(metric.values(ranks).tolist(), rights, strict=True):
            if right.any():
                np.testing.assert_allclose(value, reference(right), atol=1e-12)
                some += 1
            else:
                assert np.isnan(value)
                none += 1
    assert some > 10
    assert none > 0


def metric_learning(golden: Path, metric: Metric) -> tuple[Report, dict[str, float]]:
    """A set of 59 images evaluated with each as the query among the others, and its numbers by
    pytorch-metric-learning's definitions.
    """
    given = np.load(golden / "metric_learning.npz")
    features, labels = Features(given["vectors"]), Labels(given["identity"])
    report = evaluate(Cosine(), features, Gallery(features), labels, labels, metrics=[metric])
    numbers = {name: float(given[name]) for name in given.files if given[name].ndim == 0}
    return report, numbers
