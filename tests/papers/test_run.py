from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.methods import METHODS
from graphreid.papers import run as module
from graphreid.papers.records import describe
from graphreid.papers.run import orders, run
from tests.papers.cases import LEARNED, LISTS, TABLE, Sharpened, bench, write_inputs


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    Sharpened.fits.clear()


def silent(line: str) -> None:
    del line


def test_rows_run_once_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = write_inputs(tmp_path / "in"), list[str]()
    first = run(TABLE, bench(folder, tmp_path / "work"), seeds=2, say=said.append)
    assert [len(result.records) for result in first] == [1, 1, 1, 0]
    assert first[3].absent == "nonesuch is not in this version"
    assert "left out: nonesuch is not in this version" in said[0]
    assert any("3/3: tuned: mAP" in line for line in said)
    assert any("left" in line for line in said[1:])

    def never(*given: Any) -> None:
        raise AssertionError("it was there already")

    monkeypatch.setattr(module, "_perform", never)
    again = run(TABLE, bench(folder, tmp_path / "work"), seeds=2, say=silent)
    assert [result.records for result in again] == [result.records for result in first]


def test_a_fit_is_shared_and_seeds_are_for_headlines(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work")
    results = run(LEARNED, on, seeds=3, say=silent)
    assert Sharpened.fits == [0, 1, 2], "lam does not make another fit"
    assert [[record["seed"] for record in result.records] for result in results] == [
        [None],
        [0],
        [0],
        [0, 1, 2],
    ]
    base, zero, two, headline = (result.records[0] for result in results)
    assert zero["queries"] == base["queries"]
    assert two["queries"] != base["queries"]
    assert headline["configuration"]["fit_fields"] == {
        "Sharpened": {"keep": 0.9, "lam": 1.0, "seed": 0}
    }
    assert two["configuration"]["fields"] == {"Sharpened": {"keep": 0.9, "lam": 2.0, "seed": 0}}
    assert two["learned"] == {"Sharpened": {"record": {"images": 60}}}
    assert describe(two) == "[sharpened:seed=0]:lam=2"
    assert two["cost"]["fit_seconds"] >= 0
    assert base["cost"]["fit_seconds"] is None
    assert len({record["metrics"]["mAP"] for record in results[3].records}) > 1
    run(
        LEARNED, bench(tmp_path / "in", tmp_path / "work", given={"keep": 0.5}), seeds=1, say=silent
    )
    assert Sharpened.fits == [0, 1, 2, 0], "other options are another fit"


def test_interrupted_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real = write_inputs(tmp_path / "in"), module._perform  # pyright: ignore[reportPrivateUsage]
    count = 0

    def interrupted(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(module, "_perform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(LEARNED, bench(folder, tmp_path / "work"), seeds=1, say=silent)
    said: list[str] = []
    resumed = run(LEARNED, bench(folder, tmp_path / "work"), seeds=1, say=said.append)
    assert "2 of 4 runs are there already" in said[0]
    monkeypatch.setattr(module, "_perform", real)
    straight = run(LEARNED, bench(folder, tmp_path / "other"), seeds=1, say=silent)
    for one, other in zip(resumed, straight, strict=True):
        for mine, theirs in zip(one.records, other.records, strict=True):
            assert (mine["key"], mine["queries"], mine["metrics"]) == (
                theirs["key"],
                theirs["queries"],
                theirs["metrics"],
            )


def test_other_data_options_or_code_are_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(folder: Path, **given: Any) -> list[str]:
        results = run(LEARNED, bench(folder, tmp_path / "work", **given), seeds=1, say=silent)
        return [result.records[0]["key"] for result in results]

    folder = write_inputs(tmp_path / "in")
    before = keys(folder)
    assert keys(folder, name="renamed") == before
    fit = dict(np.load(folder / "fit.npz"))
    elsewhere = keys(write_inputs(tmp_path / "other", fit={"vectors": fit["vectors"] * 1.5}))
    assert elsewhere[0] == before[0], "nothing was fitted for it"
    assert elsewhere[1] != before[1]
    monkeypatch.setattr("graphreid.papers.code.digest", lambda modules: "other")  # pyright: ignore[reportUnknownLambdaType]
    assert not set(keys(folder)) & set(before)


def test_seen_identities_are_warned_of(tmp_path: Path) -> None:
    said: list[str] = []
    run(
        LEARNED,
        bench(write_inputs(tmp_path / "in", seen=True), tmp_path / "work"),
        seeds=1,
        say=said.append,
    )
    assert "trained on the identities of 100% of the fit images" in said[0]


def test_lists_keep_the_first_images(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work")
    record = run(LISTS, on, seeds=1, say=silent)[0].records[0]
    order = orders(on, record)
    assert order.shape == (24, 14)
    (tmp_path / "work" / "orders" / f"{record['key']}.npz").unlink()
    run(LISTS, on, seeds=1, say=silent)
    np.testing.assert_array_equal(orders(on, record), order)
