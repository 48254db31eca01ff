import re
from dataclasses import replace
from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.papers.pages import write_all, write_indexes
from graphreid.papers.paper import TABLES
from graphreid.papers.store import Store
from tests.papers.cases import LEARNED, TABLE, Sharpened, made


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    for table in (TABLE, LEARNED):
        monkeypatch.setitem(TABLES, table.id, table)


def test_runs_of_an_earlier_version_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "work" / "results"
    made(tmp_path, LEARNED)
    before = set(Store.read(results).runs)
    monkeypatch.setattr(Sharpened, "version", 2)
    made(tmp_path, LEARNED)
    after = set(Store.read(results).runs)
    assert len(before) == len(after) == 5
    assert len(before & after) == 1, "the baseline's version is the same"


def test_pages_are_made_of_the_store_alone(tmp_path: Path) -> None:
    page, _ = made(tmp_path, TABLE)
    made(tmp_path, LEARNED)
    results = tmp_path / "work" / "results"
    write_indexes(Store.read(results))
    written = {
        file: file.read_bytes() for file in results.rglob("*") if file.suffix in (".md", ".svg")
    }
    assert {file.name for file in written} >= {"table1.md", "fig1.md", "fig1.svg", "claims.md"}
    for file in written:
        file.unlink()
    assert write_all(results) == 2
    assert {file: file.read_bytes() for file in written} == written
    for file in written:
        for target in re.findall(r"\]\(([^)]+)\)", file.read_text()):
            assert (file.parent / target).is_file(), target
    assert str(tmp_path) not in page.read_text(), "no paths of this machine"


def test_the_index_shows_every_table_and_claim(tmp_path: Path) -> None:
    _, table = made(tmp_path, TABLE)
    made(tmp_path, LEARNED)
    results = tmp_path / "work" / "results"
    write_indexes(Store.read(results))
    text = (results / "toys" / "README.md").read_text()
    assert "(toys/table1.md)" in text
    assert "(toys/fig1.md)" in text
    for claim in table["claims"]:
        assert claim["text"] in text
        assert f"**{claim['holds']}**" in text


def test_claims_stand_beside_each_other_for_all_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(TABLE, id="toys/table2")
    monkeypatch.setitem(TABLES, again.id, again)
    _, table = made(tmp_path, TABLE)
    made(tmp_path, TABLE, name="others")
    made(tmp_path, again)
    results = tmp_path / "work" / "results"
    write_indexes(Store.read(results))
    lines = (results / "claims.md").read_text().splitlines()
    assert "| where | claim | others | toys |" in lines
    both = [line for line in lines if line.startswith("| toys/table1 |")]
    assert len(both) == len(table["claims"]) > 0
    for line, claim in zip(both, table["claims"], strict=True):
        assert f"[**{claim['holds']}**](others/toys/table1.md)" in line
        assert f"[**{claim['holds']}**](toys/toys/table1.md)" in line
    one = [line.split(" | ") for line in lines if line.startswith("| toys/table2 |")]
    assert [cells[2] for cells in one] == ["-"] * len(both)
