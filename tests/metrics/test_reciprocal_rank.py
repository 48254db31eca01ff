from pathlib import Path

import pytest

from graphreid.metrics.reciprocal_rank import ReciprocalRank
from tests.metrics.cases import Right, check_against, metric_learning


def test_equals_the_slow_one() -> None:
    def slow(right: Right) -> float:
        return next(1 / place for place, hit in enumerate(right, start=1) if hit)

    check_against(ReciprocalRank(), slow)


def test_equals_published_numbers(golden: Path) -> None:
    report, expected = metric_learning(golden, ReciprocalRank())
    assert report.mean(ReciprocalRank()) == pytest.approx(expected["MRR"], abs=1e-12)
