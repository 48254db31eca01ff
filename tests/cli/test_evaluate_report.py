from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.cli import main
from graphreid.datasets.manifest import Manifest, write_manifest
from graphreid.features.features_file import save_features
from tests.support import labelled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """q.npz and g.npz with camera names and paths, and a data folder with an image for each row."""
    data = tmp_path / "data"
    data.mkdir()
    columns: dict[str, list[str]] = {
        "item": [],
        "path": [],
        "identity": [],
        "camera": [],
        "split": [],
    }
    for (features, labels), split in zip(
        labelled(0, queries=20, images=60), ("query", "gallery"), strict=True
    ):
        assert labels.camera is not None
        items = features.items.tolist()
        paths = [f"{item}.png" for item in items]
        cameras = [f"gate {camera}" for camera in labels.camera.tolist()]
        given = {
            "identity": labels.identity,
            "camera": np.array(cameras),
            "item": features.items,
            "path": np.array(paths),
        }
        save_features(tmp_path / f"{split[0]}.npz", features.vectors, given)
        for number, path in enumerate(paths):
            Image.new("RGB", (16, 32), (number, 90, 200)).save(data / path)
        for name, values in zip(
            columns,
            (items, paths, map(str, labels.identity), cameras, [split] * len(items)),
            strict=True,
        ):
            columns[name].extend(values)
    item, path, identity, camera, split = (np.array(values) for values in columns.values())
    write_manifest(Manifest(data, item, path, identity, camera, split, np.full(80, "normal")), data)
    return tmp_path


def run(folder: Path, *more: str | Path) -> int:
    files = ["--query", folder / "q.npz", "--gallery", folder / "g.npz"]
    return main(
        [
            str(part)
            for part in [
                "evaluate",
                *files,
                "--method",
                "cosine",
                "--method",
                "k-reciprocal:k1=5",
                *more,
            ]
        ]
    )


@pytest.mark.parametrize("source", ["--data", "--images"])
def test_a_report_with_pictures(
    folder: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = folder / "r.html"
    assert (
        run(
            folder,
            "--report",
            page,
            source,
            folder / "data",
            "--json",
            folder / "r.json",
            "--title",
            "Of a test",
        )
        == 0
    )
    text = page.read_text()
    assert text.count("data:image/webp") > 20
    assert "<h1>Of a test</h1>" in text
    assert "gate 2" in text
    assert 'class="name">image' in text
    assert (folder / "r.json").exists()
    assert "r.html: " in capsys.readouterr().out


def test_a_report_without_pictures(folder: Path) -> None:
    assert run(folder, "--report", folder / "r.html") == 0
    text = (folder / "r.html").read_text()
    assert "data:image" not in text
    assert ".png</span>" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data", "data"], "add --report"),
        (["--report", "r.html", "--data", "data", "--images", "data"], "give one of them"),
        (["--report", "no/r.html"], "cannot write"),
        (["--json", "no/r.json"], "cannot write"),
        (["--report", "data"], "is a folder"),
        (["--report", "r.html", "--images", "no"], "no image is there, such as no"),
        (["--report", "r.html", "--data", "other"], "none of the items"),
    ],
)
def test_what_can_not_be_is_said_in_one_line(
    folder: Path,
    options: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "other").mkdir()
    one = np.array(["x"])
    write_manifest(
        Manifest(folder / "other", one, one, one, None, np.array(["query"]), np.array(["normal"])),
        folder / "other",
    )
    assert run(folder, *options) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (folder / "r.html").exists()


def test_a_chain_that_gives_distances_has_no_map_of_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(25), 4)
    centres = rng.standard_normal((25, 8))
    for name in ("query", "gallery"):
        vectors = (centres[identity] + 0.3 * rng.standard_normal((100, 8))).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", vectors=vectors, identity=identity)
    files = ["--query", str(tmp_path / "query.npz"), "--gallery", str(tmp_path / "gallery.npz")]
    page = tmp_path / "r.html"
    methods = ["--method", "cosine", "--method", "aqe", "--method", "aqe+k-reciprocal:k1=8"]
    assert main(["evaluate", *files, *methods, "--report", str(page)]) == 0
    text = page.read_text()
    assert "after aqe" in text
    assert "after aqe+k-reciprocal" not in text
