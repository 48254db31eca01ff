import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io

from graphreid.cli import main
from graphreid.cli.features import features
from graphreid.features.features_file import load_columns, load_features, load_vectors

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
TABLE = """identity,camera,item,path,seen,other
7,c1,a,a.jpg,true,x
-1,c2,b,b.jpg,false,y
8,c1,c,c.jpg,1,z
"""


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    np.save(tmp_path / "x.npy", VECTORS)
    (tmp_path / "x.csv").write_text(TABLE)
    return {"vectors": tmp_path / "x.npy", "table": tmp_path / "x.csv", "out": tmp_path / "f.npz"}


def test_a_table_by_its_names(given: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    features(**given)
    read, labels = load_features(given["out"])
    assert (read.vectors == VECTORS).all()
    assert read.items.tolist() == ["a", "b", "c"]
    assert labels.identity.tolist() == [7, -1, 8]
    assert labels.role.tolist() == [0, 1, 0]
    columns = load_columns(given["out"])
    assert columns["camera"].tolist() == ["c1", "c2", "c1"]
    assert columns["path"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert columns["seen"].tolist() == [True, False, True]
    assert (
        "3 vectors of width 4, with identity, camera, item, path, seen" in capsys.readouterr().out
    )


def test_named_columns_and_a_parquet_table(given: dict[str, Any], tmp_path: Path):
    table = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"pid": ["007", "x", "x"], "cam": [3, 1, 2], "file": ["a", "b", "c"]}), table
    )
    features(
        vectors=given["vectors"],
        table=table,
        out=tmp_path / "g",
        identity="pid",
        camera="cam",
        path="file",
    )
    columns = load_columns(tmp_path / "g")
    assert columns["identity"].tolist() == ["007", "x", "x"]
    assert columns["camera"].tolist() == [3, 1, 2]
    assert "item" not in columns


@pytest.mark.parametrize("kind", ["npz", "csv", "csv with a header", "txt", "float64"])
def test_vectors_of_other_kinds(given: dict[str, Any], tmp_path: Path, kind: str):
    if kind == "npz":
        file = tmp_path / "v.npz"
        np.savez(file, anything=VECTORS)
    elif kind == "float64":
        file = tmp_path / "v.npy"
        np.save(file, VECTORS.astype(np.float64))
    else:
        file = tmp_path / f"v.{kind[:3]}"
        header = "a,b,c,d" if "header" in kind else ""
        np.savetxt(
            file,
            VECTORS,
            delimiter=" " if kind == "txt" else ",",
            header=header,
            comments="",
            fmt="%.9g",
        )
    features(vectors=file, table=given["table"], out=given["out"])
    assert (load_features(given["out"])[0].vectors == VECTORS).all()


def test_a_table_is_not_needed(given: dict[str, Any]):
    features(vectors=given["vectors"], out=given["out"])
    assert len(load_vectors(given["out"])) == 3


def test_lengths_are_compared(given: dict[str, Any]):
    given["table"].write_text(TABLE + "9,c1,d,d.jpg,0,z\n")
    with pytest.raises(ValueError, match=r"x\.csv: 4 rows for 3 vectors"):
        features(**given)
    assert not given["out"].exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": "pid"}, r"x\.csv: no column 'pid' \(--identity\); it has identity, camera"),
        ({"item": "identity"}, ""),
        ({"item": "camera"}, r"x\.npy: item .*c1.* stands in rows 0 and 2"),
        ({"table": None, "camera": "c"}, "a column is named and no table is given"),
        ({"table": Path("gone.csv")}, r"gone\.csv: No such file"),
        ({"vectors": Path("gone.npy")}, r"gone\.npy: No such file"),
        ({"out": Path("no/such/f.npz")}, "cannot write no/such/f.npz: No such file"),
    ],
)
def test_bad_options_are_named(given: dict[str, Any], change: dict[str, Any], message: str):
    if not message:
        features(**{**given, **change})
        return
    with pytest.raises(ValueError, match=message):
        features(**{**given, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identity\na\n\n \nb\n", "identity is empty in row 1"),
        ("identity,role\na,normal\nb,bad\nc,junk\n", r"x\.csv: role is .*'bad'.* in row 1"),
        ("identity,seen\na,1\nb,maybe\nc,0\n", "seen is 'maybe' in row 1: true or false"),
    ],
)
def test_bad_tables_are_named(given: dict[str, Any], text: str, message: str):
    given["table"].write_text(text)
    with pytest.raises(ValueError, match=message):
        features(**given)


def test_bad_vectors_are_named(given: dict[str, Any], tmp_path: Path):
    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            features(**given)

    bad = VECTORS.copy()
    bad[1, 2] = np.inf
    np.save(given["vectors"], bad)
    refused(r"x\.npy: vectors has NaN or infinity in row 1")
    np.save(
        given["vectors"], VECTORS.astype(np.float64) * 1e300
    )  # and no warning of NumPy's beside it
    refused(r"x\.npy: vectors has NaN or infinity in row")
    bad[1] = 0
    np.save(given["vectors"], bad)
    refused(r"x\.npy: vectors is all zeros in row 1")
    features(**given, zero="keep")
    np.save(given["vectors"], VECTORS[0])
    refused(r"x\.npy: needs one vector a row")
    given["vectors"] = tmp_path / "v.npz"
    np.savez(given["vectors"], a=VECTORS, b=VECTORS)
    refused(r"v\.npz: holds a, b: give a file with one array")
    given["vectors"] = tmp_path / "v.csv"
    given["vectors"].write_text("1,2\n3,x\n5,6\n")
    refused(r"v\.csv: not a table of numbers")
    given["vectors"].write_text("1,2\n3\n5,6\n")
    refused(r"v\.csv: not a table of numbers")
    given["vectors"].write_text("a,b\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused("3 rows for 0 vectors")


def test_the_command(given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = [
        word for name in ("vectors", "table", "out") for word in (f"--{name}", str(given[name]))
    ]
    assert main(["features", *words, "--camera", "other"]) == 0
    assert load_columns(given["out"])["camera"].tolist() == ["x", "y", "z"]
    capsys.readouterr()
    assert main(["features", *words, "--camera", "none"]) == 2
    assert capsys.readouterr().err.startswith(
        f"graphreid: {tmp_path}/x.csv: no column 'none' (--camera)"
    )


@pytest.fixture
def result(tmp_path: Path) -> Path:
    fields: dict[str, Any] = {
        "gallery_f": VECTORS,
        "gallery_label": [-1, 0, 2],
        "gallery_cam": [1, 2, 3],
    }
    fields |= {"query_f": VECTORS[:1], "query_label": [2], "query_cam": [1]}
    scipy.io.savemat(tmp_path / "pytorch_result.mat", fields)
    return tmp_path / "pytorch_result.mat"


def test_another_toolkits_file_in_two_parts(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for part in ("query", "gallery"):
        assert (
            main(
                [
                    "features",
                    "--from",
                    str(result),
                    "--part",
                    part,
                    "--out",
                    str(tmp_path / f"{part}.npz"),
                ]
            )
            == 0
        )
    assert "1 vectors of width 4, with identity, camera:" in capsys.readouterr().out
    gallery, labels = load_features(tmp_path / "gallery.npz")
    assert (gallery.vectors == VECTORS).all()
    assert labels.identity.tolist() == [-1, 0, 2]
    assert labels.role.tolist() == [1, 0, 0]  # bare labels: -1 is junk, no number is a distractor


@pytest.mark.parametrize("names", [None, "market"])
def test_names_are_read_only_when_asked(tmp_path: Path, names: Any):
    paths = ["d/0002_c1s1_000451_03.jpg", "d/-1_c2s1_000401_03.jpg", "d/0000_c6s1_000151_01.jpg"]
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(dict(zip(paths, VECTORS, strict=True))))
    features(source=tmp_path / "f.pkl", out=tmp_path / "f.npz", names=names)
    columns = load_columns(tmp_path / "f.npz")
    assert columns["path"].tolist() == columns["item"].tolist() == paths
    if names is None:
        assert set(columns) == {"item", "path"}
    else:
        assert columns["identity"].tolist() == [2, -1, 0]
        assert load_features(tmp_path / "f.npz")[1].role.tolist() == [0, 1, 2]


def test_an_npy_file_with_a_list(given: dict[str, Any], tmp_path: Path):
    (tmp_path / "names.txt").write_text("0001_c1.jpg\n0002_c2.jpg\n0003_c3.jpg\n")
    words = [
        "--from",
        str(given["vectors"]),
        "--list",
        str(tmp_path / "names.txt"),
        "--names",
        "market",
    ]
    assert main(["features", *words, "--out", str(given["out"])]) == 0
    assert load_columns(given["out"])["camera"].tolist() == [1, 2, 3]


def test_options_of_the_two_ways_are_not_mixed(
    given: dict[str, Any], result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    vectors, table = ["--vectors", str(given["vectors"])], ["--table", str(given["table"])]
    for words, message in (
        (
            [],
            "give the vectors with --vectors, or another toolkit's file with --from: one of the "
            "two",
        ),
        ([*vectors, "--from", str(result)], "one of the two"),
        (["--from", str(result), *table], "a table and its columns go with --vectors"),
        (["--from", str(result), "--camera", "c"], "a table and its columns go with --vectors"),
        ([*vectors, "--part", "query"], "--part, --list and --names go with --from"),
        ([*vectors, "--names", "market"], "--part, --list and --names go with --from"),
        (["--from", str(result)], "say which with --part query or --part gallery"),
        (
            ["--from", str(result), "--part", "query", "--names", "market"],
            "which has no names: leave out --names",
        ),
        (["--from", f"{tmp_path}/gone.mat", "--part", "query"], "gone.mat: No such file"),
    ):
        assert main(["features", *words, "--out", str(given["out"])]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not given["out"].exists()


def test_bad_vectors_of_another_toolkit_are_named(tmp_path: Path):
    vectors = VECTORS.copy()
    vectors[1] = 0
    (tmp_path / "f.pkl").write_bytes(
        pickle.dumps({f"{row}.jpg": vector for row, vector in enumerate(vectors)})
    )
    with pytest.raises(ValueError, match=r"f\.pkl: vectors is all zeros in row 1"):
        features(source=tmp_path / "f.pkl", out=tmp_path / "f.npz")
    features(source=tmp_path / "f.pkl", out=tmp_path / "f.npz", zero="keep")
