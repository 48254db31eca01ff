import re
from dataclasses import replace
from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.papers.coverage import COVERAGE, Entry
from tests.papers.cases import LEARNED, TABLE, Sharpened, made


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)


def test_records_are_published_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, _ = made(tmp_path, TABLE)
    records = tmp_path / "out" / "records"
    before = {file.name for file in records.iterdir()}
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / target).is_file(), target
    mine = records / "mine.json"
    mine.write_text("{}")
    for name, text in (("set/paper/notes.json", "[1]"), ("set/paper/broken.json", "{")):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(text)
    monkeypatch.setattr("graphreid.papers.code.digest", lambda modules: "later")  # pyright: ignore[reportUnknownLambdaType]
    made(tmp_path, TABLE)
    after = {file.name for file in records.iterdir()}
    assert mine.name in after, "what no table of ours named is left alone"
    assert not after & before


def test_the_index_shows_every_table_and_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for recipe in (TABLE, LEARNED):
        monkeypatch.setitem(COVERAGE, recipe.id, Entry(recipe.title, "none", "embeddings", ()))
    _, table = made(tmp_path, TABLE)
    made(tmp_path, LEARNED)
    text = (tmp_path / "out" / "toys" / "README.md").read_text()
    assert "(toys/table1.md)" in text
    assert "(toys/fig1.md)" in text
    for claim in table["claims"]:
        assert claim["text"] in text
        assert f"**{claim['holds']}**" in text


def test_claims_stand_beside_each_other_for_all_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(TABLE, id="toys/table2")
    for recipe in (TABLE, again):
        monkeypatch.setitem(COVERAGE, recipe.id, Entry(recipe.title, "none", "embeddings", ()))
    _, table = made(tmp_path, TABLE)
    made(tmp_path, TABLE, name="others")
    made(tmp_path, again)
    lines = (tmp_path / "out" / "claims.md").read_text().splitlines()
    assert "| where | claim | others | toys |" in lines
    both = [line for line in lines if line.startswith("| toys/table1 |")]
    assert len(both) == len(table["claims"]) > 0
    for line, claim in zip(both, table["claims"], strict=True):
        assert f"[**{claim['holds']}**](others/toys/table1.md)" in line
        assert f"[**{claim['holds']}**](toys/toys/table1.md)" in line
    one = [line.split(" | ") for line in lines if line.startswith("| toys/table2 |")]
    assert [cells[2] for cells in one] == ["-"] * len(both)
