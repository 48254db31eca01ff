"""A run as an evaluation report, and what may be said of runs beside each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphreid.metrics.evaluation import RESAMPLES, Report, Rule
from graphreid.papers.paper import Claim
from graphreid.papers.store import Run
from graphreid.seeding import generator

Interval = tuple[float, float]
_OF_RUNS = ("camera", "ap", "denominator", "distractor")
"""Fields of a rule that a run has: its rankings are whole, and of images."""


def results_of(report: Report) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run keeps of a report.

    Returns:
        Columns of `store.RUNS`; and the queries' "identity", "ap" and "first_rank", as `Run` has
        them.
    """
    low, high = report.interval()
    columns = {
        "protocol": protocol_of(report.rule),
        "setting": report.setting,
        "queries": report.queries,
        "skipped": report.skipped,
        "metrics": {
            "mAP": report.mean_ap(),
            "mAP low": low,
            "mAP high": high,
            "mINP": report.mean_inp(),
            **{f"rank-{k}": report.cmc(k) for k in (1, 5, 10)},
        },
    }
    _, identity = np.unique(report.identity, return_inverse=True)
    queries = {
        "identity": identity.reshape(-1).astype(np.int64),
        "ap": np.round(report.ap, 6),
        "first_rank": report.first_rank.astype(np.int64),
    }
    return columns, queries


def protocol_of(rule: Rule) -> dict[str, Any]:
    """What a run keeps of a rule."""
    return {name: getattr(rule, name) for name in _OF_RUNS}


def rule_of(run: Run) -> Rule:
    """The rule of a run."""
    return Rule(**run["protocol"])


def report_of(run: Run, metric: str = "mAP") -> Report:
    """The report of a run, without the galleries' order: its AP, interval and differences.

    Args:
        run: the run.
        metric: "mAP"; or "rank-k": then each query's AP is replaced by whether its first positive
            is among the first k, so that `mean_ap`, `interval` and `difference` speak of rank-k.

    Raises:
        ValueError: another metric.
    """
    ap = run.ap
    if metric != "mAP":
        name, _, k = metric.partition("-")
        if name != "rank" or not k.isdecimal() or int(k) < 1:
            raise ValueError(f"metric is {metric!r}: choose mAP or rank-k")
        hit = (run.first_rank <= int(k)).astype(np.float64)
        ap = np.where(np.isnan(ap), math.nan, hit)
    return Report(
        method=run["method"],
        setting=run["setting"],
        rule=rule_of(run),
        identity=run.identity,
        ap=ap,
        inp=np.full(len(ap), math.nan),
        first_rank=run.first_rank,
        positives=(~np.isnan(ap)).astype(np.int64),
        seconds=float(run["cost"]["rank_seconds"]),
    )


def averaged(runs: Sequence[Run], metric: str = "mAP") -> Report:
    """The mean over seeds of each query's result, as a report (see `report_of`)."""
    reports = [report_of(run, metric) for run in runs]
    return replace(reports[0], ap=np.mean([report.ap for report in reports], axis=0))


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
    _, group = np.unique(report.identity[first.valid], return_inverse=True)
    gain = np.bincount(group, (report.ap - first.ap)[first.valid])
    error = np.bincount(group, (1 - first.ap)[first.valid])
    if not error.sum():
        return float("nan"), (float("nan"), float("nan"))
    even = np.full(len(error), 1 / len(error))
    draws = generator(seed).multinomial(len(error), even, RESAMPLES).astype(np.float64)
    shares = (draws @ gain) / np.maximum(draws @ error, np.finfo(np.float64).tiny)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return float(gain.sum() / error.sum()), (float(low), float(high))


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
    difference = averaged(better, claim.metric).difference(averaged(worse, claim.metric))
    low, high = difference[1]
    if claim.strict:
        holds = "holds" if low > 0 else "fails" if high <= 0 else "undecided"
    else:
        holds = "holds" if low >= 0 else "fails" if high < 0 else "undecided"
    return Finding(claim, holds, difference)
