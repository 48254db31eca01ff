"""What a metric is: a name, and a function from ranks of positives to a value for each query."""

from typing import ClassVar, Literal, runtime_checkable
from typing import Protocol as Interface

import numpy as np
from jaxtyping import Float64, Int64

from graphreid.metrics.protocol import Protocol
from graphreid.metrics.ranks import Ranks


@runtime_checkable
class Metric(Interface):
    """A number of a ranking, a value a query. Metrics are frozen dataclasses: equal ones are one.

    Attributes:
        text: how the metric is written, with its fields in braces: "mAP", "rank-{k}". Fields are
            whole numbers.
        cut: whether it is another metric where only the first images of each ranking are looked at,
            and named so ("mAP@100"); not those that look at the first k alone.
        average: what its mean goes over: the "queries", or the "identities", each with the mean of
            its queries.
    """

    text: ClassVar[str]
    cut: ClassVar[bool]
    average: ClassVar[Literal["queries", "identities"]]

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Its value for each query, NaN where it has none."""
        ...


def name_of(metric: Metric, protocol: Protocol | None = None) -> str:
    """The metric's name, "rank-5"; with a protocol by which only the first K images of a ranking
    are looked at, "mAP@K".
    """
    name = metric.text.format(**vars(metric))
    return name if protocol is None or not metric.cut else protocol.named(name)


def mean_weights(
    metric: Metric,
    values: Float64[np.ndarray, " q"],
    identity: Int64[np.ndarray, " q"],
    protocol: Protocol,
) -> Float64[np.ndarray, " q"]:
    """The weight of each query in a metric's mean; 0 for one that it does not go over.

    Args:
        metric: the metric.
        values: its value for each query, NaN where it has none.
        identity: the queries' identities.
        protocol: whether queries without a value count 0.
    """
    counted = ~np.isnan(values)
    if protocol.denominator == "all" and counted.any():
        counted = np.ones(len(values), bool)
    if metric.average == "queries":
        return counted.astype(np.float64)
    weights = np.zeros(len(values))
    _, group, size = np.unique(identity[counted], return_inverse=True, return_counts=True)
    weights[counted] = 1 / size[group.reshape(-1)]
    return weights


def weighted_mean(values: Float64[np.ndarray, " q"], weights: Float64[np.ndarray, " q"]) -> float:
    """The mean of values, of which NaN counts 0; NaN where all weights are 0."""
    if not weights.any():
        return float("nan")
    defined = ~np.isnan(values)
    return float((values * weights)[defined].sum()) / float(weights.sum())


def mean(metric: Metric, ranks: Ranks) -> float:
    """The metric's mean over the queries."""
    values = metric.values(ranks)
    return weighted_mean(values, mean_weights(metric, values, ranks.identity, ranks.protocol))
