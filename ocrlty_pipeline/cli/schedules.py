"""`ocrlty schedule`: image sets that are run again at set times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from ocrlty_pipeline.cli.output import print_table, say
from ocrlty_pipeline.orchestration.cron import check_cron, following
from ocrlty_pipeline.orchestration.stack import running_stack
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings

schedule = typer.Typer(no_args_is_help=True, help="Run image sets again at set times, while `ocrlty up` runs.")


@schedule.command()
def add(
    image_set: Annotated[str, typer.Argument(metavar="SET", help="Name of the image set.")],
    task: Annotated[str, typer.Option(help="What to extract, for example receipt_fields_v1.")],
    cron: Annotated[str, typer.Option(help="Five fields: minute, hour, day, month, weekday, such as '0 3 * * 1'.")],
    *,
    timezone: Annotated[str, typer.Option(help="Time zone of the hours, such as Europe/Berlin.")] = "UTC",
    name: Annotated[str | None, typer.Option(help="Name of the schedule; the default is SET-TASK.")] = None,
) -> None:
    """Schedule an image set."""
    check_cron(cron, timezone)
    with _services() as services:
        _ = services.tasks[task]
        asyncio.run(services.image_sets.load(image_set))
        entry = services.rerun_schedules.add(
            name or f"{image_set}-{task}", image_set=image_set, task_id=task, cron=cron, timezone=timezone
        )
    say(f"{entry.name}: next at {_next(entry.cron, entry.timezone)}.")


@schedule.command("list")
def list_() -> None:
    """Show what is scheduled, and when it is next due."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("schedule", "image set", "task", "cron", "next"):
        table.add_column(column)
    with _services() as services:
        for entry in services.rerun_schedules.all():
            due = _next(entry.cron, entry.timezone) if entry.active else "paused"
            table.add_row(entry.name, entry.image_set, entry.task_id, f"{entry.cron} {entry.timezone}", due)
    print_table(table)


@schedule.command()
def pause(name: Annotated[str, typer.Argument(help="Name of the schedule.")]) -> None:
    """Start no more runs of a schedule until it is resumed."""
    with _services() as services:
        services.rerun_schedules.set_active(name, False)
    say(f"{name} is paused.")


@schedule.command()
def resume(name: Annotated[str, typer.Argument(help="Name of the schedule.")]) -> None:
    """Go on with a paused schedule; times that passed meanwhile are not made up for."""
    with _services() as services:
        services.rerun_schedules.set_active(name, True)
    say(f"{name} is active.")


@schedule.command()
def remove(name: Annotated[str, typer.Argument(help="Name of the schedule.")]) -> None:
    """Forget a schedule; its runs stay."""
    with _services() as services:
        services.rerun_schedules.remove(name)
    say(f"{name} is removed.")


@contextmanager
def _services() -> Iterator[Services]:
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        yield services


def _next(cron: str, timezone: str) -> str:
    return f"{following(cron, timezone, datetime.now(UTC)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
