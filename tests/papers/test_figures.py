from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.methods import METHODS
from graphreid.papers import figures
from graphreid.papers.paper import TABLES
from graphreid.papers.store import Store
from graphreid.report.embedding_map import sample_images
from tests.papers.cases import LEARNED, LISTS, Sharpened, made, publish_rows, write_inputs
from tests.papers.test_runner import TINY


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


def test_lists_are_those_of_the_runs(tmp_path: Path) -> None:
    page, table = made(tmp_path, LISTS)
    lists = table["lists"]
    assert list(dict.fromkeys(case["kind"] for case in lists)) == ["Most improved", "Most harmed"]
    store = Store.read(tmp_path / "work" / "results")
    before, after = (store.runs[row["ours"]["seeds"][0]["run"]] for row in table["rows"])
    assert lists[0]["query"] == f"query{(after.ap - before.ap).argmax()}"
    for case in lists:
        wanted = int(case["query"].removeprefix("query")) % 10
        for each in case["shown"]:
            right = [entry["item"] for entry in each["entries"] if entry["mark"] == "right"]
            assert all(int(item.removeprefix("gallery")) % 10 == wanted for item in right)
    assert (page.parent / "fig2.svg").is_file()
    assert "✓" in page.read_text()


def marks(file: Path) -> int:
    """How many signs stand in the boxes of a drawing of lists."""
    return file.read_text().count("<use ")


def test_a_sign_stands_in_each_box_of_an_image_that_counts(tmp_path: Path) -> None:
    def entries(*given: str) -> Sequence[dict[str, str]]:
        return [{"item": "i", "mark": mark} for mark in given]

    shown = [{"method": "m", "ap": 0.5, "entries": entries("right", "wrong", "junk", "right")}]
    figures.draw_lists([{"kind": "k", "query": "q", "shown": shown}], tmp_path / "x.svg")
    assert marks(tmp_path / "x.svg") == 3


def test_lists_with_pictures(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    query, gallery = ({"path": np.full(count, str(file))} for count in (24, 90))
    write_inputs(tmp_path / "in", query=query, gallery=gallery)
    page, table = made(tmp_path, LISTS, pictures=True)
    assert table["figure"] == "fig2.png"
    with Image.open(page.parent / "fig2.png") as picture:
        assert picture.mode == "P", "few colours keep it small"


def test_too_few_identities_for_a_map_are_a_note_and_no_end(tmp_path: Path) -> None:
    page, table = made(tmp_path, replace(LEARNED, kind="map"))
    assert table["figure"] is None
    assert not page.with_suffix(".svg").exists()
    assert "There is no map: it takes 20 identities" in page.read_text()


def test_the_map_has_two_panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "graphreid.report.embedding_map.sample_images", partial(sample_images, identities=4)
    )
    page = publish_rows(tmp_path, TABLES["fa-ec-gcn/fig6"], {"epochs": 1})
    assert "fig6.svg" in page.read_text()
    drawing = page.with_suffix(".svg").read_text()
    assert drawing.count('id="axes_') == 2
    assert ">FA-GCN<" in drawing


def test_a_figure_with_two_axes_has_two_panels(tmp_path: Path) -> None:
    rows = ("baseline", "K = 20", "K = 50", "alpha = 0.3", "alpha = 0.5")
    table = replace(
        TABLES["ffgnn/fig4"],
        rows=tuple(row for row in TABLES["ffgnn/fig4"].rows if row.name in rows),
        claims=(),
    )
    drawing = publish_rows(tmp_path, table, TINY["ffgnn"]).with_suffix(".svg").read_text()
    assert drawing.count('id="axes_') == 2
    assert ">alpha<" in drawing
    assert ">K<" in drawing


def test_the_graphs_of_hrnet_are_drawn(tmp_path: Path) -> None:
    page = publish_rows(tmp_path, TABLES["hrnet/fig5"], TINY["hrnet"])
    assert "two images of one identity weigh" in page.read_text()
    assert page.with_suffix(".svg").read_text().count("<image") == 2
