from pathlib import Path

import pytest

from graphreid.metrics import parse_metric
from graphreid.metrics.recall import Recall
from tests.metrics.cases import Right, check_against, metric_learning


@pytest.mark.parametrize("k", [1, 2, 5, 30])
def test_equals_the_slow_one(k: int) -> None:
    def slow(right: Right) -> float:
        return float(any(right[:k]))

    check_against(Recall(k), slow)


@pytest.mark.parametrize("k", [1, 2, 4, 8, 16, 32])
def test_equals_published_numbers(golden: Path, k: int) -> None:
    report, expected = metric_learning(golden, Recall(k))
    assert report.mean(Recall(k)) == pytest.approx(expected[f"recall@{k}"], abs=1e-12)


def test_it_looks_at_one_image_at_least() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        parse_metric("recall@0")
