"""The README's code runs, every command is documented, and docs/commands.md is what the commands
say of themselves.
"""

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import baselines, table
from graphreid.cli import app, command_of, main
from graphreid.methods import METHODS
from tests.conftest import ROOT
from tests.support import labelled

COMMANDS = ROOT / "docs" / "commands.md"
README = (ROOT / "README.md").read_text()


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, as its words."""
    for name in app:
        if name.startswith("-"):
            continue
        inner = (
            [word for word in app[name] if not word.startswith("-")]
            if name in ("data", "gallery", "papers")
            else []
        )
        yield from ((name, word) for word in inner) if inner else [(name,)]


def reference() -> str:
    """What docs/commands.md holds."""
    parts = ["# Commands\n\nWritten by `python -m tests.test_docs` from the commands' own help.\n"]
    for words in commands():
        text = io.StringIO()
        command_of(words)
        app.help_print(
            list(words),
            console=Console(file=text, width=100, force_terminal=False, color_system=None),
        )
        lines = [line.rstrip() for line in text.getvalue().splitlines()]
        parts.append(
            f"## {' '.join(words)}\n\n```text\n" + "\n".join(lines).strip("\n") + "\n```\n"
        )
    return "\n".join(parts)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def lines() -> list[list[str]]:
    """Command lines of the README."""
    found = [
        line.split("#")[0].strip() for block in blocks("console") for line in block.splitlines()
    ]
    return [shlex.split(line) for line in found if line.startswith("graphreid ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README speaks of."""
    for name, (features, labels) in zip(("query", "gallery"), labelled(0), strict=True):
        assert labels.camera is not None
        np.savez(
            tmp_path / f"{name}.npz",
            vectors=features.vectors,
            identity=labels.identity,
            camera=labels.camera,
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_md_is_what_the_commands_say() -> None:
    assert COMMANDS.read_text() == reference(), "run: python -m tests.test_docs"


def test_readme_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("\n") >= 2


def test_readme_commands_on_embeddings_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = 0
    for words in lines():
        if words[1] in ("rerank", "evaluate", "methods"):
            assert main(words[1:]) == 0, words
            ran += 1
    assert ran >= 3
    assert (folder / "ranking.npz").exists()
    assert (folder / "r.html").exists()


def test_readme_commands_on_images_are_commands() -> None:
    # the demo runs them; here each must be one that is understood
    for words in lines():
        app.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_every_method_has_a_page_and_a_line_in_the_readme() -> None:
    for name in METHODS:
        assert (ROOT / "docs" / "methods" / f"{name}.md").is_file(), name
        assert f"docs/methods/{name}.md" in README, name


def test_numbers_are_those_of_the_records() -> None:
    assert baselines.page() == baselines.PAGE.read_text(), "run: python -m benchmarks.baselines"
    assert baselines.filled(README) == README, "run: python -m benchmarks.baselines"
    assert table.page() == table.PAGE.read_text(), "run: python -m benchmarks.table"
    for kind, title, about in table.FINDINGS:
        page = (table.HERE / f"{kind}.md").read_text()
        assert table.findings(kind, title, about) == page, "run: python -m benchmarks.table"
    assert table.filled(README) == README, "run: python -m benchmarks.table"


def test_links_lead_somewhere() -> None:
    for page in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith(("http", "mailto")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


if __name__ == "__main__":
    COMMANDS.write_text(reference())
