import contextlib
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from graphreid.features.readers.matlab import is_mat, read_mat

RNG = np.random.default_rng(0)
VALUES: dict[str, Any] = {
    "single": RNG.normal(size=(5, 3)).astype(np.float32),
    "double": RNG.normal(size=(2, 3, 4)),
    "list": [1, -1, 0, 70000],
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "small": np.array([[7]], np.int16),
    "long": np.array([2**40, -(2**50)]),
    "empty": np.zeros((0, 3)),
    "truth": np.array([True, False]),
    "number": 3,
}


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_are_those_that_scipy_writes_and_reads(tmp_path: Path, compressed: bool):
    file = tmp_path / "a.mat"
    scipy.io.savemat(file, {**VALUES, "other": {"a": 1}}, do_compression=compressed)
    reference = scipy.io.loadmat(file)
    arrays = read_mat(file, [*VALUES, "gone"])
    assert set(arrays) == set(VALUES)
    for name, array in arrays.items():
        assert array.shape == reference[name].shape
        assert array.dtype == reference[name].dtype
        assert (array == reference[name]).all()
    assert arrays["list"].shape == (1, 4)  # a row, whatever it was
    assert is_mat(file.read_bytes()[:128])
    assert not is_mat(b"\x93NUMPY")


@pytest.mark.parametrize("compressed", [False, True])
def test_text_and_cells(tmp_path: Path, compressed: bool):
    cells = np.empty((3, 1), dtype=object)
    cells[:, 0] = ["1_001_1_01.png", np.array(["é.png"]), np.array([[1.0, 2.0]])]
    scipy.io.savemat(
        tmp_path / "a.mat", {"text": "hello", "none": "", "cells": cells}, do_compression=compressed
    )
    arrays = read_mat(tmp_path / "a.mat", ("text", "none", "cells"))
    assert (arrays["text"].tolist(), arrays["none"].tolist()) == (["hello"], [""])
    assert arrays["cells"].shape == (3, 1)
    assert [cell.tolist() for cell in arrays["cells"][:, 0]] == [
        ["1_001_1_01.png"],
        ["é.png"],
        [[1.0, 2.0]],
    ]


def element(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)


def test_the_other_byte_order_and_small_elements(tmp_path: Path):
    flags = element(6, struct.pack(">II", 6, 0))
    shape = element(5, struct.pack(">ii", 1, 2))
    name = struct.pack(">HH4s", 1, 1, b"x\0\0\0")
    body = (
        flags + shape + name + struct.pack(">HHBBxx", 2, 2, 5, 250)
    )  # doubles that are stored as bytes
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + element(14, body))
    array = read_mat(tmp_path / "a.mat", ("x",))["x"]
    assert (array.dtype, array.tolist()) == (np.float64, [[5.0, 250.0]])
    assert scipy.io.loadmat(tmp_path / "a.mat")["x"].tolist() == array.tolist()


@pytest.mark.parametrize("head", [b"MATLAB 7.3 MAT-file, Platform: GLNXA64", b"\x89HDF\r\n\x1a\n"])
def test_hdf5_is_refused_with_the_reason(tmp_path: Path, head: bytes):
    (tmp_path / "a.mat").write_bytes(head.ljust(600, b" "))
    with pytest.raises(
        ValueError,
        match=r"a\.mat: a MATLAB 7\.3 file, which is HDF5 and not read here: save it again with "
        r"-v7",
    ):
        read_mat(tmp_path / "a.mat", ("x",))
    assert is_mat(head)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1j]), "x is complex, sparse or a structure"),
        ({"a": 1}, "x is complex, sparse or a structure"),
        (np.array(["ab", "cd"]), "x is text of more than one row"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, value: Any, message: str):
    scipy.io.savemat(tmp_path / "a.mat", {"x": value, "y": 1})
    with pytest.raises(
        ValueError, match=rf"a\.mat: a damaged \.mat file, or with more in it .*\({message}\)"
    ):
        read_mat(tmp_path / "a.mat", ("x",))
    assert read_mat(tmp_path / "a.mat", ("y",))["y"].tolist() == [[1]]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.1, 0.5, 0.95, 0.999])
def test_truncated_files_are_one_line(tmp_path: Path, share: float, compressed: bool):
    file = tmp_path / "a.mat"
    scipy.io.savemat(file, {"x": RNG.normal(size=(50, 20))}, do_compression=compressed)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"a\.mat: (a damaged|not a MATLAB)") as caught:
        read_mat(file, ("x",))
    assert "\n" not in str(caught.value)


def test_random_damage_never_escapes(tmp_path: Path):
    file = tmp_path / "a.mat"
    cells = np.array(["a", "b"], dtype=object)
    for compressed in (False, True):
        scipy.io.savemat(file, {"x": np.ones((4, 3)), "names": cells}, do_compression=compressed)
        data = file.read_bytes()
        rng = np.random.default_rng(1)
        for _ in range(300):
            broken = bytearray(data)
            for at in rng.integers(124, len(data), 3).tolist():
                broken[at] = int(rng.integers(256))
            file.write_bytes(broken)
            with (
                contextlib.suppress(ValueError),
                warnings.catch_warnings(),
            ):  # some bytes are only values
                warnings.simplefilter("error")
                read_mat(file, ("x", "names"))


def test_files_that_are_not_there(tmp_path: Path):
    with pytest.raises(ValueError, match=r"gone\.mat: No such file"):
        read_mat(tmp_path / "gone.mat", ("x",))
    with pytest.raises(ValueError, match="Is a directory"):
        read_mat(tmp_path, ("x",))
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"a\.npy: not a MATLAB file of version 5 to 7"):
        read_mat(tmp_path / "a.npy", ("x",))
