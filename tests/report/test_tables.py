import dataclasses
from typing import Any

import numpy as np
import pytest

from graphreid.metrics import parse_metric
from graphreid.metrics.open_set import ScoreHistograms
from graphreid.metrics.relevance import POSITIVE, Relevance
from graphreid.report import tables
from graphreid.report.examine import CameraTable
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Labels
from tests.report.cases import examined


def test_results_compare_all_with_the_first() -> None:
    case = examined(0, methods=3)
    case.reports[1].extra["peak_mb"] = 12.4
    rows = tables.result_rows(case.reports)
    assert [row.method for row in rows] == [
        "cosine:online",
        "k-reciprocal:transductive",
        "k-reciprocal:online",
    ]
    assert [row.setting for row in rows] == ["online", "transductive", "online"]
    assert rows[0].difference == ("", "", "", "")
    assert [row.cells[7] for row in rows] == ["", "12", ""]
    for row, report in zip(rows[1:], case.reports[1:], strict=True):
        apart, (low, high) = report.difference(case.reports[0])
        numbers = [
            float(part.replace("\N{MINUS SIGN}", "-"))
            for part in (row.difference[0], *row.difference[1].split(" to "))
        ]
        assert numbers == pytest.approx([apart, low, high], abs=6e-4)
        won = int(((report.first_rank == 1) & (case.reports[0].first_rank != 1)).sum())
        lost = int(((report.first_rank != 1) & (case.reports[0].first_rank == 1)).sum())
        assert row.difference[3] == f"{won} won, {lost} lost"


def two(before: list[tuple[float, int]], after: list[tuple[float, int]]) -> list[Any]:
    """Reports with these average precisions and first ranks."""
    base = examined(0, methods=1).reports[0]
    rows = np.arange(len(before))
    return [
        dataclasses.replace(
            base,
            method=name,
            identity=rows,
            values={
                parse_metric(name): np.array([ap for ap, _ in given]) for name in ("mAP", "mINP")
            },
            first_rank=np.array([rank for _, rank in given]),
            positives=np.full(len(given), 3),
            order=None,
        )
        for name, given in (("first", before), ("second", after))
    ]


def test_rank_1_that_was_lost_is_said_beside_the_map_that_was_won() -> None:
    reports = two(
        [(0.5, 1), (0.5, 1), (0.5, 2), (0.5, 1)], [(0.9, 2), (0.9, 3), (0.9, 1), (0.9, 1)]
    )
    notes = tables.result_rows(reports)[1].notes
    assert notes == (
        "second wins 0.400 mAP and loses 0.250 rank-1: the first image became right for 1 queries "
        "and wrong for 2.",
    )


def test_a_loss_and_a_difference_that_is_none_are_said() -> None:
    worse = tables.result_rows(two([(0.9, 1)] * 5, [(0.4, 1)] * 5))[1].notes
    assert worse == ("second is worse than first: its mAP is 0.500 lower.",)
    same = tables.result_rows(two([(0.5, 1), (0.5, 1)], [(0.6, 1), (0.4, 1)]))[1].notes
    assert len(same) == 1
    assert "includes 0" in same[0]


def test_thresholds_are_shown_where_enough_pairs_pass() -> None:
    separation = examined(0).details[0].separation
    wrong = int(separation.wrong.sum())
    operating = tables.operating_points(separation, "cosine")
    assert [rate for rate, _ in operating.points] == [
        rate for rate in tables.MATCH_RATES if rate * wrong >= tables.MIN_PAIRS
    ]
    assert len(operating.lines) == len(operating.points) == 1
    point = separation.at_fmr(0.01)
    assert operating.lines[0][1] == f"{point.threshold:.4g}"
    assert operating.lines[0][3] == f"{100 * point.true:.1f} %"
    assert "too few to choose a threshold by" in operating.notes[1]
    assert "no unknown queries here" in operating.notes[2]


def test_no_threshold_where_distances_can_not_be_compared() -> None:
    operating = tables.operating_points(examined(0).details[1].separation, "k-reciprocal")
    assert (operating.points, operating.lines) == ((), ())
    assert operating.notes[0].startswith("No threshold: k-reciprocal")


def test_unknown_queries_and_probabilities_are_used_where_there_are_some() -> None:
    rng = np.random.default_rng(0)
    query, gallery = Labels(np.arange(60) % 30), Labels(np.arange(100) % 20)
    relevance = Relevance(
        query, gallery, own=np.full(60, -1), protocol=examined(0).reports[0].protocol
    )
    counts = ScoreHistograms(relevance, comparable=False)
    probability = np.where(relevance.marks(0, 60) == POSITIVE, 0.6, 0.1) + 0.3 * rng.random(
        (60, 100)
    )
    counts.add(
        DistanceBlock(0, (1 - probability).astype(np.float32), probability.astype(np.float32))
    )
    text = " ".join(tables.operating_points(counts.result(), "m").notes)
    assert "20 queries whose identity is not in the gallery" in text
    assert "expected calibration error" in text
    assert "Brier score" in text


def test_cameras_are_named_and_in_the_order_of_their_names() -> None:
    values = np.arange(6).reshape(2, 3) / 10
    values[0, 0] = np.nan
    table = CameraTable(
        np.array([7, 1 << 41]),
        np.array([2, 10, 1 << 41]),
        values,
        values,
        np.ones((2, 3), np.int64),
    )
    columns, rows = tables.camera_rows(table, None, {7: "c10", 1 << 41: "c9"})
    assert columns == ["c9", "2", "10"]
    assert [name for name, _ in rows] == ["c9", "c10"]
    by_name = {
        name: dict(zip(columns, [cell.text for cell in cells], strict=True)) for name, cells in rows
    }
    assert by_name["c10"] == {"2": "", "10": "0.100", "c9": "0.200"}
    assert by_name["c9"] == {"2": "0.300", "10": "0.400", "c9": "0.500"}
    less = dataclasses.replace(table, mean_ap=values - 0.1)
    _, rows = tables.camera_rows(less, table, {})
    assert {cell.text for _, cells in rows for cell in cells} == {"", "\N{MINUS SIGN}0.100"}
    tints = [cell.tint for _, cells in rows for cell in cells]
    assert tints == pytest.approx([-0.5 if cell.text else 0 for _, cells in rows for cell in cells])


def test_the_card_states_counts_settings_and_versions() -> None:
    case = examined(0)
    roles = np.zeros(150, np.int8)
    roles[:5], roles[5:7] = 2, 1
    labels = Labels(case.gallery_labels.identity, case.gallery_labels.camera, roles)
    card = dict(
        tables.protocol_card(
            case.reports,
            case.query,
            case.query_labels,
            case.gallery,
            labels,
            more={"Files": "a, b"},
            resources=Resources(threads=3),
            seed=5,
        )
    )
    assert "same identity and camera removed" in card["Rule"]
    assert card["Settings"] == "cosine:online: online; k-reciprocal:transductive: transductive"
    assert "40 of 10 identities; 40 evaluated, 0 skipped" in card["Queries"]
    assert card["Gallery"] == "150 images of 10 identities, 5 distractors, 2 junk"
    assert card["Threads"] == "3, device cpu"
    assert "graphreid 0." in card["Versions"]
    assert "numpy" in card["Versions"]
    assert card["Files"] == "a, b"
    assert card["Random queries and map"] == "seed 5"


def test_numbers_have_a_true_minus_and_zero_no_sign() -> None:
    # seen in a table, where they are shown
    rows = tables.result_rows(two([(0.5, 1)] * 3, [(0.5, 2)] * 3))
    assert rows[1].difference[0] == "0.000"
    assert rows[1].difference[2] == "\N{MINUS SIGN}1.000"
