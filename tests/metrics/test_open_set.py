from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphreid.metrics.open_set import BINS, ScoreHistograms, Separation
from graphreid.metrics.protocol import MARKET, Protocol
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import IGNORED, POSITIVE, Relevance
from graphreid.types import DISTRACTOR, DistanceBlock, Labels
from tests.references import open_set as slow

PROTOCOLS = [
    MARKET,
    Protocol(camera="keep"),
    Protocol(distractor=3),
    Protocol(camera="keep", distractor=0),
]


def case(
    seed: int, queries: int = 30, images: int = 90
) -> tuple[Labels, Labels, NDArray[np.int64], NDArray[np.float32]]:
    """Queries and gallery with junk, distractors, unknown identities, queries that are in the
    gallery, ties and equal rows.
    """
    rng = np.random.default_rng(seed)
    query = Labels(
        rng.integers(-1, 12, queries),
        rng.integers(0, 3, queries),
        rng.choice([0, 0, 0, 0, 1, 2], queries),
    )
    gallery = Labels(
        rng.integers(-1, 8, images),
        rng.integers(0, 3, images),
        rng.choice([0, 0, 0, 0, 0, 1, 2], images),
    )
    own = np.where(rng.random(queries) < 0.3, rng.permutation(images)[:queries], -1)
    same = query.identity[:, None] == gallery.identity
    distance = (rng.random((queries, images)) - 0.1 - 0.3 * same).astype(np.float32)
    distance[rng.random((queries, images)) < 0.2] = 0.25
    distance[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
    return query, gallery, own, distance


def counted(
    case_: Any,
    protocol: Protocol,
    *,
    comparable: bool = True,
    probability: Any = None,
    block: int = 7,
) -> Separation:
    query, gallery, own, distance = case_
    counts = ScoreHistograms(
        Relevance(query, gallery, own=own, protocol=protocol), comparable=comparable
    )
    for start in range(0, len(query), block):
        rows = slice(start, start + block)
        counts.add(
            DistanceBlock(start, distance[rows], None if probability is None else probability[rows])
        )
    return counts.result()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_marks_equal_the_slow_ones_and_count_what_evaluation_counts(
    seed: int, protocol: Protocol
) -> None:
    query, gallery, own, distance = case(seed)
    marks = Relevance(query, gallery, own=own, protocol=protocol).marks(0, len(query))
    counter = RankCounter(Relevance(query, gallery, own=own, protocol=protocol))
    counter.add(DistanceBlock(0, distance))
    counted_ranks = counter.result()
    np.testing.assert_array_equal((marks == POSITIVE).sum(axis=1), counted_ranks.positives)
    for one_query in range(len(query)):
        for image in range(len(gallery)):
            expected = slow.mark(query, gallery, own, protocol, one_query, image)
            assert marks[one_query, image] == (IGNORED if expected is None else expected)
        order = [
            image
            for image in np.argsort(distance[one_query], kind="stable")
            if marks[one_query, image] != IGNORED
        ]
        ranks = [rank for rank, image in enumerate(order, 1) if marks[one_query, image] == POSITIVE]
        assert counted_ranks.first[one_query] == (ranks[0] if ranks else 0)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_rates_at_thresholds_equal_the_slow_ones(seed: int, protocol: Protocol) -> None:
    given = case(seed)
    query, gallery, own, distance = given
    separation = counted(given, protocol)
    right, wrong = slow.pairs(distance, query, gallery, own, protocol)
    assert (separation.right.sum(), separation.wrong.sum()) == (len(right), len(wrong))
    for rate in (0.003, 0.01, 0.1, 0.5):
        point = separation.at_fmr(rate)
        assert (point.false, point.true) == pytest.approx(
            slow.rates(right, wrong, point.threshold), abs=1e-12
        )
        assert point.false <= rate
        # the largest: a threshold a bin farther lets too many pass
        farther = point.threshold + max(abs(point.threshold), 1e-30) * 2**-10
        beyond = min(s for s in wrong if s > point.threshold)
        assert slow.rates(right, wrong, max(farther, beyond + abs(beyond) * 2**-10))[0] > rate
    threshold, false, missed = separation.roc()
    for place in range(0, len(threshold), 50):
        expected = slow.rates(right, wrong, threshold[place])
        assert (false[place], 1 - missed[place]) == pytest.approx(expected, abs=1e-12)
    closest = min(
        (abs(f - 1 + t), (f + 1 - t) / 2)
        for f, t in (slow.rates(right, wrong, s) for s in threshold)
    )
    assert separation.equal_error() == pytest.approx(closest[1], abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_identification_equals_the_slow_one(seed: int, protocol: Protocol) -> None:
    given = case(seed, queries=80)
    query, gallery, own, distance = given
    separation = counted(given, protocol)
    results = slow.searches(distance, distance, query, gallery, own, protocol)
    strangers = [
        slow.unknown(query, gallery, own, protocol, one_query) for one_query in range(len(query))
    ]
    np.testing.assert_array_equal(separation.unknown, strangers)
    met = {
        "given": [entry[0] for entry, stranger in zip(results, strangers, strict=True) if stranger],
        "removed": [entry[2] for entry in results if entry[3]],
    }
    for unknowns, rate in (("given", 0.1), ("given", 0.4), ("removed", 0.1), ("removed", 0.3)):
        point = separation.at_fpir(rate, unknowns=unknowns)  # pyright: ignore[reportArgumentType]
        expected = slow.identification(results, met[unknowns], point.threshold)
        assert (point.false, point.true) == pytest.approx(expected, abs=1e-12)
        assert point.false <= rate
        beyond = min(s for s in met[unknowns] if s > point.threshold)
        assert slow.identification(results, met[unknowns], beyond)[0] > rate


@pytest.mark.parametrize("seed", range(3))
def test_a_probability_is_what_is_thresholded_and_is_calibrated(seed: int) -> None:
    given = case(seed)
    query, gallery, own, distance = given
    probability = np.random.default_rng(seed).random(distance.shape).astype(np.float32)
    probability[distance > 0.5] = 0
    separation = counted(given, MARKET, comparable=False, probability=probability)
    assert separation.score == "1 - link probability"
    assert separation.comparable
    right, wrong = slow.pairs(1 - probability, query, gallery, own, MARKET)
    point = separation.at_fmr(0.05)
    assert (point.false, point.true) == pytest.approx(
        slow.rates(right, wrong, point.threshold), abs=1e-12
    )
    results = slow.searches(distance, 1 - probability, query, gallery, own, MARKET)
    point = separation.at_fpir(0.2, unknowns="removed")
    met = [entry[2] for entry in results if entry[3]]
    assert (point.false, point.true) == pytest.approx(
        slow.identification(results, met, point.threshold), abs=1e-12
    )
    scored = [
        (
            float(probability[one_query, image]),
            slow.mark(query, gallery, own, MARKET, one_query, image),
        )
        for one_query in range(len(query))
        for image in range(len(gallery))
        if probability[one_query, image] > 0 and query.role[one_query] != 1
    ]
    scored = [(p, y) for p, y in scored if y is not None]
    error, brier = slow.calibration([p for p, _ in scored], [y for _, y in scored])
    assert separation.calibration is not None
    assert separation.calibration.count.sum() == len(scored)
    assert separation.calibration.error == pytest.approx(error, abs=1e-9)
    assert separation.calibration.brier == pytest.approx(brier, abs=1e-9)
    assert len(separation.calibration.right) == 15


def test_calibration_of_known_probabilities() -> None:
    query, gallery = Labels([1, 2]), Labels([1, 1, 2, 2])
    counts = ScoreHistograms(
        Relevance(query, gallery, own=np.array([-1, -1]), protocol=MARKET), comparable=False
    )
    probability = np.array([[0.8, 0.8, 0.8, 0.0], [0.2, 0.0, 0.8, 1.0]], np.float32)
    counts.add(DistanceBlock(0, 1 - probability, probability))
    calibration = counts.result().calibration
    assert calibration is not None
    # of the four pairs at 0.8 three are right; the one at 0.2 is wrong, and the one at 1 right
    assert calibration.error == pytest.approx((4 * 0.05 + 0.2) / 6, abs=1e-6)
    assert calibration.brier == pytest.approx((3 * 0.04 + 0.64 + 0.04) / 6, abs=1e-6)


def test_bins_are_fine_and_in_order() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=(1, 3000)).astype(np.float32) ** 3)
    counts = ScoreHistograms(
        Relevance(Labels([0]), Labels(np.ones(3000, int)), own=np.array([-1]), protocol=MARKET),
        comparable=True,
    )
    counts.add(DistanceBlock(0, values))
    edges = np.array(counts.result().roc()[0])
    assert len(counts.result().wrong) == BINS
    above = edges[np.searchsorted(edges, values[0].astype(np.float64))]
    assert (above >= values[0]).all()
    assert (above - values[0] <= np.abs(values[0]) * 2**-11 + 1e-30).all()


def test_blocks_do_not_change_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = case(4)
    whole = counted(given, MARKET, block=30)
    monkeypatch.setattr("graphreid.metrics.open_set._CHUNK", 200)
    small = counted(given, MARKET, block=11)
    for name in ("right", "wrong", "first", "first_right", "nearest_wrong", "mated"):
        np.testing.assert_array_equal(getattr(small, name), getattr(whole, name))


def test_a_histogram_shares_out_all_pairs() -> None:
    edges, right, wrong = counted(case(0), MARKET).histogram(40)
    assert (len(edges), len(right), len(wrong)) == (41, 40, 40)
    assert (right.sum(), wrong.sum()) == pytest.approx((1, 1))


def test_distances_that_can_not_be_compared_have_no_threshold() -> None:
    separation = counted(case(0), MARKET, comparable=False)
    for ask in (
        lambda: separation.at_fmr(0.1),
        separation.roc,
        separation.equal_error,
        lambda: separation.at_fpir(0.1),
    ):
        with pytest.raises(ValueError, match="comparable between queries"):
            ask()
    separation.histogram(10)


def test_rates_that_can_not_be_seen_are_refused() -> None:
    separation = counted(case(0), MARKET)
    with pytest.raises(ValueError, match=r"can't be seen in .* wrong pairs: there must be 1000000"):
        separation.at_fmr(1e-6)
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        separation.at_fmr(1.0)
    with pytest.raises(ValueError, match="unknown queries: there must be 10000"):
        separation.at_fpir(1e-4)


def test_equal_scores_of_all_pairs_are_all_turned_away() -> None:
    query, gallery, own, distance = case(0)
    point = counted((query, gallery, own, np.ones_like(distance)), MARKET).at_fmr(0.1)
    assert point.threshold < 1
    assert (point.false, point.true) == (0, 0)


def test_no_unknown_queries_are_made_up() -> None:
    query, gallery = Labels([1, 2] * 20), Labels([1, 2, 3])
    given = query, gallery, np.full(40, -1), np.random.default_rng(0).random((40, 3), np.float32)
    separation = counted(given, MARKET)
    with pytest.raises(ValueError, match="every query's identity is in the gallery"):
        separation.at_fpir(0.1)
    assert separation.at_fpir(0.1, unknowns="removed").false <= 0.1


def test_a_distractor_among_the_queries_is_unknown_and_junk_is_not() -> None:
    query, gallery = Labels([1, 1, -1, 5], role=[0, DISTRACTOR, 1, 0]), Labels([1, 2])
    relevance = Relevance(query, gallery, own=np.full(4, -1), protocol=MARKET)
    assert relevance.unknown().tolist() == [False, True, False, True]


def test_nan_is_refused_by_query() -> None:
    query, gallery, own, distance = case(0)
    distance[17, 3] = np.nan
    with pytest.raises(ValueError, match="query 17 hold NaN"):
        counted((query, gallery, own, distance), MARKET)
