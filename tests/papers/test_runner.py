from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.methods import METHODS
from graphreid.papers import runner
from graphreid.papers.runner import orders, run_table
from graphreid.papers.store import Run, Store
from graphreid.papers.table import applied
from tests.papers.cases import LEARNED, LISTS, TABLE, Sharpened, setup, some_rows, write_inputs

TINY = {
    "cagcn": {
        "epochs": 1,
        "layers": 1,
        "width": 8,
        "attention_width": 4,
        "k1": 5,
        "k2": 4,
        "k": 12,
        "links": 3,
        "precision": "fp32",
    },
    "fa-ec-gcn": {"epochs": 1, "k1": 8, "k2": 3, "layers": 2, "width": 8, "precision": "fp32"},
    "ffgnn": {"epochs": 1, "k": 12, "reciprocal": 4, "tau": 5, "precision": "fp32"},
    "hrnet": {"epochs": 1, "nodes": 12, "k": 4, "identities": 4, "images": 3, "precision": "fp32"},
}


@pytest.fixture(autouse=True)
def sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    Sharpened.fits.clear()


def silent(line: str) -> None:
    del line


def paper_runs(tmp_path: Path, name: str, *rows: str) -> dict[str, Run]:
    """The first run of some rows of a paper's table, with networks that take no time."""
    table = some_rows(name, *rows)
    on = setup(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY[table.paper])
    results = run_table(table, on, seeds=1, say=silent)
    return {result.row.name: result.runs[0] for result in results}


def fits(tmp_path: Path) -> int:
    return sum(file.suffix == ".json" for file in (tmp_path / "work" / "fitted").iterdir())


def aps(*runs: Run) -> int:
    """How many of the runs have results of their own."""
    return len({run.ap.tobytes() for run in runs})


def test_rows_run_once_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = write_inputs(tmp_path / "in"), list[str]()
    first = run_table(TABLE, setup(folder, tmp_path / "work"), seeds=2, say=said.append)
    assert [len(result.runs) for result in first] == [1, 1, 1, 0]
    assert first[3].missing == "there is no method 'nonesuch' here"
    assert "left out: there is no method 'nonesuch' here" in said[0]
    assert any("3/3: tuned: mAP" in line for line in said)
    assert any("left" in line for line in said[1:])

    def never(*given: Any) -> None:
        raise AssertionError("it was there already")

    monkeypatch.setattr(runner, "_perform", never)
    again = run_table(TABLE, setup(folder, tmp_path / "work"), seeds=2, say=silent)
    for one, other in zip(again, first, strict=True):
        assert [run.columns for run in one.runs] == [run.columns for run in other.runs]
    kept = Store.read(tmp_path / "work" / "results").runs
    assert set(kept) == {run.key for result in first for run in result.runs}


def test_a_fit_is_shared_and_seeds_are_for_headlines(tmp_path: Path) -> None:
    on = setup(write_inputs(tmp_path / "in"), tmp_path / "work")
    results = run_table(LEARNED, on, seeds=3, say=silent)
    assert Sharpened.fits == [0, 1, 2], "lam does not make another fit"
    assert [[run["seed"] for run in result.runs] for result in results] == [
        [None],
        [0],
        [0],
        [0, 1, 2],
    ]
    base, zero, two, headline = (result.runs[0] for result in results)
    assert aps(zero, base) == 1
    assert aps(two, base) == 2
    assert headline["fit"] == "sharpened:keep=0.9,lam=1.0,seed=0"
    assert (two["fit"], two["method"]) == (headline["fit"], "sharpened:keep=0.9,lam=2.0,seed=0")
    assert two["learned"] == '{"sharpened": {"record": {"images": 60}}}'
    assert applied(two) == "sharpened:lam=2.0"
    assert two["cost"]["fit_seconds"] >= 0
    assert base["cost"]["fit_seconds"] is None
    assert len({run["metrics"]["mAP"] for run in results[3].runs}) > 1
    other = setup(tmp_path / "in", tmp_path / "work", given={"keep": 0.5})
    run_table(LEARNED, other, seeds=1, say=silent)
    assert Sharpened.fits == [0, 1, 2, 0], "other options are another fit"


def test_interrupted_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_inputs(tmp_path / "in")
    real = runner._perform  # pyright: ignore[reportPrivateUsage]
    count = 0

    def interrupted(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(runner, "_perform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_table(LEARNED, setup(folder, tmp_path / "work"), seeds=1, say=silent)
    said: list[str] = []
    resumed = run_table(LEARNED, setup(folder, tmp_path / "work"), seeds=1, say=said.append)
    # the headline's method is lam=1, so no row shares a run with another
    assert "2 of 4 runs are there already" in said[0]
    monkeypatch.setattr(runner, "_perform", real)
    straight = run_table(LEARNED, setup(folder, tmp_path / "other"), seeds=1, say=silent)
    for one, other in zip(resumed, straight, strict=True):
        for mine, theirs in zip(one.runs, other.runs, strict=True):
            assert (mine.key, mine["metrics"]) == (theirs.key, theirs["metrics"])
            np.testing.assert_array_equal(mine.ap, theirs.ap)


def test_other_data_options_or_versions_are_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(folder: Path, **given: Any) -> list[str]:
        on = setup(folder, tmp_path / "work", **given)
        return [result.runs[0].key for result in run_table(LEARNED, on, seeds=1, say=silent)]

    folder = write_inputs(tmp_path / "in")
    before = keys(folder)
    assert keys(folder, name="renamed") == before
    fit = dict(np.load(folder / "fit.npz"))
    elsewhere = keys(write_inputs(tmp_path / "other", fit={"vectors": fit["vectors"] * 1.5}))
    assert elsewhere[0] == before[0], "nothing was fitted for it"
    assert elsewhere[1] != before[1]
    fitted = len(Sharpened.fits)
    monkeypatch.setattr("graphreid.papers.provenance.code", lambda: {**code, "sources": "other"})
    code = Store.read(tmp_path / "work" / "results").runs[before[0]]["code"]
    assert keys(folder) == before, "sources do not make a run stale"
    monkeypatch.setattr(Sharpened, "version", 2)
    assert not set(keys(folder)[1:]) & set(before)
    assert len(Sharpened.fits) == fitted + 1, "a fit of another version is another fit"


def test_seen_identities_are_warned_of(tmp_path: Path) -> None:
    said: list[str] = []
    on = setup(write_inputs(tmp_path / "in", seen=True), tmp_path / "work")
    run_table(LEARNED, on, seeds=1, say=said.append)
    assert "trained on the identities of 100% of the fit images" in said[0]


def test_lists_keep_the_first_images(tmp_path: Path) -> None:
    on = setup(write_inputs(tmp_path / "in"), tmp_path / "work")
    run = run_table(LISTS, on, seeds=1, say=silent)[0].runs[0]
    order = orders(on, run)
    assert order.shape == (24, 14)
    (tmp_path / "work" / "orders" / f"{run.key}.npz").unlink()
    run_table(LISTS, on, seeds=1, say=silent)
    np.testing.assert_array_equal(orders(on, run), order)


def test_what_a_row_measures_is_added_to_a_run_that_is_there(tmp_path: Path) -> None:
    plain = paper_runs(tmp_path, "cagcn/table1", "baseline", "CAGCN")["CAGCN"]
    assert plain["measured"] == {}
    measured = paper_runs(tmp_path, "cagcn/table3", "baseline", "plain", "HGS")
    assert measured["HGS"].key == plain.key
    assert measured["HGS"]["measured"].keys() == {"sampler recall"}
    assert 0 < measured["plain"]["measured"]["sampler recall"] <= 1
    assert "sampler=plain" in measured["plain"]["method"], "a row's own option"
    assert measured["baseline"]["measured"] == {}


def test_the_curve_of_lam_begins_at_the_baseline_and_moves(tmp_path: Path) -> None:
    rows = ("baseline", "lam = 0", "lam = 1", "lam = 2")
    runs = paper_runs(tmp_path, "cagcn/fig3", *rows)
    base, zero, one, two = (runs[name] for name in rows)
    assert zero["metrics"] == base["metrics"]
    assert aps(base, one, two) == 3
    assert "lam=2.0" in two["method"]
    assert two["seed"] == 0
    assert fits(tmp_path) == 1


def test_re_ranking_after_cagcn_shares_its_fit(tmp_path: Path) -> None:
    runs = paper_runs(tmp_path, "cagcn/table1", "baseline", "CAGCN", "CAGCN+RR")
    alone, both = runs["CAGCN"], runs["CAGCN+RR"]
    assert (alone["setting"], both["setting"]) == ("online", "transductive")
    assert len(both["versions"]) == 2
    assert f"k={TINY['cagcn']['k']}," in both["method"].partition("+")[0]
    assert both["cost"]["fit_seconds"] == alone["cost"]["fit_seconds"]
    assert aps(alone, both) == 2


def test_both_with_and_without_re_ranking_share_a_fit(tmp_path: Path) -> None:
    both = "FA-GCN + EC-GCN"
    rows = ("baseline", both, f"{both}, transductive", f"{both} + RR")
    runs = paper_runs(tmp_path, "fa-ec-gcn/table2", *rows)
    assert fits(tmp_path) == 1
    settings = [runs[name]["setting"] for name in rows[1:]]
    assert settings == ["online", "transductive", "transductive"]
    assert aps(*runs.values()) == 4


def test_the_curve_of_lam_begins_at_fa_gcns_order_and_moves(tmp_path: Path) -> None:
    runs = paper_runs(tmp_path, "fa-ec-gcn/fig4", "baseline", "lam = 0", "lam = 2")
    assert aps(*runs.values()) == 3
    assert "lam=2.0" in runs["lam = 2"]["method"]


def test_what_follows_ffgnn_shares_its_fit(tmp_path: Path) -> None:
    rows = ("baseline", "FFGNN", "FFGNN+k-reciprocal", "FFGNN+ECN")
    runs = paper_runs(tmp_path, "ffgnn/table5", *rows)
    assert fits(tmp_path) == 1
    assert runs["FFGNN"]["setting"] == "online"
    assert aps(*runs.values()) == 4


def test_components_of_hrnet_differ(tmp_path: Path) -> None:
    rows = ("CNN", "CNN+IR", "CNN+IR*", "CNN+IR+CNC", "CNN+PR", "CNN+PR+IGP", "HRNet")
    runs = paper_runs(tmp_path, "hrnet/table1", *rows)
    assert aps(*runs.values()) == 7
