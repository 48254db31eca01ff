import numpy as np
import pytest

from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.protocol import MARKET
from graphreid.metrics.report import Report
from graphreid.papers.compare import error_removed, verdict
from graphreid.papers.recipe import Claim


def report(ap: np.ndarray) -> Report:
    q = len(ap)
    count = (~np.isnan(ap)).astype(np.int64)
    return Report(
        method="m",
        setting="online",
        protocol=MARKET,
        identity=np.arange(q) % 5,
        positives=count,
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


def record(ap: np.ndarray, first_rank: np.ndarray) -> dict[str, object]:
    fields = {"camera": "remove", "ap": "step", "denominator": "valid", "distractor": None}
    return {
        "configuration": {"method": "m", "fit": None, "chosen": None},
        "protocol": {"setting": "online", "rule_fields": fields},
        "cost": {"rank_seconds": 1},
        "queries": {
            "identity": (np.arange(len(ap)) % 10).tolist(),
            "ap": ap.tolist(),
            "first_rank": first_rank.tolist(),
        },
    }


def test_verdicts() -> None:
    rng = np.random.default_rng(0)
    low, first = rng.random(100) * 0.5, np.ones(100, np.int64)
    records = {
        "low": [record(low, first)],
        "high": [record(low + 0.2, first), record(low + 0.3, first)],
        "noise": [record(np.clip(low + rng.normal(0, 0.3, 100), 0, 1) - 0.0, first)],
        "gone": [],
    }
    assert verdict(Claim("", "high", "low"), records).holds == "holds"
    assert verdict(Claim("", "low", "high"), records).holds == "fails"
    found = verdict(Claim("", "high", "low"), records).difference
    assert found is not None
    assert found[0] == pytest.approx(0.25), "the mean over seeds"
    assert verdict(Claim("", "gone", "low"), records).holds == "not run"
    same = Claim("", "high", "low", metric="rank-1")
    assert verdict(same, records).holds == "fails", "no difference is no gain"
    assert (
        verdict(Claim("", "high", "low", metric="rank-1", strict=False), records).holds == "holds"
    )
    centred = rng.normal(0, 0.1, 100)
    near = {"one": [record(low, first)], "other": [record(low + centred - centred.mean(), first)]}
    for strict in (True, False):
        assert verdict(Claim("", "one", "other", strict=strict), near).holds == "undecided"
