from pathlib import Path

import pytest

from graphreid.metrics.map_at_r import MAPAtR
from tests.metrics.cases import Right, check_against, metric_learning


def test_equals_the_slow_one() -> None:
    def slow(right: Right) -> float:
        r = int(right.sum())
        total = 0.0
        for place in range(1, r + 1):
            if right[place - 1]:
                total += right[:place].sum() / place
        return total / r

    check_against(MAPAtR(), slow)


def test_equals_published_numbers(golden: Path) -> None:
    report, expected = metric_learning(golden, MAPAtR())
    assert report.mean(MAPAtR()) == pytest.approx(expected["MAP@R"], abs=1e-12)
