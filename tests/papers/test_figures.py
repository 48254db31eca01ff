from dataclasses import replace
from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.papers.records import read_record
from tests.papers.cases import LEARNED, LISTS, Sharpened, made, write_inputs


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)


def test_a_curve_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    page, table = made(tmp_path, LEARNED)
    figure = page.parent / table["figure"]
    first = figure.read_text()
    assert "<svg" in first
    assert f"({figure.name})" in page.read_text()
    made(tmp_path, LEARNED)
    assert figure.read_text() == first


def test_lists_are_those_of_the_records(tmp_path: Path) -> None:
    page, table = made(tmp_path, LISTS)
    assert [group["kind"] for group in table["lists"]] == ["Most improved", "Most harmed"]
    cases = [case for group in table["lists"] for case in group["cases"]]
    assert cases
    before, after = (
        read_record(tmp_path / "out" / "records" / f"{row['ours']['seeds'][0]['record']}.json")
        for row in table["rows"]
    )
    gains = {
        f"query{row}": b - a
        for row, (a, b) in enumerate(
            zip(before["queries"]["ap"], after["queries"]["ap"], strict=True)
        )
    }
    assert cases[0]["query"] == max(gains, key=lambda query: gains[query])
    for case in cases:
        for each in case["lists"]:
            right = [item for item, mark, _ in each["entries"] if mark == "right"]
            assert all(
                int(item.removeprefix("gallery")) % 10
                == int(case["query"].removeprefix("query")) % 10
                for item in right
            )
    assert (page.parent / "fig2.svg").is_file()
    assert "✓" in page.read_text()


def test_lists_with_pictures(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    file = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    query, gallery = ({"path": np.full(count, str(file))} for count in (24, 90))
    write_inputs(tmp_path / "in", query=query, gallery=gallery)
    page, table = made(tmp_path, LISTS, pictures=True)
    assert table["figure"] == "fig2.png"
    assert (page.parent / "fig2.png").read_bytes()[:4] == b"\x89PNG"


def test_too_few_identities_for_a_map_are_a_note_and_no_end(tmp_path: Path) -> None:
    page, table = made(tmp_path, replace(LEARNED, kind="map"))
    assert table["figure"] is None
    assert not page.with_suffix(".svg").exists()
    assert "There is no map: it takes 20 identities" in page.read_text()
