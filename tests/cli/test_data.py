import json
from pathlib import Path

import pytest
from PIL import Image

from graphreid.cli import main
from graphreid.datasets.manifest import read_manifest
from tests.datasets.published.trees import CUHK, DUKE, MARKET, VERI, msmt, tree


def run(*words: str | Path) -> int:
    return main(["data", *(str(word) for word in words)])


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for identity in range(6):
        (folder / f"id{identity}").mkdir(parents=True)
        for camera in (1, 2):
            Image.new("RGB", (8, 8), (identity, camera, 0)).save(
                folder / f"id{identity}/x_c{camera}.jpg"
            )
    return folder


def test_import_and_check(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "data"
    options = ("--camera-pattern", r"_c(\d)", "--test-share", "0.34", "--seed", "1")
    assert run("import", "folder", source, "--out", out, *options) == 0
    assert f"12 images in {out}" in capsys.readouterr().out
    manifest = read_manifest(out)
    assert (manifest.split == "query+gallery").sum() == 4
    assert manifest.camera is not None
    assert run("check", out, "--json", tmp_path / "findings.json") == 0
    printed = capsys.readouterr().out
    assert "query+gallery" in printed
    assert "identities in train and test" in printed
    findings = json.loads((tmp_path / "findings.json").read_text())
    assert findings["ok"] is True
    assert [split["images"] for split in findings["splits"]] == [8, 4]


def test_public_sets_are_imported_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sets = {"market1501": MARKET, "dukemtmc-reid": DUKE, "veri-776": VERI}
    for name, files in sets.items():
        assert (
            run("import", name, tree(tmp_path / name, files), "--out", tmp_path / f"out {name}")
            == 0
        )
        printed = capsys.readouterr().out
        assert "warning: the counts are not those of the published" in printed
        assert ("was withdrawn by its authors in 2019" in printed) == (name == "dukemtmc-reid")
        assert run("check", tmp_path / f"out {name}") == 0
    capsys.readouterr()
    cuhk = tree(tmp_path / "cuhk", [f"labeled/{name}" for name in CUHK])
    assert (
        run("import", "cuhk03-np", cuhk, "--out", tmp_path / "cuhk out", "--boxes", "labeled") == 0
    )
    assert "labeled: labeled boxes" in capsys.readouterr().out
    assert (
        run(
            "import",
            "msmt17",
            msmt(tmp_path / "msmt"),
            "--out",
            tmp_path / "msmt out",
            "--join-val",
        )
        == 0
    )
    assert "6 images in" in capsys.readouterr().out
    assert run("check", tmp_path / "msmt out") == 0  # identities of train and test are told apart


def test_skipping_is_told(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]):
    (source / "id0/x_c1.jpg").write_bytes(b"broken")
    (source / "id1/notes.txt").write_text("")
    assert run("import", "folder", source, "--out", tmp_path / "data") == 2
    assert "id0/x_c1.jpg: not a readable image" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert run("import", "folder", source, "--out", tmp_path / "data", "--on-error", "skip") == 0
    printed = capsys.readouterr().out
    assert "1 files without an image's extension were left out" in printed
    assert f"1 skipped: listed in {tmp_path}/data/skipped.txt" in printed
    assert "11 images in" in printed


def test_check_fails_on_errors_and_shows_them(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
):
    run("import", "folder", source, "--out", tmp_path / "data")
    for file in sorted((tmp_path / "data/images").rglob("*.jpg"))[:7]:
        file.unlink()
    assert run("check", tmp_path / "data") == 1
    printed = capsys.readouterr().out
    assert "missing files" in printed
    assert "images/id0/x_c1.jpg" in printed
    assert "..." in printed
    assert "no cameras in this set" in printed


def test_findings_that_cannot_be_written_are_refused_before_the_images_are_read(
    tmp_path: Path,
    source: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    assert run("import", "folder", source, "--out", tmp_path / "data") == 0

    def look(*_: object, **__: object) -> None:
        pytest.fail("it read the images")

    monkeypatch.setattr("graphreid.cli.data.look", look)
    assert run("check", tmp_path / "data", "--json", tmp_path / "gone/findings.json") == 2
    assert "findings.json: does the folder exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check SOURCE", "no such file: make a data folder"),
        ("import market SOURCE --out NEW", "no set 'market' can be imported"),
        (
            "import omniglot SOURCE --out NEW --camera-pattern x",
            "omniglot has no option --camera-pattern",
        ),
        ("import omniglot SOURCE --out NEW", "neither omniglot.npz nor the folders"),
        ("import grocery SOURCE --out NEW", "neither index.csv nor the folders"),
        ("import folder SOURCE --out SOURCE", "exists already"),
        ("import folder SOURCE --out NEW/deeper", "cannot write"),
        ("import folder SOURCE --out NEW --camera-pattern c9", "has no group"),
        ("import folder SOURCE --out NEW --camera-pattern (z)", "x_c1.jpg: no camera in its name"),
        ("import folder EMPTY --out NEW", "no image is in this identity's folder"),
        ("import market1501 EMPTY --out NEW", "no Market-1501 in it or up to 2 folders below"),
        ("import market1501 SOURCE/gone --out NEW", "gone: No such file"),
        ("import veri-776 SOURCE --out NEW", "no VeRi-776 in it"),
        ("import msmt17 SOURCE --out NEW", "no MSMT17 in it"),
        ("import cuhk03-np SOURCE --out NEW --boxes drawn", "drawn"),
        ("import market1501 SOURCE --out NEW --join-val", "market1501 has no option --join-val"),
        ("import folder SOURCE --out NEW --boxes labeled", "folder has no option --boxes"),
        ("import csv SOURCE/gone.csv --out NEW", "gone.csv: No such file"),
        ("import folder SOURCE --out NEW --test-share 2", "test share is 2.0"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
):
    (tmp_path / "empty/id").mkdir(parents=True)
    places = {"SOURCE": str(source), "NEW": f"{tmp_path}/new", "EMPTY": f"{tmp_path}/empty"}
    for name, place in places.items():
        words = words.replace(name, place)
    before = sorted(tmp_path.rglob("*"))
    assert run(*words.split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before
