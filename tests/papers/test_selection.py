from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.papers import selection
from graphreid.papers.run import run
from tests.papers.cases import LEARNED, TABLE, Sharpened, bench, write_inputs


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    Sharpened.fits.clear()


def silent(line: str) -> None:
    del line


def test_options_are_chosen_on_validation_identities(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work")
    record = run(TABLE, on, seeds=1, say=silent)[2].records[0]
    chosen = record["configuration"]["chosen"]
    scores = {
        (k1, lam): on.validate(
            selection.parse(f"k-reciprocal:k2=2,setting=online,k1={k1},lam={lam}")
        )
        for k1 in (3, 6)
        for lam in (0.3, 1.0)
    }
    best = max(scores, key=lambda each: scores[each])
    assert chosen == {"options": {"k1": best[0], "lam": best[1]}, "mAP": scores[best], "tried": 4}
    assert record["validation"] == {"mAP": scores[best], "cosine": on.validation_cosine}
    assert record["validation"]["cosine"] == pytest.approx(scores[3, 1.0]), (
        "lam = 1 is the original order"
    )
    assert set(record["data"]["parts"]) == {"query", "gallery", "validation"}
    assert record["configuration"]["fields"]["KReciprocal"]["k1"] == best[0]


def test_a_preset_gives_way_to_options_and_rows(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given={"keep": 0.7}, preset="half")
    record = run(LEARNED, on, seeds=1, say=silent)[3].records[0]
    assert record["configuration"]["fit"] == "sharpened:keep=0.7,lam=3.0,seed=0"
    assert record["configuration"]["fields"]["Sharpened"]["lam"] == 3.0
    with pytest.raises(ValueError, match="sharpened has no preset 'paper': it has half"):
        run(LEARNED, bench(tmp_path / "in", tmp_path / "work", preset="paper"), seeds=1, say=silent)


def test_a_folder_that_a_method_text_can_not_name(tmp_path: Path) -> None:
    folder = write_inputs(tmp_path / "in")
    with pytest.raises(ValueError, match="choose another --work"):
        bench(folder, tmp_path / "a+b")
