from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.metrics.evaluate import evaluate
from graphreid.papers.runner import run_table
from graphreid.papers.runs import averaged, report_of, same_queries
from graphreid.papers.schema import FILES
from graphreid.papers.store import Made, Run, Store, key_of, updated
from tests.papers.cases import TABLE, setup, write_inputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    folder = tmp_path_factory.mktemp("store")
    on = setup(write_inputs(folder / "in"), folder / "work")
    results = run_table(TABLE, on, seeds=1, say=lambda line: None)
    return folder, [run for result in results for run in result.runs]


def test_a_run_keeps_the_numbers_and_each_querys_result(made: tuple[Path, list[Run]]) -> None:
    folder, (cosine, *_) = made
    on = setup(folder / "in", folder / "work")
    query, gallery = on.inputs.part("query"), on.inputs.part("gallery")
    report = evaluate(
        parse("cosine"), query.features, Gallery(gallery.features), query.labels, gallery.labels
    )
    again = report_of(cosine)
    np.testing.assert_allclose(again.ap, report.ap, atol=5e-7)
    assert again.interval() == pytest.approx(report.interval(), abs=1e-6)
    assert cosine["metrics"]["mAP"] == report.mean_ap()
    assert cosine["metrics"]["rank-5"] == report.cmc(5)
    for k in (1, 5):
        assert report_of(cosine).cmc(k) == report.cmc(k)
    assert cosine["queries"] + cosine["skipped"] == len(query.features)
    assert cosine["sets"]["query"]["identities"] == 10
    assert cosine["sets"]["fit"] is None


def test_differences_can_be_made_again_from_runs(made: tuple[Path, list[Run]]) -> None:
    folder, (cosine, reranked, _) = made
    on = setup(folder / "in", folder / "work")
    query, gallery = on.inputs.part("query"), on.inputs.part("gallery")
    images = Gallery(gallery.features)
    before, after = (
        evaluate(parse(text), query.features, images, query.labels, gallery.labels)
        for text in ("cosine", "k-reciprocal:k1=6,k2=2")
    )
    mine, theirs = report_of(reranked).difference(report_of(cosine)), after.difference(before)
    assert mine[0] == pytest.approx(theirs[0], abs=1e-6)
    assert mine[1] == pytest.approx(theirs[1], abs=1e-6)
    assert same_queries(cosine, reranked)
    both = averaged([cosine, reranked])
    expected = (before.mean_ap() + after.mean_ap()) / 2
    assert both.mean_ap() == pytest.approx(expected, abs=1e-6)


def test_what_is_read_is_what_was_written(made: tuple[Path, list[Run]]) -> None:
    folder, runs = made
    kept = Store.read(folder / "work" / "results")
    assert len(kept.runs) == len(runs) == 3
    for run in runs:
        again = kept.runs[run.key]
        assert again.columns == run.columns
        assert again.plan().key() == run.key, "the key follows from what the run has"
        for name in ("identity", "ap", "first_rank"):
            np.testing.assert_array_equal(getattr(again, name), getattr(run, name))
            assert getattr(again, name).dtype == getattr(run, name).dtype


def test_an_identity_is_kept_once_for_all_runs(made: tuple[Path, list[Run]]) -> None:
    folder, runs = made
    sets = pq.read_table(folder / "work" / "results" / "sets.parquet")
    assert len(sets) == 24
    assert set(sets["data"].to_pylist()) == {runs[0].query_digest}
    queries = pq.read_table(folder / "work" / "results" / "queries.parquet")
    assert len(queries) == 3 * 24
    assert queries.column_names == ["run", "query", "ap", "first_rank"]


def test_queries_without_a_positive_are_null_and_stay_out(tmp_path: Path) -> None:
    lonely = {"identity": np.r_[20 + np.arange(23) % 10, 999]}
    on = setup(write_inputs(tmp_path / "in", query=lonely), tmp_path / "work")
    run_table(replace(TABLE, rows=TABLE.rows[:1]), on, seeds=1, say=lambda line: None)
    [run] = Store.read(on.results).runs.values()
    assert np.isnan(run.ap[-1])
    assert run.first_rank[-1] == 0
    assert run["skipped"] == 1
    assert report_of(run).cmc(1) == pytest.approx(run["metrics"]["rank-1"])
    assert pq.read_table(on.results / "queries.parquet")["ap"].null_count == 1


def copy_of(made: tuple[Path, list[Run]], tmp_path: Path) -> Store:
    store = Store.read(made[0] / "work" / "results")
    store.folder = tmp_path
    return store


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mood": "good"}, "mood"),
        ({"seed": "first"}, "not as the schema"),
        ({"metrics": {"mAP": "high"}}, "not as the schema"),
        ({"sets": {"query": {"digest": 1}}}, "not as the schema"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_and_nothing_written(
    made: tuple[Path, list[Run]], change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    store = copy_of(made, tmp_path)
    run = next(iter(store.runs.values()))
    store.runs[run.key] = replace(run, columns={**run.columns, **change})
    with pytest.raises(ValueError, match=says):
        store.write()
    assert not list(tmp_path.iterdir())


def test_folders_that_are_no_store(made: tuple[Path, list[Run]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no runs\.parquet: 'graphreid papers reproduce' writes"):
        Store.read(tmp_path)
    assert not Store.read(tmp_path, empty=True).runs
    copy_of(made, tmp_path).write()
    file = tmp_path / "queries.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"queries\.parquet: not a readable Parquet file"):
        Store.read(tmp_path)
    pq.write_table(pa.table({"run": [1]}), file)
    with pytest.raises(ValueError, match=r"queries\.parquet: not results of this package"):
        Store.read(tmp_path)
    newer = FILES["queries"].with_metadata({"graphreid": "99"}).empty_table()
    pq.write_table(newer, file)
    with pytest.raises(ValueError, match="format 99 is newer"):
        Store.read(tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match=r"no queries\.parquet"):
        Store.read(tmp_path, empty=True)


def test_one_writer_at_a_time(made: tuple[Path, list[Run]], tmp_path: Path) -> None:
    runs = made[1]

    def add(run: Run) -> None:
        with updated(tmp_path) as store:
            store.runs[run.key] = run

    other = Thread(target=add, args=(runs[1],))
    with updated(tmp_path) as store:
        other.start()
        other.join(0.2)
        assert other.is_alive(), "it waits"
        store.runs[runs[0].key] = runs[0]
    other.join()
    assert set(Store.read(tmp_path).runs) == {runs[0].key, runs[1].key}


def test_runs_that_no_table_shows_any_more_are_dropped(
    made: tuple[Path, list[Run]], tmp_path: Path
) -> None:
    store, (first, second, third) = copy_of(made, tmp_path), made[1]

    def table(name: str, *runs: Run) -> Made:
        return Made(
            "toys", name, "x", [{"name": "a", "runs": [run.key for run in runs], "missing": None}]
        )

    store.put(table("t/table1", first, second))
    store.put(table("t/table2", second))
    store.put(table("t/table1", third))
    assert set(store.runs) == {second.key, third.key}, "the second is another table's too"


def test_method_texts_are_rewritten_after_an_option_got_another_name(
    made: tuple[Path, list[Run]], tmp_path: Path
) -> None:
    store, runs = copy_of(made, tmp_path), made[1]
    rows = [{"name": run.key, "runs": [run.key], "missing": None} for run in runs]
    store.put(Made("toys", "t/table1", "x", rows))
    store.rewrite(lambda spec: spec.replace("k1=", "neighbors="))
    store.write()
    again = Store.read(tmp_path)
    for run, row in zip(runs, again.made["toys", "t/table1"].rows, strict=True):
        [key] = row["runs"]
        assert again.runs[key].plan().key() == key == again.runs[key].key
        assert again.runs[key]["method"] == run["method"].replace("k1=", "neighbors=")
        assert (key == run.key) == ("k1=" not in run["method"])
        np.testing.assert_array_equal(again.runs[key].ap, run.ap)


def test_metrics_that_a_run_has_not(made: tuple[Path, list[Run]]) -> None:
    for metric in ("mINP", "rank-0", "rank-x"):
        with pytest.raises(ValueError, match=metric.partition("-")[0]):
            averaged(made[1][:1], metric)


def test_keys(made: tuple[Path, list[Run]]) -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    plan = made[1][0].plan()
    for change in ({"method": "x"}, {"versions": [2]}, {"seed": 3}, {"setting": "transductive"}):
        assert replace(plan, **change).key() != plan.key()
    store = Store.read(made[0] / "work" / "results")
    assert store.find(plan.key()[:8]).key == plan.key()
    with pytest.raises(ValueError, match="begins the keys of 3 runs"):
        store.find("")
