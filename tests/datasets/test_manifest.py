from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphreid.datasets.manifest import Manifest, read_manifest, write_manifest

Columns = dict[str, list[str | None]]


def table() -> Columns:
    return {
        "item": ["a", "b", "c"],
        "path": ["images/a.jpg", "images/b.jpg", "images/c.jpg"],
        "identity": ["1", "1", "x"],
        "camera": ["1", "2", "2"],
        "split": ["train", "query", "query+gallery"],
        "role": ["normal", "junk", "distractor"],
    }


def write(folder: Path, columns: Columns) -> Path:
    pq.write_table(pa.table(columns), folder / "manifest.parquet")
    return folder


def test_what_is_written_is_read(tmp_path: Path):
    before = read_manifest(write(tmp_path, table()))
    write_manifest(before, tmp_path)
    after = read_manifest(tmp_path)
    for name in ("item", "path", "identity", "camera", "split", "role"):
        assert getattr(after, name).tolist() == table()[name]
    assert after.rows("query").tolist() == [1, 2]
    assert after.rows("gallery").tolist() == [2]
    assert after.labels(after.rows("query")).role.tolist() == [1, 2]
    images = after.images(after.rows("train"))
    assert list(images.paths) == [tmp_path / "images/a.jpg"]


def test_item_and_role_have_defaults_and_extra_columns_stay(tmp_path: Path):
    columns = table()
    del columns["item"], columns["role"], columns["camera"]
    manifest = read_manifest(write(tmp_path, {**columns, "track": ["t1", "t1", "t2"]}))
    assert manifest.item.tolist() == columns["path"]
    assert set(manifest.role.tolist()) == {"normal"}
    assert manifest.camera is None
    assert manifest.extra["track"].tolist() == ["t1", "t1", "t2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": ["1", " ", "x"]}, "identity is empty in row 1"),
        ({"camera": ["1", None, "x"]}, "camera is missing in row 1"),
        ({"split": ["train", "tset", "query"]}, "split is 'tset' in row 1"),
        ({"role": ["normal", "normal", "bad"]}, "role is 'bad' in row 2"),
        ({"item": ["a", "a", "c"]}, "item 'a' stands 2 times, first in row 0"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, change: Columns, message: str):
    with pytest.raises(ValueError, match=message):
        read_manifest(write(tmp_path, {**table(), **change}))


def test_files_that_are_no_manifest(tmp_path: Path):
    with pytest.raises(ValueError, match="no such file: make a data folder"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        read_manifest(tmp_path)
    with pytest.raises(ValueError, match="column identity, split is missing"):
        read_manifest(write(tmp_path, {"path": ["a"]}))


def test_splits_are_checked(tmp_path: Path):
    manifest = read_manifest(write(tmp_path, {**table(), "split": ["train", "train", "train"]}))
    with pytest.raises(ValueError, match="no image is in split 'query'"):
        manifest.rows("query")
    with pytest.raises(ValueError, match="split is 'test'"):
        manifest.rows("test")
    text = np.array(["a", "b"])
    with pytest.raises(ValueError, match="column track has 1 values for 2 images"):
        Manifest(tmp_path, text, text, text, None, text, text, {"track": text[:1]})
