"""What may be said of rows beside each other: differences, the share of the error removed, and
whether a claim holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphreid.metrics.evaluation import RESAMPLES, Report
from graphreid.papers.recipe import Claim
from graphreid.papers.records import Record, averaged
from graphreid.seeding import generator

Interval = tuple[float, float]


def error_removed(
    report: Report, first: Report, *, level: float = 0.95, seed: int = 0
) -> tuple[float, Interval]:
    """The share of the first's error 1 - mAP that the other removes, and its bootstrap interval
    over identities.

    Args:
        report, first: of the same queries, with the same queries judged.
        level: of the interval.
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
    draws = (
        generator(seed)
        .multinomial(len(error), np.full(len(error), 1 / len(error)), RESAMPLES)
        .astype(np.float64)
    )
    shares = (draws @ gain) / np.maximum(draws @ error, np.finfo(np.float64).tiny)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return float(gain.sum() / error.sum()), (float(low), float(high))


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds in our runs.

    Attributes:
        claim: the claim.
        holds: "holds", "fails", "undecided" (the interval allows both), or "not run".
        difference: of the metric, better less worse, with its interval; None where it was not run.
    """

    claim: Claim
    holds: str
    difference: tuple[float, Interval] | None

    def json(self) -> dict[str, Any]:
        """As a table's JSON has it."""
        return {**vars(self.claim), "holds": self.holds, "difference": self.difference}


def verdict(claim: Claim, records: Mapping[str, Sequence[Record]]) -> Verdict:
    """RankCounter a claim by the paired difference of its two rows and the interval of that over
    identities.

    Args:
        claim: what is claimed.
        records: those of each row by name, one a seed; none where a row was not run.

    Returns:
        It holds if the whole interval is above 0 (from 0 on, where the claim is only "not below"),
        and fails if the whole interval is below 0 (for a strict claim also at 0).
    """
    better, worse = records[claim.better], records[claim.worse]
    if not better or not worse:
        return Verdict(claim, "not run", None)
    difference = averaged(better, claim.metric).difference(averaged(worse, claim.metric))
    low, high = difference[1]
    if claim.strict:
        holds = "holds" if low > 0 else "fails" if high <= 0 else "undecided"
    else:
        holds = "holds" if low >= 0 else "fails" if high < 0 else "undecided"
    return Verdict(claim, holds, difference)
