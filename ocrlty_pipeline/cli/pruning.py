"""`ocrlty prune`: what is old and no longer needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import dagster as dg
import typer
from rich import box
from rich.filesize import decimal
from rich.table import Table

from ocrlty_pipeline.cli.output import print_table, say
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.orchestration.retention import delete_runs, forget_image_sets, in_use, is_active, old_runs
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.pruning.execution import Amount, Pruned, prune, survey
from ocrlty_pipeline.pruning.inputs import going_sets
from ocrlty_pipeline.pruning.plan import Plan, Retention, check_runs, planned
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings

DAYS = {"d": 1, "w": 7}
DAGSTER_RUNS = "Dagster runs"
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
    before = datetime.now(UTC) - age(older_than)
    with _opened() as (services, instance):
        check_runs(services.engine, keep or ())
        retention = _retention(instance, before, keep_runs, keep or ())
        with planned(services.engine, retention) as plan:
            pruning = _Pruning(services, instance, plan)
            amounts = pruning.survey()
            print_table(_table(amounts))
            if not yes:
                say("Nothing is removed; add --yes to remove this.")
                return
            _report(pruning.carry_out())


def age(text: str) -> timedelta:
    """
    Raises:
        InputError: it is no number of days or weeks.
    """
    match = _AGE.match(text)
    if match is None:
        raise InputError(f"--older-than {text!r} is no age: give days or weeks, at least one, such as 90d or 12w.")
    return timedelta(days=int(match[1]) * DAYS[match[2]])


@dataclass(frozen=True, slots=True)
class _Pruning:
    """Our part and Dagster's, of one plan."""

    services: Services
    instance: dg.DagsterInstance
    plan: Plan

    def survey(self) -> dict[str, Amount]:
        amounts = asyncio.run(survey(self.services.store, self.plan))
        return {**amounts, DAGSTER_RUNS: Amount(sum(map(len, self._dagster_runs(going_sets(self.plan)))))}

    def carry_out(self) -> tuple[Pruned, int]:
        done = asyncio.run(prune(self.services, self.plan, self._is_active))
        forget_image_sets(self.instance, done.image_sets)
        count = 0
        for page in self._dagster_runs():
            delete_runs(self.instance, page)
            count += len(page)
        return done, count

    def _dagster_runs(self, gone: list[str] | None = None) -> Iterator[list[str]]:
        return old_runs(self.instance, self.plan.retention.before, self.plan.kept_dagster_runs, gone or [])

    async def _is_active(self, run_id: str) -> bool:
        return await asyncio.to_thread(is_active, self.instance, run_id)


@contextmanager
def _opened() -> Iterator[tuple[Services, dg.DagsterInstance]]:
    with (
        running_stack(load_settings()) as settings,
        open_services(settings) as services,
        dagster_instance() as instance,
    ):
        pool_connections(instance)
        yield services, instance


def _retention(instance: dg.DagsterInstance, before: datetime, newest: int, keep: list[str] | tuple[()]) -> Retention:
    used = in_use(instance)
    return Retention(before=before, newest=newest, runs=used.runs.union(keep), image_sets=used.image_sets)


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
