import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from graphreid.features.readers.toolkits import market_columns, read_toolkit_features

RNG = np.random.default_rng(0)
GALLERY, QUERY = (
    RNG.normal(size=(5, 4)).astype(np.float32),
    RNG.normal(size=(2, 4)).astype(np.float32),
)
TWO_PARTS: dict[str, Any] = {
    "gallery_f": GALLERY,
    "gallery_label": [-1, 0, 2, 2, 7],
    "gallery_cam": [1, 1, 2, 3, 6],
    "query_f": QUERY,
    "query_label": [2, 7],
    "query_cam": [1, 2],
}
NAMES = ["0002_c1s1_000451_03.jpg", "-1_c2s1_000401_03.jpg", "0000_c6s1_000151_01.jpg"]
VECTORS = RNG.normal(size=(3, 4)).astype(np.float32)


class Calls:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def write(file: Path, value: Any) -> Path:
    if file.suffix == ".mat":
        scipy.io.savemat(file, value)
    elif file.suffix == ".pth":
        torch.save(value, file)
    else:
        file.write_bytes(pickle.dumps(value))
    return file


@pytest.mark.parametrize("name", ["pytorch_result.mat", "market_88_test.pkl", "a.pth", "no ending"])
def test_query_and_gallery_in_one_file(tmp_path: Path, name: str):
    file = write(tmp_path / name, TWO_PARTS)
    gallery, query = (
        read_toolkit_features(file, part="gallery"),
        read_toolkit_features(file, part="query"),
    )
    assert gallery.vectors.tolist() == GALLERY.tolist()
    assert query.vectors.tolist() == QUERY.tolist()
    assert gallery.columns["identity"].tolist() == [-1, 0, 2, 2, 7]
    assert gallery.columns["camera"].tolist() == [1, 1, 2, 3, 6]
    assert query.columns["identity"].shape == (2,)
    assert list(query.columns) == ["identity", "camera"]


@pytest.mark.parametrize("kind", ["tensors", "doubles", "columns", "text"])
def test_labels_and_vectors_of_other_kinds(tmp_path: Path, kind: str):
    value = dict(TWO_PARTS)
    if kind == "tensors":
        value = {name: torch.tensor(held) for name, held in value.items()}
    elif kind == "doubles":
        value["gallery_label"] = np.array([value["gallery_label"]], np.float64)
    elif kind == "columns":
        value["gallery_label"] = np.array(value["gallery_label"])[:, None]
    else:
        value["gallery_label"] = ["a", "b", "c", "c", "d"]
    identity = read_toolkit_features(write(tmp_path / "a.pkl", value), part="gallery").columns[
        "identity"
    ]
    assert identity.tolist() == (["a", "b", "c", "c", "d"] if kind == "text" else [-1, 0, 2, 2, 7])
    assert identity.dtype.kind in "iU"


def test_cameras_may_be_missing_and_one_image_is_one_row(tmp_path: Path):
    value = {"query_f": QUERY[:1], "query_label": [3]}
    for name in ("a.mat", "a.pkl"):
        foreign = read_toolkit_features(write(tmp_path / name, value), part="query")
        assert foreign.vectors.shape == (1, 4)
        assert list(foreign.columns) == ["identity"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gallery_label": [1, 2]},
            r"gallery_label must be one number or text for each of 5 vectors, not int64 \(2,\)",
        ),
        ({"gallery_cam": [1.5, 1, 1, 1, 1]}, "gallery_cam has numbers that are not whole"),
        ({"gallery_label": [[1], [2, 3], 1, 1, 1]}, "gallery_label is no list of labels"),
        (
            {"gallery_f": GALLERY[0]},
            r"needs one vector a row, \[n, d\], not float32 of shape \(4,\)",
        ),
        ({"gallery_f": [[1.0], [1.0, 2.0]]}, "the vectors are not of one length"),
        ({"gallery_f": None}, r"needs one vector a row, \[n, d\], not object"),
        ({"gallery_label": None}, "gallery_label must be one number or text"),
    ],
)
def test_bad_fields_are_named(tmp_path: Path, change: dict[str, Any], message: str):
    file = write(tmp_path / "a.pkl", {**TWO_PARTS, **change})
    with pytest.raises(ValueError, match=rf"a\.pkl: {message}"):
        read_toolkit_features(file, part="gallery")


def test_fields_that_are_missing_are_named(tmp_path: Path):
    value = {name: held for name, held in TWO_PARTS.items() if name != "gallery_label"}
    for name in ("a.mat", "a.pkl"):
        with pytest.raises(
            ValueError,
            match=r"no gallery_label in it; it has gallery_f, gallery_cam, query_f, query_label",
        ):
            read_toolkit_features(write(tmp_path / name, value), part="gallery")
    with pytest.raises(ValueError, match=r"b\.mat: no query_f in it; it has none of its fields"):
        read_toolkit_features(write(tmp_path / "b.mat", {"x": 1}), part="query")


@pytest.mark.parametrize("name", ["a.pkl", "a.pth"])
@pytest.mark.parametrize("kind", ["arrays", "batches of one", "tensors", "lists"])
def test_names_and_vectors(tmp_path: Path, name: str, kind: str):
    made: dict[str, Any] = {
        "arrays": np.asarray,
        "batches of one": np.atleast_2d,
        "tensors": torch.tensor,
        "lists": np.ndarray.tolist,
    }
    value = {path: made[kind](row) for path, row in zip(NAMES, VECTORS, strict=True)}
    foreign = read_toolkit_features(write(tmp_path / name, value))
    assert np.allclose(foreign.vectors, VECTORS)
    assert foreign.columns["item"].tolist() == foreign.columns["path"].tolist() == NAMES
    assert "identity" not in foreign.columns  # names are not looked at unless asked for


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_a_folder_of_one_file_an_image(tmp_path: Path, shape: tuple[int, ...]):
    folder = tmp_path / "run_1_c2"
    for path, row in zip(NAMES, VECTORS, strict=True):
        (folder / "demo_output").mkdir(parents=True, exist_ok=True)
        np.save(folder / "demo_output" / f"{Path(path).stem}.npy", row.reshape(shape))
        (folder / "demo_output" / f"._{Path(path).stem}.npy").write_bytes(b"\0\5")
    foreign = read_toolkit_features(folder)
    order = [1, 2, 0]  # sorted by name
    assert foreign.columns["item"].tolist() == [
        f"demo_output/{Path(NAMES[row]).stem}" for row in order
    ]
    assert foreign.vectors.tolist() == VECTORS[order].tolist()
    assert list(foreign.columns) == ["item"]
    assert market_columns(folder, foreign.columns["item"].tolist())["identity"].tolist() == [
        -1,
        0,
        2,
    ]


def test_an_npy_file_and_a_list(tmp_path: Path):
    np.save(tmp_path / "a.npy", VECTORS)
    (tmp_path / "names.txt").write_text(
        "\ufeff" + "".join(f"{name}\r\n" for name in NAMES), encoding="utf-8"
    )
    foreign = read_toolkit_features(tmp_path / "a.npy", names=tmp_path / "names.txt")
    assert foreign.columns["path"].tolist() == NAMES
    assert foreign.vectors.tolist() == VECTORS.tolist()


def test_lists_that_do_not_fit_are_named(tmp_path: Path):
    np.save(tmp_path / "a.npy", VECTORS)
    names = tmp_path / "names.txt"
    for text, message in (
        ("a\nb\n", r"a\.npy: 3 vectors for 2 names in the list"),
        ("a\n\nb\n", r"names\.txt: line 2 is empty"),
        ("", r"names\.txt: line 1 is empty"),
    ):
        names.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_toolkit_features(tmp_path / "a.npy", names=names)
    names.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match=r"names\.txt: not a readable list"):
        read_toolkit_features(tmp_path / "a.npy", names=names)
    with pytest.raises(ValueError, match=r"gone\.txt: not a readable list"):
        read_toolkit_features(tmp_path / "a.npy", names=tmp_path / "gone.txt")
    with pytest.raises(
        ValueError,
        match=r"an \.npy file has no names: add --list, or give it with --vectors and a --table",
    ):
        read_toolkit_features(tmp_path / "a.npy")


def test_roles_and_labels_by_market_names():
    columns = market_columns("x", [f"run_9_c9/{name}" for name in NAMES])
    assert columns["identity"].tolist() == [2, -1, 0]
    assert columns["camera"].tolist() == [1, 2, 6]
    assert columns["role"].tolist() == ["normal", "junk", "distractor"]
    with pytest.raises(
        ValueError,
        match=r"x: '0002_c1s1_000451_03/run\.jpg', row 1, is no name such as "
        r"0002_c1s1_000451_03\.jpg",
    ):
        market_columns("x", [NAMES[0], "0002_c1s1_000451_03/run.jpg"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"a": VECTORS[0], "b": VECTORS[0, :2]},
            "'b' has 2 numbers, and the vectors before it have 4",
        ),
        ({"a": VECTORS}, r"'a' is not one vector of numbers but float32 of shape \(3, 4\)"),
        ({"a": "text"}, "'a' is not one vector of numbers"),
        ({"a": []}, "'a' is not one vector of numbers"),
        ({"a": [[1.0], [1.0, 2.0]]}, "'a' is not one vector of numbers"),
        ({}, "holds an empty dictionary, not"),
        ({1: VECTORS[0]}, r"holds an object of type dict, not \{file name: vector\} nor query_f"),
        (VECTORS, "holds an object of type ndarray, not"),
        ([VECTORS], "holds an object of type list, not"),
    ],
)
def test_pickles_of_other_things_are_named(tmp_path: Path, value: Any, message: str):
    with pytest.raises(ValueError, match=rf"a\.pkl: {message}"):
        read_toolkit_features(write(tmp_path / "a.pkl", value))


def test_options_that_belong_to_other_kinds(tmp_path: Path):
    both = write(tmp_path / "a.mat", TWO_PARTS)
    pairs = write(tmp_path / "b.pkl", dict(zip(NAMES, VECTORS, strict=True)))
    np.save(tmp_path / "c.npy", VECTORS)
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(
        ValueError,
        match=r"a \.mat file with query and gallery: say which with --part query or --part gallery",
    ):
        read_toolkit_features(both)
    with pytest.raises(
        ValueError, match=r"a\.mat: is a \.mat file with query and gallery: leave out --list"
    ):
        read_toolkit_features(both, part="query", names=tmp_path / "names.txt")
    with pytest.raises(ValueError, match=r"b\.pkl: has no parts: leave out --part"):
        read_toolkit_features(pairs, part="query")
    with pytest.raises(ValueError, match=r"c\.npy: has no parts"):
        read_toolkit_features(tmp_path / "c.npy", part="query", names=tmp_path / "names.txt")
    with pytest.raises(ValueError, match=r"b\.pkl: has its names in it: leave out --list"):
        read_toolkit_features(pairs, names=tmp_path / "names.txt")


@pytest.mark.parametrize("name", ["a.pkl", "a.pth"])
def test_a_pickle_that_carries_code_is_refused_and_nothing_runs(tmp_path: Path, name: str):
    file = write(tmp_path / name, {**TWO_PARTS, "query_cam": Calls(tmp_path / "made")})
    with pytest.raises(
        ValueError, match=r"it asks for posix\.mkdir, and only arrays.*nothing in it was run"
    ):
        read_toolkit_features(file, part="query")
    assert not (tmp_path / "made").exists()
    np.save(tmp_path / "o.npy", np.array([Calls(tmp_path / "made")]), allow_pickle=True)
    (tmp_path / "names.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"o\.npy: it holds Python objects"):
        read_toolkit_features(tmp_path / "o.npy", names=tmp_path / "names.txt")
    assert not (tmp_path / "made").exists()


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("1,2\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.pkl").write_text("hello")
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    for name, message in (
        ("a.csv", "none of the feature files that are known"),
        ("empty", r"no \.npy files in it"),
        ("a.pkl", "a damaged pickle, or no pickle at all"),
        ("a.npz", r"a\.npz: it asks for x\.npy, being a zip file of something else"),
        ("gone.mat", "No such file"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            read_toolkit_features(tmp_path / name)
        assert "\n" not in str(caught.value)
