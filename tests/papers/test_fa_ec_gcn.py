"""Recipes of FA-GCN and EC-GCN, with networks and data so small that they take no time."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from graphreid.methods.spec import parse
from graphreid.papers.coverage import COVERAGE, RECIPES, state
from graphreid.papers.publish import publish
from graphreid.papers.recipe import Recipe
from graphreid.papers.run import run
from graphreid.report.embedding_map import sample
from tests.papers.cases import bench, write_inputs

NAMES = [name for name in COVERAGE if name.startswith("fa-ec-gcn/")]
TINY = {"epochs": 1, "k1": 8, "k2": 3, "layers": 2, "width": 8, "precision": "fp32"}


def only(name: str, *rows: str) -> Recipe:
    """A recipe with some of its rows, and with claims that are about them."""
    recipe = RECIPES[name]
    claims = tuple(claim for claim in recipe.claims if {claim.better, claim.worse} <= set(rows))
    return replace(
        recipe, rows=tuple(row for row in recipe.rows if row.name in rows), claims=claims
    )


def test_every_table_and_figure_runs_here() -> None:
    assert [name for name in RECIPES if name.startswith("fa-ec-gcn/")] == NAMES
    assert len(NAMES) == 9
    assert {state(name) for name in NAMES} == {"runs here"}


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_the_methods_own(name: str) -> None:
    for row in RECIPES[name].rows:
        for text in row.texts():
            for part in text.split("+"):
                if not part.startswith("{"):
                    parse(part)


def test_the_papers_numbers_are_its_own(shared: Path) -> None:
    text = (shared / "papers" / "fa-ec-gcn.txt").read_text()
    for name in NAMES:
        for row in RECIPES[name].rows:
            for numbers in row.paper.values():
                assert all(f"{value:g}" in text for value in numbers.values()), (name, row.name)


def test_both_with_and_without_re_ranking_share_a_fit(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY)
    both = "FA-GCN + EC-GCN"
    recipe = only("fa-ec-gcn/table2", "baseline", both, f"{both}, transductive", f"{both} + RR")
    results = {result.row.name: result.records[0] for result in run(recipe, on, seeds=1, say=print)}
    assert sum(file.suffix == ".json" for file in (tmp_path / "work" / "fitted").iterdir()) == 1
    settings = [
        results[name]["protocol"]["setting"]
        for name in (both, f"{both}, transductive", f"{both} + RR")
    ]
    assert settings == ["online", "transductive", "transductive"]
    assert len({str(record["queries"]) for record in results.values()}) == 4


def test_the_curve_of_lam_begins_at_fa_gcns_order_and_moves(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY)
    recipe = only("fa-ec-gcn/fig4", "baseline", "lam = 0", "lam = 2")
    base, zero, two = (result.records[0] for result in run(recipe, on, seeds=1, say=print))
    assert base["queries"] != zero["queries"] != two["queries"]
    assert two["configuration"]["fields"]["FAECGCN"]["lam"] == 2.0


def test_the_map_has_two_panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphreid.report.embedding_map.sample", partial(sample, identities=4))
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given={"epochs": 1})
    recipe = RECIPES["fa-ec-gcn/fig6"]
    file = publish(recipe, run(recipe, on, seeds=1, say=print), on, tmp_path / "out", command="x")
    assert "fig6.svg" in file.read_text()
    drawing = file.with_suffix(".svg").read_text()
    assert drawing.count('id="axes_') == 2
    assert ">FA-GCN<" in drawing


def test_the_ranked_lists_are_drawn(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY)
    recipe = only("fa-ec-gcn/fig7", "baseline", "FA-GCN + EC-GCN")
    file = publish(recipe, run(recipe, on, seeds=1, say=print), on, tmp_path / "out", command="x")
    assert file.with_suffix(".svg").is_file()
