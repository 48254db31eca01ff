"""The results of this repository: the numbers published before they moved into the store."""

import csv
from pathlib import Path

import numpy as np
import pytest

from graphreid.methods.spec import MethodSpec
from graphreid.papers.fits import versions
from graphreid.papers.paper import TABLES
from graphreid.papers.runs import averaged
from graphreid.papers.store import Store, updated
from graphreid.papers.table import fill_row
from tests.conftest import ROOT

RESULTS = ROOT / "results"
with (Path(__file__).parent / "published.csv").open() as opened:
    PUBLISHED = list(csv.DictReader(opened))


def canonical(text: str) -> str:
    """A METHOD text with all options."""
    return MethodSpec.parse(text).canonical()


@pytest.fixture(scope="module")
def store() -> Store:
    return Store.read(RESULTS)


def test_every_published_number_is_in_the_store(store: Store) -> None:
    assert len(PUBLISHED) == 582
    assert len({(row["data"], row["table"]) for row in PUBLISHED}) == len(store.made) == 82
    for given in PUBLISHED:
        rows = {row["name"]: row for row in store.made[given["data"], given["table"]].rows}
        runs = [store.runs[key] for key in rows[given["row"]]["runs"]]
        found = [f"{run['metrics']['mAP']:.6f}" for run in runs]
        assert found == given["seeds"].split(), given
        assert f"{np.mean([run['metrics']['mAP'] for run in runs]):.6f}" == given["mAP"]
        assert averaged(runs).mean_ap() == pytest.approx(float(given["mAP"]), abs=2e-6)
        if given["rank-1"]:
            rank1 = averaged(runs, "rank-1").mean("rank-1")
            assert rank1 == pytest.approx(float(given["rank-1"]), abs=1e-6)


@pytest.mark.parametrize("given", PUBLISHED[::40], ids=lambda row: f"{row['table']}-{row['row']}")
def test_intervals_and_differences_are_the_same(given: dict[str, str], store: Store) -> None:
    """A sample of them: a bootstrap takes its time."""
    made = store.made[given["data"], given["table"]]
    ours = fill_row(TABLES[given["table"]], made, store, given["row"])["ours"]
    found = [ours["mAP"], *ours["mAP_interval"], *(ours["difference"] or [])]
    names = ("mAP", "mAP_low", "mAP_high", "difference", "difference_low", "difference_high")
    assert [f"{value:.6f}" for value in found] == [given[name] for name in names if given[name]]


def test_the_store_has_what_its_tables_show_and_no_more(store: Store) -> None:
    assert {key for made in store.made.values() for key in made.shown()} == set(store.runs)
    for (name, key), made in store.made.items():
        page = RESULTS / name / f"{key}.md"
        assert page.is_file()
        assert made.figure is None or (page.parent / made.figure).is_file()
        assert {row["name"] for row in made.rows} == {row.name for row in TABLES[key].rows}


def test_keys_follow_from_today_s_method_texts(store: Store) -> None:
    for key, run in store.runs.items():
        assert run.plan().key() == key
        assert canonical(run["method"]) == run["method"], (
            "run: python -m tests.papers.test_published"
        )
        assert run["fit"] is None or canonical(run["fit"]) == run["fit"]
        assert run["versions"] == versions(run["method"]), (
            "a method of another version: run it anew"
        )


def test_the_results_are_small_and_of_few_formats() -> None:
    files = [file for file in RESULTS.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".md", ".parquet", ".png", ".svg"}
    assert sum(file.stat().st_size for file in files) < 3.4e6


if __name__ == "__main__":
    with updated(RESULTS) as opened_store:
        opened_store.rewrite(canonical)
