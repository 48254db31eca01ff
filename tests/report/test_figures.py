import dataclasses
import re

import numpy as np
import pytest

from graphreid.report import figures, tables
from tests.report.cases import examined


def drawn() -> list[str]:
    case = examined(0)
    operating = tables.operating_points(case.details[0].separation, "cosine")
    identity = np.repeat(np.arange(20), 4)
    place = np.random.default_rng(0).normal(size=(80, 2))
    return [
        figures.cmc_curves(case.reports),
        figures.roc_curves([(0, case.details[0].separation)]),
        figures.score_histograms(0, case.details[0].separation, operating.points),
        figures.score_histograms(1, case.details[1].separation, ()),
        figures.embedding_map(0, place, identity, np.tile([True, False, False, False], 20)),
    ]


@pytest.fixture(scope="module")
def first() -> list[str]:
    return drawn()


def test_figures_take_their_colours_and_type_from_the_page(first: list[str]) -> None:
    for svg in first:
        assert svg.startswith('<svg class="figure" viewBox="0 0 380 ')
        assert svg.endswith("</svg>")
        assert "var(--ink)" in svg or "var(--muted)" in svg
        assert "#0102" not in svg
        assert "font-family" not in svg
        assert "sans-serif" not in svg
        assert "http" not in svg
        assert "<text" in svg or "t-SNE" in svg


def test_figures_are_the_same_twice_and_share_no_ids(first: list[str]) -> None:
    assert first == drawn()
    ids = [name for svg in first for name in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in first:
        known = set(re.findall(r'\bid="([^"]+)"', svg))
        assert (
            set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
            <= known
        )


def test_a_line_a_method_and_dashes_when_colours_run_out() -> None:
    case = examined(0, methods=1)
    reports = [
        dataclasses.replace(case.reports[0], method=f"m{number}")
        for number in range(figures.METHOD_COLOURS + 1)
    ]
    svg = figures.cmc_curves(reports)
    assert all(f"var(--s{number})" in svg for number in range(figures.METHOD_COLOURS))
    assert figures.line_style(figures.METHOD_COLOURS) == ("s0", "dashed")
    assert (
        svg.count("stroke-dasharray")
        == figures.cmc_curves(reports[:-1]).count("stroke-dasharray") + 1
    )


def test_rates_as_people_write_them() -> None:
    assert [figures.percent(rate) for rate in (0.01, 0.001, 0.0001)] == ["1 %", "0.1 %", "0.01 %"]
