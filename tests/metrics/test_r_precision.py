from pathlib import Path

import pytest

from graphreid.metrics.r_precision import RPrecision
from tests.metrics.cases import Right, check_against, metric_learning


def test_equals_the_slow_one() -> None:
    def slow(right: Right) -> float:
        r = int(right.sum())
        return sum(map(bool, right[:r])) / r

    check_against(RPrecision(), slow)


def test_equals_published_numbers(golden: Path) -> None:
    report, expected = metric_learning(golden, RPrecision())
    assert report.mean(RPrecision()) == pytest.approx(expected["R-precision"], abs=1e-12)
