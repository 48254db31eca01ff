from pathlib import Path

import pytest

from graphreid.methods import METHODS
from graphreid.methods.spec import parse
from graphreid.papers.runner import run_table
from tests.papers.cases import LEARNED, TABLE, Sharpened, setup, write_inputs


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    Sharpened.fits.clear()


def silent(line: str) -> None:
    del line


def test_options_are_chosen_on_validation_identities(tmp_path: Path) -> None:
    on = setup(write_inputs(tmp_path / "in"), tmp_path / "work")
    run = run_table(TABLE, on, seeds=1, say=silent)[2].runs[0]
    scores = {
        (k1, lam): on.validate(parse(f"k-reciprocal:k2=2,setting=online,k1={k1},lam={lam}"))
        for k1 in (3, 6)
        for lam in (0.3, 1.0)
    }
    best = max(scores, key=lambda each: scores[each])
    options = f"k1={best[0]},lam={best[1]}"
    assert run["chosen"] == {"options": options, "mAP": scores[best], "tried": 4}
    assert run["validation"] == {"mAP": scores[best], "input": on.validation_input}
    assert run["validation"]["input"] == pytest.approx(scores[3, 1.0]), (
        "lam = 1 is the input's order"
    )
    assert run["sets"]["fit"] is None
    assert run["sets"]["validation"]["images"] == 40
    assert run["grid"] == '{"k1": [3, 6], "lam": [0.3, 1.0]}'


def test_a_preset_gives_way_to_options_and_rows(tmp_path: Path) -> None:
    folder = write_inputs(tmp_path / "in")
    on = setup(folder, tmp_path / "work", given={"keep": 0.7}, preset="half")
    run = run_table(LEARNED, on, seeds=1, say=silent)[3].runs[0]
    assert run["fit"] == run["method"] == "sharpened:keep=0.7,lam=3.0,seed=0"
    other = setup(folder, tmp_path / "work", preset="paper")
    with pytest.raises(ValueError, match="sharpened has no preset 'paper': it has half"):
        run_table(LEARNED, other, seeds=1, say=silent)


def test_a_folder_that_a_method_text_can_not_name(tmp_path: Path) -> None:
    folder = write_inputs(tmp_path / "in")
    with pytest.raises(ValueError, match="choose another --work"):
        setup(folder, tmp_path / "a+b")
