"""Recipes of FFGNN and HRNet, with networks and data so small that they take no time."""

from dataclasses import replace
from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.papers.coverage import COVERAGE, RECIPES
from graphreid.papers.publish import publish
from graphreid.papers.recipe import Recipe
from graphreid.papers.run import run
from tests.papers.cases import bench, write_inputs

TINY = {
    "ffgnn": {"epochs": 1, "k": 12, "reciprocal": 4, "tau": 5, "precision": "fp32"},
    "hrnet": {"epochs": 1, "nodes": 12, "k": 4, "identities": 4, "images": 3, "precision": "fp32"},
}


def only(name: str, *rows: str) -> Recipe:
    """A recipe with some of its rows, and with claims that are about them."""
    recipe = RECIPES[name]
    claims = tuple(claim for claim in recipe.claims if {claim.better, claim.worse} <= set(rows))
    return replace(
        recipe, rows=tuple(row for row in recipe.rows if row.name in rows), claims=claims
    )


@pytest.mark.parametrize("paper", ["ffgnn", "hrnet"])
def test_every_table_and_figure_has_a_recipe(paper: str) -> None:
    assert [name for name in COVERAGE if name.startswith(paper)] == [
        name for name in RECIPES if name.startswith(paper)
    ]


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(("ffgnn", "hrnet"))])
def test_every_option_is_the_methods_own(name: str) -> None:
    from graphreid.methods.spec import parse

    for row in RECIPES[name].rows:
        for text in row.texts():
            for part in text.split("+"):
                if part.partition(":")[0] in METHODS:
                    parse(part)


def test_what_follows_ffgnn_shares_its_fit(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY["ffgnn"])
    recipe = only("ffgnn/table5", "baseline", "FFGNN", "FFGNN+k-reciprocal", "FFGNN+ECN")
    results = {result.row.name: result.records[0] for result in run(recipe, on, seeds=1, say=print)}
    assert sum(file.suffix == ".json" for file in (tmp_path / "work" / "fitted").iterdir()) == 1
    assert results["FFGNN"]["protocol"]["setting"] == "online"
    assert len({str(record["queries"]) for record in results.values()}) == 4


def test_a_figure_with_two_axes_has_two_panels(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY["ffgnn"])
    recipe = only("ffgnn/fig4", "baseline", "K = 20", "K = 50", "alpha = 0.3", "alpha = 0.5")
    publish(recipe, run(recipe, on, seeds=1, say=print), on, tmp_path / "out", command="x")
    drawing = (tmp_path / "out" / on.inputs.name / "ffgnn" / "fig4.svg").read_text()
    assert drawing.count('id="axes_') == 2
    assert ">alpha<" in drawing
    assert ">K<" in drawing


def test_components_of_hrnet_differ_and_its_graphs_are_drawn(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY["hrnet"])
    rows = [row.name for row in RECIPES["hrnet/table1"].rows if not row.name.startswith("k-rec")]
    results = run(only("hrnet/table1", *rows), on, seeds=1, say=print)
    assert len({str(result.records[0]["queries"]) for result in results}) == len(rows) == 7
    recipe = RECIPES["hrnet/fig5"]
    file = publish(recipe, run(recipe, on, seeds=1, say=print), on, tmp_path / "out", command="x")
    assert "two images of one identity weigh" in file.read_text()
    assert file.with_suffix(".svg").read_text().count("<image") == 2
