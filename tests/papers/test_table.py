import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from graphreid.methods import METHODS
from graphreid.papers.formats import FORMATS
from tests.papers.cases import LEARNED, TABLE, Sharpened, made


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """TABLE's page, and the table with its numbers."""
    return made(tmp_path_factory.mktemp("plain"), TABLE)


def test_paper_and_ours_side_by_side(plain: tuple[Path, dict[str, Any]]) -> None:
    page, table = plain
    assert page.parts[-4:] == ("results", "toys", "toys", "table1.md")
    text = page.read_text()
    assert "graphreid papers reproduce x" in text
    assert (
        "**The data differ**: the paper's numbers are on Market-1501, VeRi-776, ours on toys"
        in text
    )
    header = next(line for line in text.splitlines() if line.startswith("| row | paper"))
    assert "paper, Market-1501: mAP / rank-1" in header
    assert "ours, toys: mAP" in header
    base, reranked, tuned, missing = table["rows"]
    lines = text.splitlines()
    line = next(line for line in lines if line.startswith("| k-reciprocal | 91.6 / - |"))
    low, high = reranked["ours"]["mAP_interval"]
    assert f"{100 * reranked['ours']['mAP']:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in line
    assert base["ours"]["difference"] is None
    gain, low, high = reranked["ours"]["difference"]
    assert gain == pytest.approx(reranked["ours"]["mAP"] - base["ours"]["mAP"], abs=1e-6)
    assert f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]" in line
    share = gain / (1 - base["ours"]["mAP"])
    assert reranked["ours"]["error_removed"][0] == pytest.approx(share, abs=1e-5)
    assert tuned["ours"]["chosen"]["tried"] == 4
    assert missing["ours"] is None
    assert "| nonesuch | - | 79.2 / - | not run |" in text
    assert "nonesuch was not run: there is no method 'nonesuch' here." in text
    assert [claim["holds"] for claim in table["claims"]][2] == "not run"
    assert re.search(r"\| the missing one is best \| .* \| - \| \*\*not run\*\* \|", text)
    assert "the best of 4 on validation identities" in text


def test_the_same_data_set_is_said_to_be_so(tmp_path: Path) -> None:
    page, table = made(tmp_path, TABLE, name="market1501")
    assert table["same_data"]
    assert "on the same data set" in page.read_text()
    assert "The data differ" not in page.read_text()


def test_better_and_worse_rows_are_both_named(plain: tuple[Path, dict[str, Any]]) -> None:
    page, table = plain
    pattern = r"(Better|Worse) than baseline: ([^.]*)\.|(Undecided): ([^.]*)\."
    found = {
        one or three: (two or four).split("; ")
        for one, two, three, four in re.findall(pattern, page.read_text())
    }
    for row in table["rows"][1:3]:
        _, low, high = row["ours"]["difference"]
        kind = "Better" if low > 0 else "Worse" if high < 0 else "Undecided"
        assert row["name"] in found[kind]


def test_what_does_not_beat_its_input_on_validation_is_said(tmp_path: Path) -> None:
    _, table = made(tmp_path, LEARNED)
    held = table["rows"][1]["ours"]["validation"]
    assert held["mAP"] == pytest.approx(held["input"]), "lam = 0 is the input's order"
    said = "lam = 0 does not beat the embeddings' own order on validation"
    assert any(said in note for note in table["notes"])


def test_every_format_holds_the_same_numbers(plain: tuple[Path, dict[str, Any]]) -> None:
    page, table = plain
    assert FORMATS["md"](table) == page.read_text()
    assert json.loads(FORMATS["json"](table))["rows"][0]["name"] == "baseline"
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](table))))
    assert [row["row"] for row in rows] == [row["name"] for row in table["rows"]]
    ours = table["rows"][1]["ours"]
    assert float(rows[1]["mAP"]) == pytest.approx(ours["mAP"], abs=1e-6)
    assert rows[1]["paper_percent market1501 mAP"] == "91.6"
    assert float(rows[1]["difference_low"]) == pytest.approx(ours["difference"][1], abs=1e-6)
    assert rows[0]["difference"] == ""
    assert rows[3]["mAP"] in ("", None)
    latex = FORMATS["latex"](table)
    columns = re.search(r"\\begin\{tabular\}\{(l.*)\}", latex)
    assert columns
    lines = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") + 1 for line in lines} == {len(columns[1])}
    assert f"{100 * table['rows'][0]['ours']['mAP']:.1f} [" in latex


def test_seeds_are_shown_and_their_mean_is_the_rows(tmp_path: Path) -> None:
    page, table = made(tmp_path, LEARNED)
    headline = table["rows"][3]["ours"]
    each = [seed["mAP"] for seed in headline["seeds"]]
    assert len(each) == 2
    assert headline["mAP"] == pytest.approx(sum(each) / 2)
    assert ", ".join(f"{100 * value:.1f}" for value in each) in page.read_text()
    assert (headline["method"], headline["fit"]) == ("sharpened", "sharpened")
    assert table["rows"][2]["ours"]["method"] == "sharpened:lam=2.0"
