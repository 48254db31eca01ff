"""What docs/gallery.md says runs."""

import re
import shlex
from pathlib import Path

import pytest

from graphreid.cli import app, main
from graphreid.features.features_file import save_features
from tests.conftest import ROOT
from tests.support import labelled

PAGE = (ROOT / "docs" / "gallery.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {
        "query": labelled(0, queries=30)[0],
        "gallery": labelled(0)[1],
        "more": labelled(5, queries=9)[0],
    }
    for name, (features, labels) in parts.items():
        assert labels.camera is not None
        items = (
            [f"{name}{row}" for row in range(len(features))] if name == "more" else features.items
        )
        columns = {"item": items, "identity": labels.identity, "camera": labels.camera}
        save_features(tmp_path / f"{name}.npz", features.vectors, columns)
    monkeypatch.chdir(tmp_path)
    words = [
        shlex.split(line, comments=True)
        for block in blocks("console")
        for line in block.splitlines()
    ]
    ran = [line[2] for line in words if line[1] == "gallery" and main(line[1:]) == 0]
    assert ran == [
        "create",
        "info",
        "calibrate",
        "search",
        "search",
        "explain",
        "add",
        "remove",
        "export",
    ], capsys.readouterr().err
    app.parse_args(words[-1][1:], exit_on_error=False, print_error=False)
    for block in blocks("python"):
        exec(compile(block, "gallery.md", "exec"), {})
    assert "query0" in capsys.readouterr().out
