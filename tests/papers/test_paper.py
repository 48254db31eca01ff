from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.methods.spec import FITTED, parse
from graphreid.papers.measures import MEASURES
from graphreid.papers.paper import (
    METRICS,
    PAPERS,
    SETS,
    TABLES,
    Row,
    Table,
    read_paper,
    select,
    with_options,
)
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "coverage.md"

# what can be made of the five papers: 23 tables and 19 figures
ALL = {
    "cagcn": [*(f"table{n}" for n in range(1, 7)), "fig3", "fig4"],
    "fa-ec-gcn": [*(f"table{n}" for n in range(2, 7)), *(f"fig{n}" for n in range(4, 8))],
    "ffgnn": [*(f"table{n}" for n in range(1, 6)), "fig4", "fig5"],
    "hrnet": ["table1", "table2", "fig3", "fig4", "fig5"],
    "icg": [*(f"table{n}" for n in range(1, 6)), *(f"fig{n}" for n in range(7, 15))],
}


def test_every_table_and_figure_is_there_and_runs() -> None:
    expected = [f"{paper}/{name}" for paper, names in ALL.items() for name in names]
    assert list(TABLES) == expected
    assert len(expected) == 42
    assert sum("table" in name for name in expected) == 23
    assert {table.state() for table in TABLES.values()} == {"runs here"}
    assert (TABLES["cagcn/table3"].source, TABLES["icg/fig12"].source) == ("Table 3", "Fig. 12")


def page() -> str:
    """What docs/coverage.md holds."""
    lines = [
        "# What of the five papers can be made",
        "",
        "Written by `python -m tests.papers.test_paper`. Any data set will do for each; on the "
        "paper's own, levels can",
        "be compared too. *Needs*: what `--data` must be, a folder of embeddings or a data folder "
        "with images",
        "([papers.md](papers.md)). Other papers' rows in comparison tables, diagrams and notation "
        "are left out.",
        "",
        "| command | what | needs | the paper's own data |",
        "| --- | --- | --- | --- |",
    ]
    for name, table in TABLES.items():
        command = f"`graphreid papers reproduce {name} --data DIR`"
        sets = ", ".join(SETS[each] for each in table.data)
        lines.append(f"| {command} | {table.title} | {table.needs} | {sets} |")
    return "\n".join(lines) + "\n"


def test_the_page_shows_every_id() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.papers.test_paper"


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_well_formed(name: str) -> None:
    table = TABLES[name]
    assert table.id == name
    assert table.data
    assert set(table.data) <= set(SETS)
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert table.rows[0].fit is None, "the first row is what all others are compared with"
    for claim in table.claims:
        assert {claim.better, claim.worse} <= set(names), claim
    for row in table.rows:
        assert (FITTED in row.method) == (row.fit is not None), row.name
        assert not any(f"{key}=" in row.method for key in row.grid or ()), "its own are not varied"
        assert "seed=" not in f"{row.fit}{row.method}"
        assert row.measure is None or row.measure in MEASURES
        for numbers in row.paper.values():
            assert set(numbers) <= set(METRICS)
            assert all(1 < value <= 100 for value in numbers.values()), "percent, as printed"
    assert set(table.columns) <= set(METRICS)
    assert any(row.at is not None for row in table.rows) == (table.kind == "curve")


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_a_method_with_such_options(name: str) -> None:
    for row in TABLES[name].rows:
        assert row.missing() is None
        if row.fit is not None:
            parse(row.fit)
        parse(row.method.replace(FITTED, (row.fit or "").partition(":")[0]))


@pytest.mark.parametrize("name", [name for name in TABLES if name.startswith("cagcn/table")])
def test_k_reciprocal_is_shown_as_published_and_tuned_in_both_settings(name: str) -> None:
    compared = {(row.method, row.grid is not None) for row in TABLES[name].rows}
    for method in ("k-reciprocal", "k-reciprocal:setting=online"):
        assert {(method, False), (method, True)} <= compared


def test_rows_of_methods_that_are_not_installed_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_method(monkeypatch, "cagcn")
    assert Row("it", fit="cagcn:k=5").missing() == "there is no method 'cagcn' here"
    assert TABLES["cagcn/table3"].state() == "runs here, without plain, HGS"
    assert TABLES["cagcn/fig4"].state() == "there is no method 'cagcn' here"
    with pytest.raises(ValueError, match="no method 'cagcn'"):
        select(("cagcn/fig4",))


def test_select(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [table.id for table in select(("cagcn",))] == [f"cagcn/{name}" for name in ALL["cagcn"]]
    some = select(("cagcn/fig3", "cagcn/table1", "cagcn/fig3"))
    assert [table.id for table in some] == ["cagcn/fig3", "cagcn/table1"]
    hide_method(monkeypatch, "k-reciprocal")
    assert TABLES["cagcn/fig4"].state() == "runs here"
    without = "runs here, without CAGCN+RR, k-reciprocal, k-reciprocal tuned"
    assert TABLES["cagcn/table1"].state().startswith(without)
    for wrong in ("cagcn/table9", "cag", ""):
        with pytest.raises(ValueError, match="no table or figure"):
            select((wrong,))


@pytest.mark.parametrize("paper", ["cagcn", "fa-ec-gcn"])
def test_the_papers_numbers_are_its_own(paper: str, shared: Path) -> None:
    text = (shared / "papers" / f"{paper}.txt").read_text()
    tables = [table for table in TABLES.values() if table.paper == paper]
    for table in tables:
        if paper != "cagcn" or table.kind == "table":  # the text has 0.92 for the curve's 92.0
            for row in table.rows:
                for numbers in row.paper.values():
                    found = [f"{value:g}" in text for value in numbers.values()]
                    assert all(found), (table.id, row.name)


def test_values_make_a_row_each() -> None:
    rows = {row.name: row for row in TABLES["ffgnn/fig4"].rows}
    assert rows["K = 150"].fit == "ffgnn:k=150"
    assert (rows["K = 150"].at, rows["K = 150"].axis) == (150, "K")
    assert rows["K = 150"].paper == {"market1501": {"mAP": 92.6}}
    assert rows["K = 50"].paper == {}
    lam = {row.name: row for row in TABLES["cagcn/fig3"].rows}["lam = 1"]
    assert (lam.method, lam.fit, lam.at) == ("{fitted}:lam=1", "cagcn", 1.0)
    assert lam.paper == {"market1501": {"mAP": 92.0}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[table", "not a paper's tables"),
        ("[[table]]\nid = 'table1'\ntitle = 't'\nrows = ['no such row']", "no such row"),
        ("[[table]]\nid = 'table1'\ntitle = 't'\nrows = [{name = 'a', metod = 'cosine'}]", "metod"),
        ("[[table]]\nid = 'table1'\nrows = []", "title"),
    ],
)
def test_a_damaged_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=says) as error:
        read_paper(file)
    assert "mine.toml" in str(error.value)


def test_the_files_of_papers_are_the_list_of_papers() -> None:
    folder = ROOT / "src" / "graphreid" / "papers"
    assert {file.stem for file in folder.glob("*.toml")} == {*PAPERS, "common"}


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("cagcn", {}, "cagcn"),
        ("cagcn", {"k": 5}, "cagcn:k=5"),
        ("cagcn:k=5", {"layers": 2, "lam": 0.5}, "cagcn:k=5,layers=2,lam=0.5"),
        ("cagcn:k=5", {"k": 7, "seed": 1}, "cagcn:k=5,seed=1"),
        ("a:k=5+b", {"k": 7}, "a:k=5+b:k=7"),
        ("a+b:k=1", {"k": 7, "m": "x"}, "a+b:k=1,m=x"),
    ],
)
def test_options_join_a_method_text_that_has_not_given_them(
    text: str, options: dict[str, int | str], expected: str
) -> None:
    assert with_options(text, options) == expected


def test_the_papers_sets_stand_in_one_order() -> None:
    rows = (
        Row("a", "cosine", paper={"veri-776": {}}),
        Row("b", "cosine", paper={"market1501": {}, "veri-776": {}}),
    )
    assert Table("x/table1", "", rows).printed_sets == ("market1501", "veri-776")


if __name__ == "__main__":
    PAGE.write_text(page())


def hide_method(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Hide a method; the order of the others' names, which a deletion would change, stays."""
    others = {name: kind for name, kind in METHODS.own.items() if name != method}
    monkeypatch.setattr(METHODS, "own", others)
