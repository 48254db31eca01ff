import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.metrics.evaluate import evaluate
from graphreid.papers import records
from graphreid.papers.records import (
    averaged,
    check,
    describe,
    key_of,
    read_record,
    read_records,
    report_of,
    same_queries,
    write_record,
)
from graphreid.papers.run import run
from tests.papers.cases import TABLE, bench, write_inputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[records.Record]]:
    folder = tmp_path_factory.mktemp("records")
    results = run(
        TABLE, bench(write_inputs(folder / "in"), folder / "work"), seeds=1, say=lambda line: None
    )
    return folder, [record for result in results for record in result.records]


def test_a_record_keeps_the_schema_and_each_queries_result(
    made: tuple[Path, list[records.Record]],
) -> None:
    folder, (cosine, *_) = made
    check(cosine, "cosine")
    on = bench(folder / "in", folder / "work")
    query, gallery = on.inputs.part("query"), on.inputs.part("gallery")
    report = evaluate(
        parse("cosine"), query.features, Gallery(gallery.features), query.labels, gallery.labels
    )
    again = report_of(cosine)
    np.testing.assert_allclose(again.ap, report.ap, atol=5e-7)
    assert again.interval() == pytest.approx(report.interval(), abs=1e-6)
    assert cosine["metrics"]["mAP"] == report.mean_ap()
    assert cosine["metrics"]["cmc"]["5"] == report.cmc(5)
    for k in (1, 5):
        assert report_of(cosine, f"rank-{k}").mean_ap() == pytest.approx(report.cmc(k))
    assert cosine["protocol"]["queries"] + cosine["protocol"]["skipped"] == len(query.features)
    assert cosine["data"]["parts"]["query"]["identities"] == 10
    assert set(cosine["data"]["parts"]) == {"query", "gallery"}


def test_differences_can_be_made_again_from_records(
    made: tuple[Path, list[records.Record]],
) -> None:
    folder, (cosine, reranked, _) = made
    on = bench(folder / "in", folder / "work")
    query, gallery = on.inputs.part("query"), on.inputs.part("gallery")
    before, after = (
        evaluate(
            parse(text), query.features, Gallery(gallery.features), query.labels, gallery.labels
        )
        for text in ("cosine", "k-reciprocal:k1=6,k2=2")
    )
    mine, theirs = report_of(reranked).difference(report_of(cosine)), after.difference(before)
    assert mine[0] == pytest.approx(theirs[0], abs=1e-6)
    assert mine[1] == pytest.approx(theirs[1], abs=1e-6)
    assert same_queries(cosine, reranked)
    both = averaged([cosine, reranked])
    assert both.mean_ap() == pytest.approx((before.mean_ap() + after.mean_ap()) / 2, abs=1e-6)


def test_queries_without_a_positive_are_null_and_stay_out(tmp_path: Path) -> None:
    lonely = {"identity": np.r_[20 + np.arange(23) % 10, 999]}
    folder = write_inputs(tmp_path / "in", query=lonely)
    record = run(TABLE, bench(folder, tmp_path / "work"), seeds=1, say=lambda line: None)[
        0
    ].records[0]
    assert record["queries"]["ap"][-1] is None
    assert record["queries"]["first_rank"][-1] == 0
    assert record["protocol"]["skipped"] == 1
    assert math.isnan(report_of(record).ap[-1])
    assert report_of(record, "rank-1").mean_ap() == pytest.approx(record["metrics"]["cmc"]["1"])


def test_it_is_small_and_readable(made: tuple[Path, list[records.Record]], tmp_path: Path) -> None:
    record = made[1][0]
    file = write_record(tmp_path, record)
    assert file.name == f"{record['key']}.json"
    assert json.loads(file.read_text()) == record
    assert read_record(file) == record
    lines = file.read_text().splitlines()
    assert sum(line.startswith('  "ap": [') for line in lines) == 1, "a line a column"
    assert all(value is None or value == round(value, 6) for value in record["queries"]["ap"])
    assert str(tmp_path.parent) not in file.read_text(), "no paths of this machine"


GONE = object()


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("seed", GONE, "seed is missing"),
        ("mood", "good", "mood is not known"),
        ("metrics.mAP", "0.8", "metrics: mAP: not a record: '0.8' is of the wrong type"),
        ("metrics.cmc.5", GONE, "cmc: not a record: 5 is missing"),
        ("data.parts.query.images", True, "images"),
        ("queries", None, "queries"),
        ("validation", {"mAP": 0.5}, "cosine is missing"),
        ("protocol.rule_fields.distractor", 0.5, "distractor"),
    ],
)
def test_what_is_no_record_is_refused(
    made: tuple[Path, list[records.Record]], place: str, value: Any, says: str, tmp_path: Path
) -> None:
    record = copy.deepcopy(made[1][0])
    *way, last = place.split(".")
    inner: dict[str, Any] = record
    for name in way:
        inner = inner[name]
    inner |= {last: value}
    if value is GONE:
        del inner[last]
    with pytest.raises(ValueError, match=says):
        check(record, "r.json")
    with pytest.raises(ValueError, match="not a record"):
        write_record(tmp_path, record)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_records(made: tuple[Path, list[records.Record]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run records"):
        read_records(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        read_record(tmp_path / "x.json")
    file = tmp_path / "x.json"
    file.write_text("{")
    with pytest.raises(ValueError, match=r"x\.json: not a record"):
        read_record(file)
    file.write_text(json.dumps({**made[1][0], "format": 99}))
    with pytest.raises(ValueError, match="format 99 is newer"):
        read_record(file)
    folder = made[0] / "work" / "records"
    assert [record["key"] for record in read_records(folder)] == [
        record["key"] for record in read_records(made[0])
    ]


def test_metrics_that_are_none(made: tuple[Path, list[records.Record]]) -> None:
    for metric in ("map", "rank-0", "rank", "rank-x"):
        with pytest.raises(ValueError, match="metric is"):
            report_of(made[1][0], metric)


def test_keys_and_names(made: tuple[Path, list[records.Record]]) -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert describe(made[1][0]) == "cosine"
    chosen = made[1][2]["configuration"]["chosen"]["options"]
    assert (
        describe(made[1][2])
        == f"k-reciprocal:k2=2,setting=online,k1={chosen['k1']},lam={chosen['lam']}"
    )
