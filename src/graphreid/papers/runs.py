"""A run as an evaluation report, and what may be said of runs beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphreid.metrics import parse_metric
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.bootstrap import Interval, ratio_interval
from graphreid.metrics.protocol import Protocol
from graphreid.metrics.report import SHOWN_RANKS, Report
from graphreid.papers.paper import Claim
from graphreid.papers.store import Run

_OF_RUNS = ("camera", "ap", "denominator", "distractor")
"""Fields of a protocol that a run has: its rankings are whole, and of images."""


def results_of(report: Report) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run keeps of a report.

    Returns:
        Columns of `schema.RUNS`; and the queries' "identity", "ap" and "first_rank", as `Run` has
        them.
    """
    low, high = report.interval()
    columns = {
        "protocol": protocol_of(report.protocol),
        "setting": report.setting,
        "queries": report.queries,
        "skipped": report.skipped,
        "metrics": {
            "mAP": report.mean_ap(),
            "mAP low": low,
            "mAP high": high,
            "mINP": report.mean_inp(),
            **{f"rank-{k}": report.cmc(k) for k in SHOWN_RANKS},
        },
    }
    _, identity = np.unique(report.identity, return_inverse=True)
    queries = {
        "identity": identity.reshape(-1).astype(np.int64),
        "ap": np.round(report.ap, 6),
        "first_rank": report.first_rank.astype(np.int64),
    }
    return columns, queries


def protocol_of(protocol: Protocol) -> dict[str, Any]:
    """What a run keeps of a protocol."""
    return {name: getattr(protocol, name) for name in _OF_RUNS}


def protocol_from(run: Run) -> Protocol:
    """The protocol of a run."""
    return Protocol(**run["protocol"])


def report_of(run: Run) -> Report:
    """The report of a run: AP and CMC of each query, means, intervals and differences; without the
    galleries' order.
    """
    return Report(
        method=run["method"],
        setting=run["setting"],
        protocol=protocol_from(run),
        identity=run.identity,
        positives=(~np.isnan(run.ap)).astype(np.int64),
        first_rank=run.first_rank,
        values={AveragePrecision(): run.ap},
        seconds=float(run["cost"]["rank_seconds"]),
    )


def averaged(runs: Sequence[Run], metric: str = "mAP") -> Report:
    """A report whose values of a metric, "mAP" or "rank-k", are each query's mean over seeds.

    Raises:
        ValueError: another metric.
    """
    reports = [report_of(run) for run in runs]
    values = np.mean([report.per_query(metric) for report in reports], axis=0)
    return replace(reports[0], values={parse_metric(metric): values})


def same_queries(one: Run, other: Run) -> bool:
    """Whether two runs have the same queries, gallery and protocol, and so can be compared."""
    digests = [
        [run["sets"][part]["digest"] for part in ("query", "gallery")] for run in (one, other)
    ]
    return digests[0] == digests[1] and one["protocol"] == other["protocol"]


def error_removed(
    report: Report, first: Report, *, level: float = 0.95, seed: int = 0
) -> tuple[float, Interval]:
    """The share of the first's error 1 - mAP that the other removes, and its bootstrap interval.

    Args:
        report: of the method.
        first: of what it is compared with, on the same queries.
        level: of the interval, which is over identities.
        seed: of the resamples.

    Returns:
        The share, at most 1, negative where the other is worse; and the interval. NaN where the
        first has no error.
    """
    evaluated = first.evaluated
    gain = (report.ap - first.ap)[evaluated]
    error = (1 - first.ap)[evaluated]
    if not error.sum():
        return float("nan"), (float("nan"), float("nan"))
    interval = ratio_interval(gain, error, report.identity[evaluated], level=level, seed=seed)
    return float(gain.sum() / error.sum()), interval


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds in our runs.

    Attributes:
        claim: the claim.
        holds: "holds", "fails", "undecided" (the interval allows both), or "not run".
        difference: of the metric, better less worse, with its interval; None where it was not run.
    """

    claim: Claim
    holds: str
    difference: tuple[float, Interval] | None


def check_claim(claim: Claim, runs: Mapping[str, Sequence[Run]]) -> Finding:
    """Check a claim by the paired difference of its two rows and its interval over identities.

    Args:
        claim: what is claimed.
        runs: those of each row by name, one a seed; none where a row was not run.

    Returns:
        It holds if the whole interval is above 0 (from 0 on, where the claim is only "not below"),
        and fails if the whole interval is below 0 (for a strict claim also at 0).
    """
    better, worse = runs[claim.better], runs[claim.worse]
    if not better or not worse:
        return Finding(claim, "not run", None)
    difference = averaged(better, claim.metric).difference(
        averaged(worse, claim.metric), claim.metric
    )
    low, high = difference[1]
    if claim.strict:
        holds = "holds" if low > 0 else "fails" if high <= 0 else "undecided"
    else:
        holds = "holds" if low >= 0 else "fails" if high < 0 else "undecided"
    return Finding(claim, holds, difference)
