"""The list of commands: each is there, is what its line says, and stands in README."""

import inspect
import re
from pathlib import Path

import pytest
import typer

from ocrlty_pipeline.cli.app import COMMANDS, run

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_the_help_lists_every_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert re.search(rf"\b{name}\b\s+{re.escape(command.help)}", shown), name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_line_says_what_the_command_says_of_itself(name):
    command = COMMANDS[name]
    loaded = command.load()
    said = loaded.info.help if isinstance(loaded, typer.Typer) else inspect.getdoc(loaded)
    assert said.split()[0] == command.help.split()[0]
    assert command.help.endswith(".")


def test_readme_has_a_row_for_each_command_with_its_line():
    rows = dict(re.findall(r"^\| `ocrlty ([a-z]+)[^|]*` \| (.*) \|$", README, re.MULTILINE))
    assert rows == {name: command.help for name, command in COMMANDS.items()}
