"""What Dagster knows of the runs before this one: which of them it retries, and whether they still go on."""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import RETRY_NUMBER_TAG

from ocrlty_pipeline.batches.journal import Execution
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT_SHARDED


def retried_runs(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, ...]:
    """Ids of the runs that Dagster retries with this one, the latest first; none where a person launched it again."""
    retried: list[str] = []
    current: dg.DagsterRun | None = run
    while current is not None and RETRY_NUMBER_TAG in current.tags and current.parent_run_id is not None:
        retried.append(current.parent_run_id)
        current = instance.get_run_by_id(current.parent_run_id)
    return tuple(retried)


def execution_of(instance: dg.DagsterInstance, dagster_run_id: str) -> Execution:
    """What is known of the batch that a Dagster run executes.

    Of one in a single process, its lock tells more than Dagster; one in shards lives on between them, without a lock.
    """
    run = instance.get_run_by_id(dagster_run_id)
    if run is None:
        return "unknown"
    if run.is_finished:
        return "ended"
    if run.job_name != BATCH_EXTRACT_SHARDED:
        return "unknown"
    health = instance.run_launcher.check_run_worker_health(run)
    return "unknown" if health.status is WorkerStatus.FAILED else "goes_on"
