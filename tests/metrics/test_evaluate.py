from pathlib import Path

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.metric import name_of
from graphreid.metrics.protocol import MARKET, PROTOCOLS, Protocol
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report, report_of
from graphreid.types import DistanceBlock, Features, Labels
from tests.metrics.cases import count, metric_learning
from tests.references import evaluation as slow
from tests.support import labelled


def counted(
    distance: np.ndarray, query: Labels, gallery: Labels, protocol: Protocol = MARKET
) -> Report:
    ranks = count(distance, query, gallery, protocol)
    return report_of(ranks, method="distances", setting="unknown")


def cmc(report: Report) -> list[float]:
    return [report.cmc(k) for k in range(1, 51)]


@pytest.mark.parametrize("reference", ["fastreid", "torchreid", "transreid"])
@pytest.mark.parametrize("junk", ["dropjunk", "rawjunk"])
def test_equals_published_evaluators(golden: Path, reference: str, junk: str) -> None:
    given = np.load(golden / "evaluation_market.npz")
    roles = (
        None if junk == "dropjunk" else np.zeros(len(given["g_pids"]), np.int8)
    )  # evaluators alone do not know junk
    report = counted(
        given["distmat"],
        Labels(given["q_pids"], given["q_cams"]),
        Labels(given["g_pids"], given["g_cams"], roles),
    )
    prefix = f"{junk}_{reference}"
    np.testing.assert_allclose(report.ap, given[f"{prefix}_ap"], atol=1e-12)
    np.testing.assert_allclose(report.mean_ap(), given[f"{prefix}_map"], atol=1e-12)
    np.testing.assert_allclose(cmc(report), given[f"{prefix}_cmc"], atol=1e-6)
    if reference == "fastreid":
        np.testing.assert_allclose(report.per_query("mINP"), given[f"{prefix}_inp"], atol=1e-12)
        np.testing.assert_allclose(report.mean_inp(), given[f"{prefix}_minp"], atol=1e-12)
    np.testing.assert_array_equal(report.evaluated, given["valid_query"])
    assert (report.queries, report.skipped) == (58, 2)


def test_equals_layumi(golden: Path) -> None:
    given = np.load(golden / "evaluation_market.npz")
    query, gallery = (
        Labels(given["q_pids"], given["q_cams"]),
        Labels(given["g_pids"], given["g_cams"]),
    )
    report = counted(given["distmat"], query, gallery, PROTOCOLS["layumi"])
    np.testing.assert_allclose(report.mean_ap(), given["layumi_map"], atol=1e-12)
    np.testing.assert_allclose(
        report.ap[report.evaluated], given["layumi_ap"][report.evaluated], atol=1e-12
    )
    np.testing.assert_allclose(cmc(report), given["layumi_cmc"], atol=1e-6)


def test_equals_metric_learnings_numbers(golden: Path) -> None:
    report, expected = metric_learning(golden, AveragePrecision())
    assert report.mean_ap() == pytest.approx(expected["mAP"], abs=1e-12)
    assert report.cmc(1) == pytest.approx(expected["recall@1"], abs=1e-12)


@pytest.mark.parametrize("case", ["medium", "distractor"])
@pytest.mark.parametrize(
    ("matrix", "k1", "k2", "lam"), [("original", 0, 0, 0.0), ("kreciprocal_k20_k6_l03", 20, 6, 0.3)]
)
def test_equals_the_numbers_of_whole_runs(
    golden: Path, case: str, matrix: str, k1: int, k2: int, lam: float
) -> None:
    inputs, given = (
        np.load(golden / f"kreciprocal_{case}.npz"),
        np.load(golden / f"evaluation_{case}.npz"),
    )
    report = evaluate(
        KReciprocal(k1, k2, lam) if k1 else Cosine(),
        Features(inputs["q_emb"]),
        Gallery(Features(inputs["g_emb"])),
        Labels(inputs["q_pids"], inputs["q_cams"]),
        Labels(inputs["g_pids"], inputs["g_cams"]),
    )
    np.testing.assert_allclose(report.ap, given[f"{matrix}_ap"], atol=1e-12)
    np.testing.assert_allclose(report.mean_inp(), given[f"{matrix}_minp"], atol=1e-12)
    np.testing.assert_allclose(cmc(report), given[f"{matrix}_cmc"], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_equals_sorting_with_ties_and_junk(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    distance = rng.integers(0, 12, (20, 50)).astype(np.float32)
    query = Labels(rng.integers(0, 6, 20), rng.integers(0, 3, 20))
    gallery = Labels(rng.integers(-1, 5, 50), rng.integers(0, 3, 50))
    assert query.camera is not None
    assert gallery.camera is not None
    protocol = PROTOCOLS[name]
    report = counted(distance, query, gallery, protocol)
    for row in range(20):
        camera = int(query.camera[row]) if protocol.camera == "remove" else None
        right = slow.query(
            distance[row], int(query.identity[row]), camera, gallery.identity, gallery.camera
        )
        if not right.any():
            assert np.isnan(report.ap[row])
            continue
        assert report.ap[row] == pytest.approx(
            slow.average_precision(right, protocol.ap == "trapezoid"), abs=1e-12
        )
        assert report.first_rank[row] == right.argmax() + 1
        assert report.per_query("mINP")[row] == pytest.approx(
            right.sum() / (np.flatnonzero(right)[-1] + 1), abs=1e-12
        )


def test_distractors_count_as_wrong_and_match_nobody() -> None:
    distance = np.array([[0.1, 0.2, 0.3]], np.float32)
    query, gallery = Labels([0], [1]), [0, 0, 0]
    plain = counted(distance, query, Labels(gallery, [2, 2, 2], ["distractor", "normal", "normal"]))
    assert plain.ap[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    with pytest.raises(ValueError, match="no query can be evaluated"):
        counted(distance, query, Labels(gallery, [2, 2, 2]), Protocol(distractor=0))


def test_positives_in_the_queries_own_camera_are_explained() -> None:
    distance = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="all 2 are junk or distractors"):
        counted(distance, Labels([-1, -1], [1, 1]), Labels([1, 2, 2], [2, 2, 2]))
    with pytest.raises(ValueError, match=r"2 of 2 queries .* own camera.*--rule no-camera"):
        counted(distance, Labels([1, 2], [1, 1]), Labels([1, 2, 2], [1, 1, 1]))
    with pytest.raises(ValueError, match="check the identities"):
        counted(distance, Labels([1, 2], [1, 1]), Labels([3, 4, 5], [1, 1, 1]))
    with pytest.raises(ValueError, match="the queries have no cameras"):
        counted(distance, Labels([1, 2]), Labels([1, 2, 2], [1, 1, 1]))
    assert (
        counted(
            distance, Labels([1, 2]), Labels([1, 2, 2], [1, 1, 1]), PROTOCOLS["no-camera"]
        ).queries
        == 2
    )


def test_without_cameras_only_the_query_itself_is_removed() -> None:
    (query, labels), _ = labelled(0, queries=30)
    bare = Labels(labels.identity)
    features = Features(query.vectors, query.items)
    report = evaluate(Cosine(), features, Gallery(features), bare, bare)
    cosine = 1 - query.vectors.astype(np.float64) @ query.vectors.T
    for row in np.flatnonzero(report.evaluated):
        others = np.delete(np.arange(30), row)
        right = slow.query(
            cosine[row, others],
            int(bare.identity[row]),
            None,
            bare.identity[others],
            np.zeros(29, np.int64),
        )
        assert report.ap[row] == pytest.approx(slow.average_precision(right, False), abs=1e-12)


def test_nan_is_refused() -> None:
    distance = np.zeros((2, 3), np.float32)
    distance[1, 2] = np.nan
    with pytest.raises(ValueError, match="query 1 hold NaN"):
        counted(distance, Labels([1, 2]), Labels([1, 2, 2]))


def test_intervals_and_differences_go_over_identities() -> None:
    (query, query_labels), (images, image_labels) = labelled(1, queries=60, images=200)
    gallery = Gallery(images)
    first = evaluate(Cosine(), query, gallery, query_labels, image_labels)
    second = evaluate(KReciprocal(k1=10, k2=3), query, gallery, query_labels, image_labels)
    low, high = first.interval()
    assert low < first.mean_ap() < high
    # by hand: draw identities, take the mean of all their queries
    rng = np.random.default_rng(0)
    names = np.unique(first.identity[first.evaluated])
    means = []
    for _ in range(4000):
        drawn = rng.choice(names, len(names))
        means.append(
            np.concatenate(
                [first.ap[first.evaluated & (first.identity == name)] for name in drawn]
            ).mean()
        )
    np.testing.assert_allclose([low, high], np.quantile(means, [0.025, 0.975]), atol=0.01)
    apart, (least, most) = second.difference(first)
    assert apart == pytest.approx(second.mean_ap() - first.mean_ap())
    assert least <= apart <= most
    assert first.difference(first) == (0, (0, 0))
    with pytest.raises(ValueError, match="differ in queries or protocol"):
        first.difference(counted(np.zeros((1, 1), np.float32), Labels([1]), Labels([1])))


def test_numbers_of_labels_are_checked() -> None:
    (query, query_labels), (images, image_labels) = labelled(1)
    with pytest.raises(ValueError, match="give one each"):
        evaluate(Cosine(), query, Gallery(images), image_labels, query_labels)


def test_the_report_keeps_the_first_images_asked_for() -> None:
    (query, query_labels), (images, image_labels) = labelled(1)
    report = evaluate(Cosine(), query, Gallery(images), query_labels, image_labels, top=5)
    assert report.order is not None
    assert report.order.shape == (len(query), 5)
    summary = report.summary()
    assert set(summary) >= {"mAP", "mINP", "cmc", "setting", "queries", "skipped", "seconds"}
    with pytest.raises(ValueError, match="ranks start at 1"):
        report.cmc(0)


def test_the_metrics_asked_for_are_reported() -> None:
    (query, query_labels), (images, image_labels) = labelled(1)
    given = Cosine(), query, Gallery(images), query_labels, image_labels
    report = evaluate(*given, metrics=["rank-3", "mAP"])
    assert [name_of(metric) for metric in report.metrics] == ["rank-3", "mAP"]
    summary = report.summary()
    assert list(summary)[:4] == ["rank-3", "rank-3_interval", "mAP", "mAP_interval"]
    assert summary["rank-3"] == report.mean("rank-3") == report.cmc(3)
    assert report.interval("rank-3") != report.interval()
    np.testing.assert_array_equal(report.per_query("rank-2"), (report.first_rank <= 2) * 1.0)
    for ask in (report.mean_inp, lambda: report.difference(report, "mINP")):
        with pytest.raises(ValueError, match="mINP is not in the report: ask for it"):
            ask()
    other = evaluate(*given, metrics="rank-3")
    assert report.difference(other, "rank-3") == (0, (0, 0))
    with pytest.raises(ValueError, match="mAP is not in the report"):
        report.difference(other)


def test_the_former_keyword_gives_the_same() -> None:
    (query, query_labels), (images, image_labels) = labelled(1)
    given = Cosine(), query, Gallery(images), query_labels, image_labels
    with pytest.warns(DeprecationWarning, match="protocol"):
        report = evaluate(*given, rule=PROTOCOLS["no-camera"])
    assert report.rule == report.protocol == PROTOCOLS["no-camera"]
    assert report.mean_ap() == evaluate(*given, protocol=PROTOCOLS["no-camera"]).mean_ap()


def test_a_missing_block_is_refused() -> None:
    query, gallery = Labels([1, 2]), Labels([1, 2])
    relevance = Relevance(query, gallery, own=np.full(2, -1), protocol=MARKET)
    counter = RankCounter(relevance)
    counter.add(DistanceBlock(0, np.zeros((1, 2), np.float32)))
    with pytest.raises(ValueError, match="some queries are missing"):
        counter.result()
    counter.add(DistanceBlock(1, np.zeros((1, 2), np.float32)))
    assert counter.result().rank.tolist() == [1, 2]
