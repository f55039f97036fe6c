"""Pruning as one act: our runs, and Dagster's own history; by the command, or as the job `prune` from Dagster's UI."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.orchestration.retention import delete_runs, forget_image_sets, in_use, is_active, old_runs
from ocrlty_pipeline.pruning.execution import Amount, Pruned, prune, survey
from ocrlty_pipeline.pruning.inputs import going_sets
from ocrlty_pipeline.pruning.plan import Plan, Retention, check_runs
from ocrlty_pipeline.pruning.plan import planned as planned_tables
from ocrlty_pipeline.services import Services

DAGSTER_RUNS = "Dagster runs"
JOB = "prune"
NIGHTLY = "15 3 * * *"


@dataclass(frozen=True, slots=True)
class Pruning:
    """Our part and Dagster's, of one plan."""

    services: Services
    instance: dg.DagsterInstance
    plan: Plan

    def survey(self) -> dict[str, Amount]:
        """What would go, by what it is; of Dagster's runs the number only."""
        amounts = asyncio.run(survey(self.services.store, self.plan))
        return {**amounts, DAGSTER_RUNS: Amount(sum(map(len, self._dagster_runs(going_sets(self.plan)))))}

    def carry_out(self) -> tuple[Pruned, int]:
        """Remove what `survey`, which is called first, told of; answers with the number of Dagster runs."""
        done = asyncio.run(prune(self.services, self.plan, self._is_active))
        forget_image_sets(self.instance, done.image_sets)
        count = 0
        for page in self._dagster_runs():
            delete_runs(self.instance, page)
            count += len(page)
        return done, count

    def _dagster_runs(self, gone: Iterable[str] = ()) -> Iterator[list[str]]:
        return old_runs(self.instance, self.plan.retention.before, self.plan.kept_dagster_runs, tuple(gone))

    async def _is_active(self, run_id: str) -> bool:
        return await asyncio.to_thread(is_active, self.instance, run_id)


@contextmanager
def planned(
    services: Services, instance: dg.DagsterInstance, age: timedelta, *, newest: int, keep: Iterable[str] = ()
) -> Iterator[Pruning]:
    """What is older than `age` and not needed, as long as the block lasts.

    Args:
        services: the domain's objects.
        instance: Dagster's; what its active runs work on stays.
        age: from which things go.
        newest: so many of the last runs of each image set and task stay.
        keep: ids of runs that stay.

    Raises:
        InputError: a run that is to stay does not exist.
        StorageError: the index is to be rebuilt first.
    """
    named, used = list(keep), in_use(instance)
    check_runs(services.engine, named)
    retention = Retention(
        before=datetime.now(UTC) - age, newest=newest, runs=used.runs.union(named), image_sets=used.image_sets
    )
    with planned_tables(services.engine, retention) as plan:
        yield Pruning(services, instance, plan)


class PruneConfig(dg.Config):
    """What goes and what stays."""

    older_than_days: int = Field(default=90, ge=1, description="Age from which things go, in days.")
    keep_runs: int = Field(default=1, ge=1, description="So many of the last runs of each image set and task stay.")
    keep: list[str] = Field(default=[], description="Ids of runs that stay.")
    dry_run: bool = Field(default=True, description="Only tell what would go.")


@dg.op(out=dg.Out(dg.Nothing), description="Remove old runs and what only they need, Dagster's own history included.")
def remove_old(context: dg.OpExecutionContext, config: PruneConfig) -> None:
    age = timedelta(days=config.older_than_days)
    with (
        as_dagster_failures(),
        planned(process_services(), context.instance, age, newest=config.keep_runs, keep=config.keep) as pruning,
    ):
        amounts = pruning.survey()
        for label, amount in amounts.items():
            context.log.info("%s to go: %d, %d bytes", label, amount.count, amount.bytes)
        if not config.dry_run:
            done, _ = pruning.carry_out()
            context.log.info("Removed; active runs that stay: %s", ", ".join(done.active) or "none")
    context.add_output_metadata(
        {"removed": not config.dry_run, **{label: amount.count for label, amount in amounts.items()}}
    )


@dg.job(
    name=JOB,
    executor_def=dg.in_process_executor,
    description="Tell what is old and no longer needed; with dry_run false, remove it.",
)
def prune_job() -> None:
    remove_old()


@dg.schedule(
    name="nightly_prune",
    job=prune_job,
    cron_schedule=NIGHTLY,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Removes what is older than PRUNE_OLDER_THAN_DAYS, but for the last PRUNE_KEEP_RUNS runs of each image "
    "set and task. Stopped until somebody starts it.",
)
def nightly_prune(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    settings = process_services().settings
    config = {
        "older_than_days": settings.prune_older_than_days,
        "keep_runs": settings.prune_keep_runs,
        "dry_run": False,
    }
    return dg.RunRequest(run_config={"ops": {"remove_old": {"config": config}}})
