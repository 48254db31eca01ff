from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.features.features_file import load_columns, load_features, save_features
from graphreid.features.writer import FeatureWriter

N, D = 10, 4
VECTORS = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
COLUMNS: dict[str, Any] = {"identity": np.arange(N), "path": [f"{row}.jpg" for row in range(N)]}


@pytest.fixture(params=["f.npz", "f"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def writer(
    target: Path, stamp: str = "s", columns: dict[str, Any] = COLUMNS, rows: int = N
) -> FeatureWriter:
    return FeatureWriter(target, rows, D, columns, stamp=stamp)


def test_blocks_make_the_same_file_as_save_features(target: Path):
    work = writer(target)
    assert (work.done, work.discarded) == (0, False)
    for start in range(0, N, 3):
        assert not target.exists()
        work.write(VECTORS[start : start + 3])
    work.finish()
    features, labels = load_features(target)
    assert (features.vectors == VECTORS).all()
    assert labels.identity.tolist() == list(range(N))
    assert load_columns(target)["path"].tolist() == COLUMNS["path"]
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    other = target.with_name(f"other{target.suffix}")
    save_features(other, VECTORS, COLUMNS)
    for file in [target] if target.is_file() else sorted(target.iterdir()):
        twin = other if target.is_file() else other / file.name
        assert file.read_bytes() == twin.read_bytes()


def test_an_interrupted_writer_goes_on(target: Path):
    writer(target).write(VECTORS[:4])
    second = writer(target)
    assert (second.done, second.discarded) == (4, False)
    second.write(VECTORS[4:7])
    with (target.with_name(f"{target.name}.partial") / "vectors.npy").open("ab") as stream:
        stream.write(b"half a row")  # stopped between writing and recording
    third = writer(target)
    assert third.done == 7
    third.write(VECTORS[7:])
    third.finish()
    assert (load_features(target)[0].vectors == VECTORS).all()


def test_rows_of_other_work_are_discarded(target: Path):
    writer(target).write(VECTORS[:4])
    for change in (
        {"stamp": "other"},
        {"columns": {"identity": np.zeros(N, int)}},
        {"rows": 11, "columns": {}},
    ):
        again = writer(target, **change)  # type: ignore[arg-type]
        assert (again.done, again.discarded) == (0, True)
        again.write(VECTORS[:4])


def test_a_damaged_partial_folder_starts_anew(target: Path):
    writer(target).write(VECTORS[:4])
    partial = target.with_name(f"{target.name}.partial")
    for damage in (b"", b"\x93NUMPY", (partial / "vectors.npy").read_bytes()[:-1]):
        (partial / "vectors.npy").write_bytes(damage)
        again = writer(target)
        assert (again.done, again.discarded) == (0, True)
        again.write(VECTORS[:4])
    (partial / "progress.json").write_text("{")
    assert writer(target).done == 0
    (partial / "vectors.npy").unlink()
    assert writer(target).done == 0


def test_wrong_blocks_are_refused(target: Path):
    work = writer(target)
    work.write(VECTORS[:9])
    bad = VECTORS[:1].copy()
    bad[0, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in row 9 \(9\.jpg\)"):
        work.write(bad)
    with pytest.raises(ValueError, match=r"does not fit row 9"):
        work.write(VECTORS[:2])
    with pytest.raises(ValueError, match=r"does not fit row 9"):
        work.write(VECTORS[:1, :2])
    with pytest.raises(ValueError, match="9 of 10 rows are written"):
        work.finish()
    assert not target.exists()
    work.write(VECTORS[9:])
    work.finish()
    assert (load_features(target)[0].vectors == VECTORS).all()


def test_unwritable_places_are_named_at_the_start(tmp_path: Path):
    with pytest.raises(ValueError, match=r"cannot write .*: No such file"):
        writer(tmp_path / "no/f.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write .*: Not a directory"):
        writer(tmp_path / "file/f.npz")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("")
    with pytest.raises(ValueError, match="exists already"):
        writer(tmp_path / "full")
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(ValueError, match="exists already"):
        writer(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="identity has 10 values for 11 vectors"):
        writer(tmp_path / "f.npz", rows=11)
    with pytest.raises(ValueError, match="0 rows"):
        writer(tmp_path / "f.npz", rows=0)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    work = writer(tmp_path / "f.npz")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ValueError, match=r"cannot write .*f\.npz: No space left on device"):
        work.write(VECTORS)
