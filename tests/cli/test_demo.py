from pathlib import Path

import pytest

from graphreid.cli import app, demo, main
from graphreid.methods import METHODS


def commands(monkeypatch: pytest.MonkeyPatch, out: Path, *, failing: str = "") -> list[list[str]]:
    given: list[list[str]] = []

    def noted(command: list[str]) -> int:
        given.append(command)
        return 2 if command[0] == failing else 0

    monkeypatch.setattr(demo, "_run", noted)
    assert main(["demo", "--quick", "--out", str(out)]) == (2 if failing else 0)
    return given


def test_its_commands_are_commands_and_name_every_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = commands(monkeypatch, tmp_path / "demo")
    for command in given:
        app.parse_args(command, exit_on_error=False, print_error=False)
    assert [command[0] for command in given[:2]] == ["data", "train"]
    judged = given[-1]
    named = {Path(word).stem for at, word in enumerate(judged) if judged[at - 1] == "--method"}
    assert named == METHODS.keys() - {"parts"}
    fitted = {command[1] for command in given if command[0] == "fit"}
    assert {"cagcn", "fa-ec-gcn", "ffgnn", "hrnet"} <= fitted


def test_it_ends_where_a_command_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands(monkeypatch, tmp_path / "demo", failing="train")[-1][0] == "train"


def test_a_seed_that_is_none_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seed", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "demo").exists()


def test_another_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "something else" in capsys.readouterr().err
