from pathlib import Path

import pytest

from graphreid.cli import main
from graphreid.datasets.manifest import read_manifest

FEW = (
    "--identities",
    "2",
    "--test-identities",
    "2",
    "--images-per-identity",
    "4",
    "--distractors",
    "1",
    "--junk",
    "1",
)


def test_render(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert (
        main(
            [
                "data",
                "render",
                "--out",
                str(out),
                "--difficulty",
                "occluded",
                "--threads",
                "1",
                *FEW,
            ]
        )
        == 0
    )
    assert len(read_manifest(out)) == 8 + 8 + 2 + 1
    assert "19 images in" in capsys.readouterr().out
    assert main(["data", "check", str(out)]) == 0


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert main(["data", "render", "--out", str(out), "--difficulty", "hard"]) == 2
    assert main(["data", "render", "--out", str(out), "--cameras", "1"]) == 2
    assert main(["data", "render", "--out", str(tmp_path / "no" / "set"), *FEW]) == 2
    assert capsys.readouterr().err.count("\n") == 3
    assert not out.exists()
