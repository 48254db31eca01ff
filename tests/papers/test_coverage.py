from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.methods.spec import parse
from graphreid.papers.coverage import COVERAGE, RECIPES, select, state
from graphreid.papers.recipe import FITTED, METRICS, Row, absent
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "coverage.md"

# what can be made of the five papers: 23 tables and 19 figures
ALL = {
    "cagcn": ["table1", "table2", "table3", "table4", "table5", "table6", "fig3", "fig4"],
    "fa-ec-gcn": ["table2", "table3", "table4", "table5", "table6", "fig4", "fig5", "fig6", "fig7"],
    "ffgnn": ["table1", "table2", "table3", "table4", "table5", "fig4", "fig5"],
    "hrnet": ["table1", "table2", "fig3", "fig4", "fig5"],
    "icg": [
        "table1",
        "table2",
        "table3",
        "table4",
        "table5",
        "fig7",
        "fig8",
        "fig9",
        "fig10",
        "fig11",
        "fig12",
        "fig13",
        "fig14",
    ],
}


def test_every_table_and_figure_is_listed() -> None:
    expected = [f"{paper}/{name}" for paper, names in ALL.items() for name in names]
    assert list(COVERAGE) == expected
    assert len(expected) == 42
    assert sum("table" in name for name in expected) == 23


def page() -> str:
    """What docs/coverage.md holds."""
    lines = [
        "# What of the five papers can be made",
        "",
        "Written by `python -m tests.papers.test_coverage`. Any data set will do for each; on the "
        "paper's own, levels can",
        "be compared too. *Needs*: what `--data` must be, a folder of embeddings or a data folder "
        "with images",
        "([experiments.md](experiments.md)). Other papers' rows in comparison tables, diagrams and "
        "notation are left out.",
        "",
        "| command | what | needs | the paper's own data | in this version |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, entry in COVERAGE.items():
        command = f"`graphreid reproduce {name} --data DIR`"
        lines.append(f"| {command} | {entry.what} | {entry.needs} | {entry.sets} | {state(name)} |")
    return "\n".join(lines) + "\n"


def test_the_page_shows_every_id() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.papers.test_coverage"


def test_cagcn_is_complete() -> None:
    assert [f"cagcn/{name}" for name in ALL["cagcn"]] == [
        name for name in RECIPES if name.startswith("cagcn/")
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_well_formed(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.id == name
    assert name in COVERAGE
    names = [row.name for row in recipe.rows]
    assert len(set(names)) == len(names)
    assert recipe.rows[0].fit is None, "the first row is what all others are compared with"
    for claim in recipe.claims:
        assert {claim.better, claim.worse} <= set(names), claim
    for row in recipe.rows:
        assert (FITTED in row.method) == (row.fit is not None), row.name
        assert not any(f"{key}=" in row.method for key in row.grid or ()), (
            "a text's own options are not varied"
        )
        assert "seed=" not in f"{row.fit}{row.method}"
        for numbers in row.paper.values():
            assert set(numbers) <= set(METRICS)
            assert all(1 < value <= 100 for value in numbers.values()), "percent, as printed"
    assert set(recipe.columns) <= set(METRICS)
    assert any(row.at is not None for row in recipe.rows) == (recipe.kind == "curve")


@pytest.mark.parametrize("name", RECIPES)
def test_every_row_that_this_version_can_run_is_a_method_with_such_options(name: str) -> None:
    for row in RECIPES[name].rows:
        if absent(row) is None:
            if row.fit is not None:
                parse(row.fit)
            parse(row.method.replace(FITTED, (row.fit or "").partition(":")[0]))


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("cagcn/")])
def test_tables_show_k_reciprocal_as_published_and_tuned_in_both_settings(name: str) -> None:
    rows = RECIPES[name].rows
    if RECIPES[name].kind == "lists":
        return
    compared = {(row.method, row.grid is not None) for row in rows}
    assert {("k-reciprocal", False), ("k-reciprocal", True)} <= compared
    assert {
        ("k-reciprocal:setting=online", False),
        ("k-reciprocal:setting=online", True),
    } <= compared


def test_rows_of_absent_methods_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(METHODS, "cagcn", raising=False)
    assert absent(Row("it", fit="cagcn:k=5")) == "cagcn is not in this version"
    assert state("cagcn/table3") == "cagcn: not in this version"
    with pytest.raises(ValueError, match="cagcn: not in this version"):
        select(("cagcn/table3",))


def test_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "cagcn", METHODS["cosine"])
    assert [recipe.id for recipe in select(("cagcn",))] == [
        f"cagcn/{name}" for name in ALL["cagcn"]
    ]
    assert [recipe.id for recipe in select(("cagcn/fig3", "cagcn/table1", "cagcn/fig3"))] == [
        "cagcn/fig3",
        "cagcn/table1",
    ]
    assert state("cagcn/table3") == "runs here"
    monkeypatch.delitem(METHODS, "k-reciprocal")
    assert state("cagcn/fig4") == "runs here"
    assert state("cagcn/table2").startswith("runs here, without k-reciprocal, k-reciprocal tuned")
    for wrong in ("cagcn/table9", "cag", ""):
        with pytest.raises(ValueError, match="no table or figure"):
            select((wrong,))


def test_the_papers_numbers_are_its_own(shared: Path) -> None:
    text = (shared / "papers" / "cagcn.txt").read_text()
    for recipe in RECIPES.values():
        if recipe.id.startswith("cagcn/") and recipe.kind == "table":
            for row in recipe.rows:
                for numbers in row.paper.values():
                    assert all(f"{value:g}" in text for value in numbers.values()), (
                        recipe.id,
                        row.name,
                    )


if __name__ == "__main__":
    PAGE.write_text(page())
