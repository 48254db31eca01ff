import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import record
from benchmarks.floors import floor
from benchmarks.generate import SHAPES, Embeddings, Shape, part, write
from benchmarks.run import RECORDS, ROOT
from graphreid.features.features_file import load_features

SHAPE = Shape(300, 17_700, 3_000, 100, 6, width=64, rank=32)
DENSE = (SHAPE.queries + SHAPE.gallery) ** 2 * 4 / 2**20
"""Megabytes of a matrix of all pairs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark") / "set"
    write(SHAPE, 0, out)
    return out


@pytest.mark.parametrize(
    "method",
    [
        "search:k=100",
        "cosine",
        "aqe",
        "dba",
        "random-walk",
        "k-reciprocal",
        "ecn",
        "gnn-reranking",
        "ca-jaccard",
        "diffusion",
    ],
)
def test_a_method_holds_what_it_may_and_never_all_pairs(folder: Path, method: str) -> None:
    words = [sys.executable, "-m", "benchmarks.worker", "method", str(folder), method]
    done = subprocess.run(
        [*words, "--runs", "1", "--memory-limit", "96MB"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    # where nothing was compiled before, the compiler's 200 MB are in it; all pairs alone would be
    # 1,236 MB
    assert told["peak_mb"] < 0.5 * DENSE
    assert told["stages"]


def test_generated_sets_depend_on_seed_and_block_alone(folder: Path) -> None:
    features, labels = load_features(folder / "query")
    rows = part(SHAPE, 0, "query")
    np.testing.assert_array_equal(features.vectors, Embeddings(SHAPE, 0, "query", rows).block(0))
    np.testing.assert_array_equal(labels.identity, rows.identity)
    assert (Embeddings(SHAPE, 1, "query", rows).block(0) != features.vectors).any()


def test_floors_follow_the_products() -> None:
    rate = {"float32": 0.5, "bfloat16": 2.0, "bandwidth": 10.0}
    assert floor("search:k=5", 10, 90, 100, rate) == pytest.approx(100 * 100 * 100 / 2e12)
    assert floor("cosine", 10, 90, 100, rate) == pytest.approx(2 * 10 * 90 * 100 / 0.5e12)
    assert floor("k-reciprocal", 10, 90, 100, rate) == pytest.approx(
        100**3 / 2e12 + 2 * 10 * 90 * 100 / 0.5e12
    )


def test_records_are_as_their_schema_says() -> None:
    files = [path for path in sorted(RECORDS.glob("*.json")) if path.stem in SHAPES]
    assert files
    for path in files:
        record.read(path)


def test_a_record_that_is_not_is_refused(tmp_path: Path) -> None:
    good = record.read(RECORDS / "market.json")
    for change, said in (
        ({"version": 99}, "record.version"),
        ({"load": "high"}, "record.load"),
        ({"methods": []}, "record.methods"),
    ):
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(copy.deepcopy(good) | change))
        with pytest.raises(ValueError, match=said):
            record.read(path)
