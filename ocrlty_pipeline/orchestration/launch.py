"""Create a Dagster run and have it executed, for commands that must work without Dagster's daemon.

The run stands in Dagster like any other: it can be watched and terminated in the UI.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from ocrlty_pipeline.errors import WorkerDiedError
from ocrlty_pipeline.orchestration.code_location import REPOSITORY_TAG, job_code_origin, remote_job_origin, resolved_job
from ocrlty_pipeline.orchestration.partitions import IMAGE_SET
from ocrlty_pipeline.orchestration.progress import told_progress
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool
from ocrlty_pipeline.settings import Settings

WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A job on one partition."""

    job: str
    partition_key: str
    ops: Mapping[str, Mapping[str, Any]]

    @property
    def run_config(self) -> dict[str, Any]:
        return {"ops": {op: {"config": dict(config)} for op, config in self.ops.items()}}


class LaunchedRun:
    """A run that a pool of this process executes."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, pool: WarmPool) -> None:
        self.run_id = run_id
        self._instance = instance
        self._pool = pool

    @property
    def log(self) -> Path | None:
        """File of what the pool's workers print."""
        return self._pool.log

    @property
    def alive(self) -> bool:
        return self._pool.holds(self.run_id)

    def progress(self) -> dict[str, Any] | None:
        """The run's progress as last told; None before the first word."""
        return told_progress(self._instance, self.run_id)

    def record(self) -> dg.DagsterRun:
        run = self._instance.get_run_by_id(self.run_id)
        assert run is not None  # noqa: S101 -- created before it was launched
        return run

    def wait(self) -> dg.DagsterRun:
        """Wait for its end, whatever that is."""
        while self.alive:
            time.sleep(WAIT_S)
        return self.record()

    def cancel(self) -> None:
        """Ask the run to end: what is done stays."""
        run = self.record()
        if not run.is_finished:
            self._instance.report_run_canceling(run)
            self._pool.cancel(self.run_id)

    def kill(self) -> None:
        """End its process at once."""
        self._pool.cancel(self.run_id, grace_s=0)


@contextmanager
def single_worker(instance: dg.DagsterInstance, settings: Settings) -> Iterator[WarmPool]:
    """A pool of one worker, which begins to warm up at once; what it prints goes to a file."""
    log = settings.log_dir / f"worker-{os.getpid()}.log"
    with WarmPool(instance.get_ref(), PoolOptions.from_settings(settings, size=1, log=log)) as pool:
        yield pool


def start_run(instance: dg.DagsterInstance, request: RunRequest, pool: WarmPool) -> LaunchedRun:
    """Create a run and have a pool execute it."""
    run_id = create_run(instance, request)
    pool.submit(run_id)
    return LaunchedRun(instance, run_id, pool)


def create_run(
    instance: dg.DagsterInstance,
    request: RunRequest,
    tags: Mapping[str, str] | None = None,
    *,
    may_be_retried: bool = False,
    run_id: str | None = None,
) -> str:
    """Create a run that nobody executes yet; returns its id.

    Args:
        instance: where it is recorded.
        request: what it executes.
        tags: further tags of the run.
        may_be_retried: whether Dagster's daemon may execute it again, as its tags and its failure say.
        run_id: its id; None for a new one.
    """
    run = instance.create_run_for_job(
        job_def=resolved_job(request.job),
        run_id=run_id,
        run_config=request.run_config,
        tags={**run_tags_of(request), **(tags or {})},
        job_code_origin=job_code_origin(request.job),
        remote_job_origin=remote_job_origin(request.job) if may_be_retried else None,
    )
    return run.run_id


def run_tags_of(request: RunRequest) -> dict[str, str]:
    """The tags that tell Dagster the run's partition and job, and people what it works on."""
    tags = resolved_job(request.job).get_tags_for_partition_key(request.partition_key, selected_asset_keys=None)
    return {**tags, **REPOSITORY_TAG}


def register_image_set(instance: dg.DagsterInstance, name: str) -> None:
    """Make an image set a partition; one that is there stays."""
    instance.add_dynamic_partitions(IMAGE_SET, [name])


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed; `code` is our error's, None where it was none of ours."""

    message: str
    code: str | None = None


def failure_message(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run failed, in words."""
    return run_failure(instance, run).message


def run_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunFailure:
    """Why a run failed, in the words of its first failed step, or of the run itself."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data
        told = failure.user_failure_data
        if told and told.description:
            code = told.metadata.get("code")
            return RunFailure(str(told.description), str(code.value) if code else None)
        if failure.error:
            return RunFailure(_root_cause(failure.error))
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        # No step of it failed, so what executed it did.
        return RunFailure(entry.get_dagster_event().message or "The run failed.", WorkerDiedError.code)
    return RunFailure(f"The run ended as {run.status.value}.")


def _root_cause(error: SerializableErrorInfo) -> str:
    """What was raised in our code, beneath Dagster's wrapping."""
    while error.cause is not None:
        error = error.cause
    return error.message.strip()
