"""The `ocrlty` command and how its errors end: one clear sentence and exit code 1.

A command's module is imported only when it is the one that was asked for: with Dagster, that takes seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

import typer

from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.errors import OcrltyError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, `module:name` below `ocrlty_pipeline.cli`, and its line in the list of commands.

    The name is a function's, or that of a group of commands.
    """

    place: str
    help: str
    takes_all: bool = False

    def load(self) -> Callable[..., Any] | typer.Typer:
        module, _, name = self.place.partition(":")
        loaded: Callable[..., Any] | typer.Typer = getattr(import_module(f"ocrlty_pipeline.cli.{module}"), name)
        return loaded


_PASSES_ALL = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
COMMANDS = {
    "import": Command("images:import_", "Register a folder as an image set, with its ground truth if there is some."),
    "run": Command("runs:run", "Extract an image set with a task, and score the result where there is ground truth."),
    "extract": Command("remote.extracting:extract", "Extract one image through a running service."),
    "batch": Command("remote.batches:batch", "Extract a folder through a running service."),
    "jobs": Command("remote.jobs:jobs", "List the jobs of a running service, or show, follow or cancel one."),
    "runs": Command("remote.runs:runs", "List the batch runs of a running service, or print one."),
    "compare": Command("comparing:compare", "Tell whether one run is better than another, and where."),
    "gate": Command("comparing:gate_", "Exit with 1 when a run is worse than a baseline by more than may be."),
    "baseline": Command(
        "comparing:baseline", "Set, show or clear the run that later runs of an image set and task are held against."
    ),
    "leaderboard": Command("comparing:leaderboard", "Rank all runs of an image set."),
    "report": Command("reports:report", "Show a run, or two against each other, as a page."),
    "schedule": Command("schedules:schedule", "Run image sets again at set times."),
    "export": Command("exports:export", "Write a run's predictions and scores as CSV, JSON lines or Parquet."),
    "reindex": Command("images:reindex", "Rebuild the index from the stored artifacts, which are the source of truth."),
    "backup": Command(
        "backups:backup", "Write all artifacts, and the rows that only the database has, to one .tar.gz file."
    ),
    "restore": Command("backups:restore", "Put a backup's artifacts and rows back, and rebuild the index."),
    "prune": Command("pruning:prune_", "Remove old runs and what only they need; tells what would go, first."),
    "up": Command("service:up", "Start the database, Dagster, the API, and keep them running until Ctrl-C."),
    "env": Command("service:env", "Print the variables that `dagster` needs beside a running `ocrlty up`."),
    "dagster": Command("service:dagster", "Run the `dagster` command with the database up.", takes_all=True),
}


def build_app(asked_for: str | None) -> typer.Typer:
    """The command line, whole in the command that is asked for and no more than a list of the others."""
    app = typer.Typer(
        help="Receipts and invoices to JSON: import image sets, run tasks over them, evaluate the results.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def _several() -> None:
        """Typer takes a single command for the whole program; ours are always several."""

    for name, command in COMMANDS.items():
        loaded = command.load() if name == asked_for else _not_asked_for
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=name)
        else:
            app.command(name, context_settings=_PASSES_ALL if command.takes_all else None, short_help=command.help)(
                loaded
            )
    return app


def _not_asked_for() -> None:
    """Stands for a command in the list of commands."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answers its exit code. Errors raised on purpose are told without a traceback."""
    asked_for = next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        build_app(asked_for)(list(arguments))
    except OcrltyError as error:
        say(f"Error: {error.message}")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def main() -> NoReturn:
    """The `ocrlty` script.

    It leaves without tearing the interpreter down: threads of the object store's runtime may then still touch Python
    objects, which ended finished commands with SIGABRT now and then. By here every context of ours is closed.
    """
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
