from typing import Any

import numpy as np
import pytest

from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.protocol import MARKET
from graphreid.metrics.report import Report
from graphreid.papers.paper import Claim
from graphreid.papers.runs import check_claim, error_removed
from graphreid.papers.store import Run


def report(ap: np.ndarray) -> Report:
    q = len(ap)
    return Report(
        method="m",
        setting="online",
        protocol=MARKET,
        identity=np.arange(q) % 5,
        positives=(~np.isnan(ap)).astype(np.int64),
        first_rank=np.ones(q, np.int64),
        values={AveragePrecision(): ap},
    )


def test_error_removed_is_the_share_of_what_was_missing() -> None:
    before = np.array([0.5, 0.25, np.nan, 0.75, 0.5, 0.6, 0.4])
    share, (low, high) = error_removed(report(1 - (1 - before) * 0.7), report(before))
    assert share == pytest.approx(0.3)
    assert (low, high) == pytest.approx((0.3, 0.3)), "the same share of each query's error"
    rng = np.random.default_rng(0)
    first = rng.random(200) * 0.8
    after = np.clip(first + rng.normal(0.05, 0.05, 200), 0, 1)
    share, (low, high) = error_removed(report(after), report(first))
    assert low < share < high
    assert share == pytest.approx((after.mean() - first.mean()) / (1 - first.mean()))
    worse = error_removed(report(first), report(after))[0]
    assert worse < 0


def test_without_error_there_is_nothing_to_remove() -> None:
    assert np.isnan(error_removed(report(np.ones(5)), report(np.ones(5)))[0])


def run(ap: np.ndarray, first_rank: np.ndarray) -> Run:
    protocol = {"camera": "remove", "ap": "step", "denominator": "valid", "distractor": None}
    columns: dict[str, Any] = {
        "method": "m",
        "protocol": protocol,
        "setting": "online",
        "cost": {"rank_seconds": 1},
    }
    return Run(columns, np.arange(len(ap)) % 10, ap, first_rank)


def test_claims_hold_by_the_interval_of_the_paired_difference() -> None:
    rng = np.random.default_rng(0)
    low, first = rng.random(100) * 0.5, np.ones(100, np.int64)
    runs = {
        "low": [run(low, first)],
        "high": [run(low + 0.2, first), run(low + 0.3, first)],
        "gone": [],
    }
    assert check_claim(Claim("", "high", "low"), runs).holds == "holds"
    assert check_claim(Claim("", "low", "high"), runs).holds == "fails"
    found = check_claim(Claim("", "high", "low"), runs).difference
    assert found is not None
    assert found[0] == pytest.approx(0.25), "the mean over seeds"
    assert check_claim(Claim("", "gone", "low"), runs).holds == "not run"
    same = Claim("", "high", "low", metric="rank-1")
    assert check_claim(same, runs).holds == "fails", "no difference is no gain"
    lenient = Claim("", "high", "low", metric="rank-1", strict=False)
    assert check_claim(lenient, runs).holds == "holds"
    centred = rng.normal(0, 0.1, 100)
    near = {"one": [run(low, first)], "other": [run(low + centred - centred.mean(), first)]}
    for strict in (True, False):
        assert check_claim(Claim("", "one", "other", strict=strict), near).holds == "undecided"
