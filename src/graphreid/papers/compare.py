"""What may be said of rows beside each other: differences, the share of the error removed, and
whether a claim holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphreid.metrics.bootstrap import Interval, ratio_interval
from graphreid.metrics.report import Report
from graphreid.papers.recipe import Claim
from graphreid.papers.records import Record, averaged


def error_removed(
    report: Report, first: Report, *, level: float = 0.95, seed: int = 0
) -> tuple[float, Interval]:
    """The share of the first's error 1 - mAP that the other removes, and its bootstrap interval
    over identities.

    Args:
        report, first: of the same queries, with the same queries evaluated.
        level: of the interval.
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
    """Decide a claim by the paired difference of its two rows and the interval of that over
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
