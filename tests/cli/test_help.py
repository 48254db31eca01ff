"""Every command and every option says in a line what it is, and lists of commands do so without
importing them.
"""

import os
import subprocess
import sys

import pytest
from cyclopts.help.help import docstring_parse

from graphreid.cli import COMMANDS, app, command_of


def test_all_commands_are_in_the_list() -> None:
    names = {word for word in app if not word.startswith("-")}
    inner = {
        f"{name} {word}"
        for name in ("data", "gallery", "papers")
        for word in app[name]
        if not word.startswith("-")
    }
    assert inner | (names - {"data", "gallery", "papers"}) == set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_line_for_the_command_and_each_of_its_options(words: str) -> None:
    command = command_of([*words.split(), "--help"])
    assert command.default_command is not None
    described = docstring_parse(command.help, "markdown").short_description
    assert described == COMMANDS[words][1], (
        "the list of commands says something else than the function's docstring"
    )
    options = command.assemble_argument_collection(parse_docstring=True)
    bare = [
        option.name
        for option in options
        if option.show and not (option.parameter.help or "").strip()
    ]
    assert not bare, f"{words}: options without a line of help"


@pytest.mark.parametrize("group", ["", "data", "gallery", "papers"])
def test_lists_show_each_line_without_importing_a_command(group: str) -> None:
    code = (
        f"import sys; from graphreid.cli import main; main({[*group.split(), '--help']}); "
        f"sys.exit('torch' in sys.modules)"
    )
    wide = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=wide
    )
    shown = {" ".join(line.strip("│ \n").split()) for line in done.stdout.splitlines()}
    for words, (_, line) in COMMANDS.items():
        *within, name = words.split()
        if " ".join(within) == group:
            assert f"{name} {line}" in shown
