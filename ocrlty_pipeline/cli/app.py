"""The `ocrlty` command and how its errors end: one clear sentence and exit code 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from ocrlty_pipeline.cli import comparing, exports, images, reports, runs, service
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.errors import OcrltyError

app = typer.Typer(
    help="Receipts and invoices to JSON: import image sets, run tasks over them, evaluate the results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("import")(images.import_)
app.command("reindex")(images.reindex)
app.command("run")(runs.run)
app.command("export")(exports.export)
app.command("report")(reports.report)
app.command("compare")(comparing.compare)
app.command("gate")(comparing.gate_)
app.command("baseline")(comparing.baseline)
app.command("leaderboard")(comparing.leaderboard)
app.command("up")(service.up)
app.command("env")(service.env)
app.command(
    "dagster", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(service.dagster)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answers its exit code. Errors raised on purpose are told without a traceback."""
    try:
        app(list(arguments))
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
