"""`ocrlty prune`: what is old and no longer needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import dagster as dg
import typer
from rich import box
from rich.filesize import decimal
from rich.table import Table

from ocrlty_pipeline.cli.output import print_table, say
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.orchestration.pruning import DAGSTER_RUNS, planned
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.pruning.execution import Amount, Pruned
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings

DAYS = {"d": 1, "w": 7}
_AGE = re.compile(r"([1-9][0-9]{0,4})([dw])\Z")


def prune_(
    older_than: Annotated[str, typer.Option(help="Age from which things go, such as 90d or 12w.")],
    *,
    keep_runs: Annotated[
        int, typer.Option(min=1, help="So many of the last runs of each image set and task stay.")
    ] = 1,
    keep: Annotated[list[str] | None, typer.Option(metavar="RUN_ID", help="A run that stays; may be repeated.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, only tell what would go.")] = False,
) -> None:
    """Remove old runs and what only they need; tells what would go unless --yes is given."""
    limit = age(older_than)
    with (
        _opened() as (services, instance),
        planned(services, instance, limit, newest=keep_runs, keep=keep or ()) as pruning,
    ):
        print_table(_table(pruning.survey()))
        if yes:
            _report(pruning.carry_out())
        else:
            say("Nothing is removed; add --yes to remove this.")


def age(text: str) -> timedelta:
    """
    Raises:
        InputError: it is no number of days or weeks.
    """
    match = _AGE.match(text)
    if match is None:
        raise InputError(f"--older-than {text!r} is no age: give days or weeks, at least one, such as 90d or 12w.")
    return timedelta(days=int(match[1]) * DAYS[match[2]])


@contextmanager
def _opened() -> Iterator[tuple[Services, dg.DagsterInstance]]:
    with (
        running_stack(load_settings()) as settings,
        open_services(settings) as services,
        dagster_instance() as instance,
    ):
        pool_connections(instance)
        yield services, instance


def _table(amounts: dict[str, Amount]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("to go")
    for column in ("count", "size"):
        table.add_column(column, justify="right")
    for label, amount in amounts.items():
        table.add_row(label, str(amount.count), decimal(amount.bytes) if label != DAGSTER_RUNS else "-")
    return table


def _report(outcome: tuple[Pruned, int]) -> None:
    done, dagster_runs = outcome
    say(
        f"Removed: {done.runs} batch runs, {done.extracts} single extracts, {done.pages} report pages, "
        f"{len(done.image_sets)} image sets of uploads, {done.inputs} inputs, {dagster_runs} Dagster runs."
    )
    for run_id in done.active:
        say(f"  {run_id} stays: a job of it goes on.")
