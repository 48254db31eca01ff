"""`Report`: one method's numbers, a value a query; means, intervals and paired differences are made
of these.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from graphreid.arrays import as_pandas
from graphreid.metrics import DEFAULT, parse_metric
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.bootstrap import Interval, ratio_interval
from graphreid.metrics.cmc import CMC
from graphreid.metrics.inverse_negative_penalty import InverseNegativePenalty
from graphreid.metrics.metric import Metric, mean_weights, name_of, weighted_mean
from graphreid.metrics.protocol import Protocol
from graphreid.metrics.ranks import Ranks

if TYPE_CHECKING:
    import pandas

SHOWN_RANKS = (1, 5, 10)
"""Ranks of the CMC in a summary."""


@dataclass(frozen=True, eq=False)
class Report:
    """One method's numbers by one protocol, query by query.

    Attributes:
        method: what gave the distances.
        setting: what it could see, "online" or "transductive".
        protocol: which images counted.
        identity: int64 [q], the queries' identities.
        positives: int64 [q], positives left for each query.
        first_rank: int64 [q], 1-based rank of the first positive, 0 without one (in the list).
        values: float64 [q] of each metric that was asked for, NaN for a query without one.
        seconds: wall time of the method, from embeddings to the last distance; NaN where it ran
            elsewhere.
        order: int32 [q, top], the first gallery images of each query (-1 where there is none), or
            None if not asked for.
        extra: what else goes into the summary.
    """

    method: str
    setting: str
    protocol: Protocol
    identity: Int64[np.ndarray, " q"]
    positives: Int64[np.ndarray, " q"]
    first_rank: Int64[np.ndarray, " q"]
    values: Mapping[Metric, Float64[np.ndarray, " q"]]
    seconds: float = 0.0
    order: Int32[np.ndarray, "q top"] | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def rule(self) -> Protocol:
        """The former name of `protocol`."""
        return self.protocol

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that were asked for."""
        return tuple(self.values)

    @property
    def evaluated(self) -> Bool[np.ndarray, " q"]:
        """Queries that have a positive."""
        return self.positives > 0

    @property
    def queries(self) -> int:
        """How many queries were evaluated."""
        return int(self.evaluated.sum())

    @property
    def skipped(self) -> int:
        """How many queries have no positive left."""
        return len(self.identity) - self.queries

    @property
    def ap(self) -> Float64[np.ndarray, " q"]:
        """Each query's average precision, in [0, 1]."""
        return self.per_query(AveragePrecision())

    def per_query(self, metric: Metric | str) -> Float64[np.ndarray, " q"]:
        """A metric's value for each query, NaN where it has none. Every CMC is known from the first
        ranks; other metrics must have been asked for.

        Raises:
            ValueError: the metric was not asked for.
        """
        wanted = parse_metric(metric) if isinstance(metric, str) else metric
        if wanted in self.values:
            return self.values[wanted]
        if isinstance(wanted, CMC):
            if not self.cmc_ranks([wanted.k]):
                return np.full(len(self.identity), np.nan)
            return wanted.of_first(self.first_rank, self.positives)
        raise ValueError(
            f"{name_of(wanted)} is not in the report: ask for it in evaluate(metrics=...)"
        )

    def to_arrow(self) -> Any:  # a pyarrow.Table, which has no types
        """A table with a row a query: identity, positives, first_rank, and each metric that was
        asked for by its name, null where a query has no value.
        """
        # here: the library is large, and few who evaluate want a table
        import pyarrow as pa  # noqa: PLC0415

        columns = {
            "query": pa.array(np.arange(len(self.identity))),
            "identity": pa.array(self.identity),
            "positives": pa.array(self.positives),
            "first_rank": pa.array(self.first_rank),
        }
        for metric, values in self.values.items():
            columns[name_of(metric)] = pa.array(values, mask=np.isnan(values))
        return pa.table(columns)

    def to_pandas(self) -> "pandas.DataFrame":
        """The same as a pandas table.

        Raises:
            ValueError: pandas is not installed.
        """
        return as_pandas(self.to_arrow())

    def mean(self, metric: Metric | str) -> float:
        """A metric's mean, NaN where no query has a value.

        Raises:
            ValueError: the metric was not asked for.
        """
        _, values, weights = self._weighted(metric)
        return weighted_mean(values, weights)

    def mean_ap(self) -> float:
        """Mean average precision, in [0, 1]."""
        return self.mean(AveragePrecision())

    def mean_inp(self) -> float:
        """Mean inverse negative penalty, in [0, 1]."""
        return self.mean(InverseNegativePenalty())

    def cmc(self, k: int) -> float:
        """The share of queries with a positive among the first k, in [0, 1]; NaN where rankings are
        shorter than k.

        Raises:
            ValueError: k is less than 1.
        """
        return self.mean(CMC(k))

    def cmc_ranks(self, wanted: Iterable[int]) -> list[int]:
        """Those of these ranks for which there is a CMC: a list says nothing of ranks beyond its
        length.
        """
        listed = self.protocol.listed
        return [k for k in wanted if listed is None or k <= listed]

    def interval(
        self, metric: Metric | str = "mAP", *, level: float = 0.95, seed: int = 0
    ) -> Interval:
        """A bootstrap interval of a metric's mean: identities are drawn, with all their queries.

        Raises:
            ValueError: the metric was not asked for.
        """
        _, values, weights = self._weighted(metric)
        return self._interval(values, weights, level, seed)

    def difference(
        self,
        other: "Report",
        metric: Metric | str = "mAP",
        *,
        level: float = 0.95,
        seed: int = 0,
    ) -> tuple[float, Interval]:
        """A metric's mean of this less that of `other` on the same queries, and the difference's
        paired bootstrap interval over identities.

        Raises:
            ValueError: the two were not made with the same queries and the same protocol, or
                without the metric.
        """
        if self.protocol != other.protocol or not np.array_equal(self.identity, other.identity):
            raise ValueError(
                "the two reports differ in queries or protocol: evaluate both on the same files "
                "with the same --rule"
            )
        if not np.array_equal(self.evaluated, other.evaluated):
            raise ValueError(
                "the two reports differ in which queries have a positive: evaluate both against "
                "the same gallery"
            )
        wanted, values, weights = self._weighted(metric)
        apart = values - other.per_query(wanted)
        return self.mean(wanted) - other.mean(wanted), self._interval(apart, weights, level, seed)

    def summary(self) -> dict[str, Any]:
        """The numbers that go into a JSON report: each metric's mean and interval, and the CMC."""
        numbers: dict[str, Any] = {}
        for metric in self.metrics:
            name = name_of(metric, self.protocol)
            numbers[name] = _json(self.mean(metric))
            numbers[f"{name}_interval"] = [_json(end) for end in self.interval(metric)]
        return {
            **numbers,
            "cmc": {str(k): self.cmc(k) for k in self.cmc_ranks(SHOWN_RANKS)},
            "setting": self.setting,
            "queries": self.queries,
            "skipped": self.skipped,
            "seconds": _json(self.seconds),
            **self.extra,
        }

    def _weighted(
        self, metric: Metric | str
    ) -> tuple[Metric, Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]:
        """The metric, its values, and each query's weight in its mean."""
        wanted = parse_metric(metric) if isinstance(metric, str) else metric
        values = self.per_query(wanted)
        return wanted, values, mean_weights(wanted, values, self.identity, self.protocol)

    def _interval(
        self,
        values: Float64[np.ndarray, " q"],
        weights: Float64[np.ndarray, " q"],
        level: float,
        seed: int,
    ) -> Interval:
        used = weights > 0
        if not used.any():
            return float("nan"), float("nan")
        parts = np.where(np.isnan(values), 0, values) * weights
        return ratio_interval(
            parts[used], weights[used], self.identity[used], level=level, seed=seed
        )


def report_of(
    ranks: Ranks,
    metrics: Iterable[Metric] = DEFAULT,
    *,
    method: str,
    setting: str,
    seconds: float = 0.0,
    order: Int32[np.ndarray, "q top"] | None = None,
) -> Report:
    """The report of counted ranks.

    Args:
        ranks: of each query's positives.
        metrics: what to compute.
        method: what gave the distances.
        setting: what it could see.
        seconds: that it took.
        order: int32 [q, top], the first gallery images of each query.
    """
    return Report(
        method=method,
        setting=setting,
        protocol=ranks.protocol,
        identity=ranks.identity,
        positives=ranks.positives,
        first_rank=ranks.first,
        values={metric: metric.values(ranks) for metric in metrics},
        seconds=seconds,
        order=order,
    )


def _json(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value
