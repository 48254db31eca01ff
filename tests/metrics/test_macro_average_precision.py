from pathlib import Path

import numpy as np
import pytest

from graphreid.metrics.macro_average_precision import MacroAveragePrecision
from graphreid.metrics.metric import mean
from tests.metrics.cases import SEEDS, Right, check_against, metric_learning, ranked
from tests.references import evaluation as slow


def average_precision(right: Right) -> float:
    return slow.average_precision(right, trapezoid=False)


def test_equals_the_slow_one() -> None:
    check_against(MacroAveragePrecision(), average_precision)


def test_the_mean_goes_over_identities() -> None:
    for seed in SEEDS:
        ranks, rights = ranked(seed)
        of_identity: dict[int, list[float]] = {}
        for identity, right in zip(ranks.identity.tolist(), rights, strict=True):
            if right.any():
                of_identity.setdefault(identity, []).append(average_precision(right))
        sizes = {len(values) for values in of_identity.values()}
        assert len(sizes) > 1, "identities with several numbers of queries"
        expected = np.mean([np.mean(values) for values in of_identity.values()])
        assert mean(MacroAveragePrecision(), ranks) == pytest.approx(expected, abs=1e-12)


def test_equals_published_numbers(golden: Path) -> None:
    report, expected = metric_learning(golden, MacroAveragePrecision())
    number = expected["macro mAP over identities"]
    assert report.mean(MacroAveragePrecision()) == pytest.approx(number, abs=1e-12)
    low, high = report.interval(MacroAveragePrecision())
    assert low < number < high
