import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.features.array_files import read_npy, read_npz, write_npz


def test_npz_comes_back_and_equal_arrays_give_equal_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    arrays: dict[str, Any] = {"a": np.arange(6.0).reshape(2, 3), "text": np.array(["x", "yé"])}
    write_npz(tmp_path / "1.npz", arrays)
    later = time.time() + 3600
    monkeypatch.setattr("time.time", lambda: later)
    write_npz(tmp_path / "2.npz", arrays)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    read = read_npz(tmp_path / "1.npz")
    assert read["a"].tolist() == arrays["a"].tolist()
    assert read["text"].tolist() == ["x", "yé"]
    assert list(read_npz(tmp_path / "1.npz", ("text", "other"))) == ["text"]


def test_an_npy_file_is_streamed_into_an_npz(tmp_path: Path):
    array = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    write_npz(tmp_path / "a.npz", {"vectors": tmp_path / "a.npy"})
    assert (np.load(tmp_path / "a.npz")["vectors"] == array).all()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_npz_is_named(tmp_path: Path, share: float):
    path = tmp_path / "a.npz"
    np.savez(path, vectors=np.ones((50, 20)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        ValueError, match=r"a\.npz: (a damaged or truncated|not an) \.npz file"
    ) as caught:
        read_npz(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_npz_is_named(tmp_path: Path, compressed: bool):
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(
        path, vectors=np.random.default_rng(0).normal(size=(50, 20))
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.npz: a damaged or truncated"):
        read_npz(path)


def test_objects_are_refused(tmp_path: Path):
    objects: Any = np.array([{"a": 1}, None], dtype=object)
    np.savez(tmp_path / "a.npz", allow_pickle=True, path=objects)
    with pytest.raises(ValueError, match=r"a\.npz: path: it holds Python objects"):
        read_npz(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: it holds Python objects"):
        read_npy(tmp_path / "a.npy")


def test_other_files_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"a\.npy: not an \.npz file"):
        read_npz(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"a\.npz: not an \.npy file"):
        read_npy(tmp_path / "a.npz")
    for read in (read_npy, read_npz):
        with pytest.raises(ValueError, match=r"gone: No such file or directory"):
            read(tmp_path / "gone")
        with pytest.raises(ValueError, match="Is a directory"):
            read(tmp_path)


def test_a_truncated_npy_is_named(tmp_path: Path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((50, 20)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"a\.npy: a damaged or truncated"):
        read_npy(path)
