import contextlib
import io
import os
import pickle
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.features.readers.pickles import read_pickle

RNG = np.random.default_rng(0)
VALUES: dict[str, Any] = {
    "matrix": RNG.normal(size=(5, 3)).astype(np.float32),
    "of Fortran's order": np.asfortranarray(RNG.normal(size=(5, 3))),
    "strided": RNG.normal(size=(6, 6))[::2, ::3],
    "of the other byte order": np.arange(4, dtype=">i4"),
    "half": np.ones(3, np.float16),
    "truth": np.array([True, False]),
    "text": np.array(["a.jpg", "é.jpg"]),
    "no dimension": np.array(3.0),
    "scalar": np.float32(3),
    "tensor": torch.randn(4, 3),
    "view": torch.arange(12).reshape(3, 4).T[1:],
    "half tensor": torch.ones(2, 2).half(),
    "bfloat16": torch.ones(2).bfloat16(),
    "nested": {"a": [1, 2.5, None, True, (b"x", "y")], 7: {"v": np.ones(2)}},
}


class Calls:
    """Unpickled, it calls."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def same(read: Any, written: Any) -> bool:
    if isinstance(written, torch.Tensor):
        written = (written.float() if written.is_floating_point() else written).numpy()
    if isinstance(written, np.ndarray | np.generic):
        return (
            isinstance(read, np.ndarray | np.generic)
            and read.shape == written.shape
            and bool(np.all(read == written))
        )
    if isinstance(written, dict):
        return list(read) == list(written) and all(same(read[key], written[key]) for key in written)
    if isinstance(written, list | tuple):
        return type(read) is type(written) and all(map(same, read, written))
    return type(read) is type(written) and read == written


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", VALUES)
def test_arrays_and_tensors_come_back(tmp_path: Path, value: str, protocol: int):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"v": VALUES[value]}, protocol=protocol))
    assert same(read_pickle(tmp_path / "a.pkl"), {"v": VALUES[value]})


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("value", VALUES)
def test_files_of_torch_save_come_back(tmp_path: Path, value: str, zipped: bool):
    torch.save({"v": VALUES[value]}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert same(read_pickle(tmp_path / "a.pth"), {"v": VALUES[value]})


def python2(array: Any) -> bytes:
    """An array as Python 2 and an old NumPy wrote it: the module's old name, and bytes as strings
    of protocol 2.
    """
    data = array.tobytes()
    return b"".join(
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01",
            b"K" + bytes([len(array)]) + b"\x85",
            b"cnumpy\ndtype\nU\x02" + array.dtype.str[1:].encode() + b"K\x00K\x01\x87R",
            b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"U" + bytes([len(data)]) + data + b"tb.",
        )
    )


def test_arrays_of_python_2_come_back(tmp_path: Path):
    array = RNG.normal(size=7).astype("<f4")
    (tmp_path / "a.pkl").write_bytes(python2(array))
    assert same(read_pickle(tmp_path / "a.pkl"), array)


def evil(marker: Path) -> dict[str, Any]:
    inner = io.BytesIO()
    torch.save(Calls(os.mkdir, str(marker)), inner, _use_new_zipfile_serialization=False)
    return {
        "posix.mkdir": Calls(os.mkdir, str(marker)),
        "check_call": [
            np.ones(3),
            {"gallery_f": Calls(subprocess.check_call, ["touch", str(marker)])},
        ],
        "eval": Calls(eval, f"open({str(marker)!r}, 'w')"),
        "open": Calls(open, str(marker), "w"),
        "getattr": Calls(getattr, "", "join"),
        "pathlib": Path("x"),
        "numpy": Calls(np.load, "x.npy", None, True),
        "inside a tensor's storage: posix.mkdir": Calls(
            torch.storage._load_from_bytes,  # type: ignore[attr-defined]  # what torch.save names
            inner.getvalue(),
        ),
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", evil(Path()))
def test_pickles_that_carry_code_are_refused_and_nothing_runs(
    tmp_path: Path, name: str, protocol: int
):
    marker = tmp_path / "made"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(evil(marker)[name], protocol=protocol))
    expected = name.rpartition(": ")[2]
    with pytest.raises(
        ValueError,
        match=rf"a\.pkl: it asks for \S*{expected}.*only arrays, tensors.*nothing in it was run",
    ) as caught:
        read_pickle(tmp_path / "a.pkl")
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "name", ["posix.mkdir", "check_call", "eval", "open", "getattr", "pathlib"]
)
def test_files_of_torch_save_that_carry_code_are_refused_and_nothing_runs(
    tmp_path: Path, name: str, zipped: bool
):
    marker = tmp_path / "made"
    torch.save(evil(marker)[name], tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"a\.pth: it asks for \S*{name}.*nothing in it was run"):
        read_pickle(tmp_path / "a.pth")
    assert not marker.exists()


def test_the_same_files_do_run_elsewhere(tmp_path: Path):
    """The tests above would mean nothing if they did not."""
    marker = tmp_path / "made"
    pickle.loads(pickle.dumps(evil(marker)["posix.mkdir"]))
    assert marker.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "an array of type O8"),
        (np.zeros(2, [("a", "f4")]), "an array of type V4"),
        (np.array(["2020"], "M8[D]"), "an array of type M8"),
        ({1, 2}, "set"),
        (3j, "complex"),
        (range(3), "range"),
        (torch.nn.Linear(1, 1), "torch"),
    ],
)
def test_other_objects_are_refused_by_name(tmp_path: Path, value: Any, message: str):
    for protocol in (2, 4):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps([value], protocol=protocol))
        with pytest.raises(ValueError, match=rf"a\.pkl: it asks for \S*{message}"):
            read_pickle(tmp_path / "a.pkl")


# written by hand: what pickle.dumps would never write
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"cnumpy\nndarray\n(K\x03tR.", "numpy.ndarray to be called"),
        (b"cnumpy\ndtype\n(X\x01\x00\x00\x00OtR.", "an array of type O"),
        (b"cnumpy\ndtype\n(K\x01tR.", "an array of type 1"),
        (
            b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01(K\x01tNK\x00C\x08aaaaaaaatb.",
            "an array of type NoneType",
        ),
        (
            b"cnumpy._core.multiarray\nscalar\n(X\x01\x00\x00\x00aC\x08aaaaaaaatR.",
            "an array of type str",
        ),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zlibtR.", "the encoding 'zlib'"),
        (b"cnumpy.core\nmultiarray.sys\n.", "numpy.core.multiarray.sys"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.", "a tensor of NoneType"),
        (b"cnumpy\nndarray\n.", "type"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4tR.", "_Dtype"),
    ],
)
def test_programs_written_by_hand_are_refused(tmp_path: Path, program: bytes, message: str):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + program)
    with pytest.raises(ValueError, match=rf"a\.pkl: it asks for {message}"):
        read_pickle(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy._core.multiarray\n_reconstruct\n)R.",  # an array that never gets its bytes
        b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01(K\x05tcnumpy\ndtype\n(X\x02\x00\x00\x00f4tRK\x00C\x08aaaaaaaatb.",
        b"cnumpy._core.multiarray\n_reconstruct\n}b.",  # a state for the class itself
        b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
        b"",
        b"K",
        b"(",
        b"X\xff\xff\xff\x7f",
    ],
)
def test_damaged_programs_are_one_line(tmp_path: Path, program: bytes):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + program)
    with pytest.raises(
        ValueError, match=r"a\.pkl: a damaged pickle, or no pickle at all"
    ) as caught:
        read_pickle(tmp_path / "a.pkl")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_truncated_files_are_one_line(tmp_path: Path, kind: str):
    file = tmp_path / "a.pkl"
    value = {"v": np.ones((20, 20)), "t": torch.ones(9, 9)}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, file, _use_new_zipfile_serialization=kind == "zip")
    data = file.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.6, 0.9, 0.99):
        file.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ValueError, match=r"a\.pkl: (a damaged pickle|it asks for)") as caught:
            read_pickle(file)
        assert "\n" not in str(caught.value)


def test_random_damage_never_escapes(tmp_path: Path):
    file = tmp_path / "a.pkl"
    data = pickle.dumps(
        {"gallery_f": np.ones((4, 3), np.float32), "names": ["a", "b"], "t": torch.ones(2)}
    )
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(400):
            broken = bytearray(data)
            for at in rng.integers(0, len(data), 3).tolist():
                broken[at] = int(rng.integers(256))
            file.write_bytes(broken)
            with contextlib.suppress(ValueError):  # some bytes are only values
                read_pickle(file)


def test_other_files_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    with pytest.raises(
        ValueError, match=r"a\.npz: it asks for x\.npy, being a zip file of something else"
    ):
        read_pickle(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"gone: No such file"):
        read_pickle(tmp_path / "gone")
    with pytest.raises(ValueError, match="Is a directory"):
        read_pickle(tmp_path)
