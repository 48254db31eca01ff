"""What every metric must do, whatever it computes."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar, Literal

import numpy as np
import pytest
from jaxtyping import Float64

from graphreid import metrics, plugins
from graphreid.metrics import DEFAULT, METRICS, metrics_of, parse_metric
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.cmc import CMC
from graphreid.metrics.metric import Metric, mean, name_of
from graphreid.metrics.protocol import MARKET, Protocol
from graphreid.metrics.ranks import Ranks
from graphreid.metrics.recall import Recall
from graphreid.plugins import Registry
from graphreid.types import Labels
from tests.metrics.cases import count, ranked

EVERY = [kind() for kind in METRICS.values()]


@pytest.mark.parametrize("metric", EVERY, ids=name_of)
def test_a_name_is_parsed_to_an_equal_value(metric: Metric) -> None:
    assert isinstance(metric, Metric)
    for text in (name_of(metric), name_of(metric).upper(), f" {name_of(metric).lower()} "):
        assert parse_metric(text) == metric
    assert len({metric, parse_metric(name_of(metric))}) == 1, "equal values are one key"
    assert type(metric).__doc__


def test_names_differ() -> None:
    assert len({name_of(metric) for metric in EVERY}) == len(EVERY)
    assert name_of(CMC(10)) == "rank-10"
    assert parse_metric("rank-10") == CMC(10) != CMC(1)


@pytest.mark.parametrize("metric", EVERY, ids=name_of)
def test_values_are_shares_and_nan_without_a_positive(metric: Metric) -> None:
    for seed in range(3):
        ranks, _ = ranked(seed)
        values = metric.values(ranks)
        np.testing.assert_array_equal(np.isnan(values), ranks.positives == 0)
        assert (values[ranks.positives > 0] >= 0).all()
        assert (values[ranks.positives > 0] <= 1).all()
        assert 0 < mean(metric, ranks) < 1


@pytest.mark.parametrize("metric", EVERY, ids=name_of)
def test_a_perfect_ranking_is_1(metric: Metric) -> None:
    query, gallery = Labels([3, 4, 3]), Labels([3, 3, 4, 5, 3])
    distance = (query.identity[:, None] != gallery.identity).astype(np.float32)
    assert metric.values(count(distance, query, gallery)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("metric", EVERY, ids=name_of)
def test_only_what_is_in_a_list_is_found(metric: Metric) -> None:
    """A list of all images is a whole ranking; of a shorter one the name says so, or nothing is
    said of ranks beyond.
    """
    rng = np.random.default_rng(0)
    query, gallery = Labels([1, 2, 3] * 4), Labels([1, 1, 2, 2, 3, 3, 4, 4])
    distance = rng.random((12, 8), np.float32)
    whole = metric.values(count(distance, query, gallery))
    every = metric.values(count(distance, query, gallery, Protocol(listed=8)))
    np.testing.assert_array_equal(whole, every)
    cut = metric.values(count(distance, query, gallery, Protocol(listed=2)))
    assert (cut <= whole).all()
    assert (name_of(metric, Protocol(listed=2)) == f"{name_of(metric)}@2") == metric.cut


def test_an_unknown_metric_is_refused_with_those_that_are_known() -> None:
    for text in ("map@", "rank-", "rank-x", "rank--1", ""):
        with pytest.raises(ValueError, match=r"is not known: choose from mAP, rank-K, "):
            parse_metric(text)
    with pytest.raises(ValueError, match="ranks start at 1"):
        parse_metric("rank-0")
    with pytest.raises(ValueError, match="no metric is asked for"):
        metrics_of([])


def test_metrics_are_given_as_values_or_texts_each_once() -> None:
    assert metrics_of("mAP, rank-1,MINP") == DEFAULT
    assert metrics_of([CMC(3), "map", "rank-3"]) == (CMC(3), AveragePrecision())


def test_queries_without_a_positive_count_0_where_the_protocol_says_so() -> None:
    query, gallery = Labels([1, 9, 1, 9]), Labels([1, 2])
    distance = np.array([[0, 1]] * 4, np.float32)
    for metric in EVERY:
        assert mean(metric, count(distance, query, gallery, MARKET)) == 1
        protocol = Protocol(denominator="all")
        assert mean(metric, count(distance, query, gallery, protocol)) == 0.5


@dataclass(frozen=True)
class Found:
    """A plugin's metric: whether a query has a positive at all."""

    text: ClassVar[str] = "found-{n}"
    cut: ClassVar[bool] = False
    average: ClassVar[Literal["queries", "identities"]] = "queries"
    n: int = 1

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        return np.where(ranks.positives >= self.n, 1.0, np.nan)


def test_a_plugin_adds_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("found", f"{__name__}:Found", "graphreid.metrics")
    made = Registry("metrics", dict(METRICS.own))

    def entry_points(*, group: str) -> EntryPoints:
        assert group == "graphreid.metrics"
        return EntryPoints([point])

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    monkeypatch.setattr(metrics, "METRICS", made)
    assert parse_metric("found-2") == Found(2)
    assert parse_metric("recall@3") == Recall(3)
    with pytest.raises(ValueError, match=r"choose from mAP, rank-K, .*, found-\{n\}"):
        parse_metric("lost-2")
