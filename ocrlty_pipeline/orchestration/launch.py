"""Create a Dagster run and execute it in a process of its own, for commands that must work without Dagster's daemon.

The run stands in Dagster like any other: it can be watched and terminated in the UI. Its process is the one that
Dagster's own launchers start.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import orjson
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._grpc.types import ExecuteRunArgs
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.serdes import serialize_value

from ocrlty_pipeline import definitions
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.partitions import IMAGE_SET

CODE_LOCATION = "ocrlty_pipeline"
# How Dagster's UI finds the job of a run that it did not launch itself.
REPOSITORY_TAG = {".dagster/repository": f"__repository__@{CODE_LOCATION}"}


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A job on one partition."""

    job: str
    partition_key: str
    ops: Mapping[str, Mapping[str, Any]]

    @property
    def run_config(self) -> dict[str, Any]:
        return {"ops": {op: {"config": dict(config)} for op, config in self.ops.items()}}


class RunProcess:
    """A run in execution."""

    def __init__(self, instance: dg.DagsterInstance, run: dg.DagsterRun, log: Path) -> None:
        self.run_id = run.run_id
        self.log = log
        self._instance = instance
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter
                _command(instance, run), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def poll(self) -> dict[str, Any] | None:
        """The run's progress as last told; None before the first word."""
        run = self._instance.get_run_by_id(self.run_id)
        told = run.tags.get(run_tags.PROGRESS) if run else None
        return None if told is None else orjson.loads(told)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float | None = None) -> dg.DagsterRun:
        """Wait for the process; a run whose process died without a word is marked failed."""
        code = self._process.wait(timeout_s)
        run = self._instance.get_run_by_id(self.run_id)
        assert run is not None  # noqa: S101 -- created before the process
        if not run.is_finished:
            self._instance.report_run_failed(run, f"Its process ended with exit code {code} before the run did.")
            run = self._instance.get_run_by_id(self.run_id) or run
        return run

    def interrupt(self) -> None:
        """Ask the run to end: what is done stays."""
        run = self._instance.get_run_by_id(self.run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_canceling(run)

    def kill(self) -> None:
        self._process.kill()


def start_run(instance: dg.DagsterInstance, request: RunRequest, log_dir: Path) -> RunProcess:
    """Create the run and start its process; its output goes to a file of its own in `log_dir`."""
    job = definitions.defs().resolve_job_def(request.job)
    repository = ReconstructableRepository.for_module(definitions.__name__, "defs")
    run = instance.create_run_for_job(
        job_def=job,
        run_config=request.run_config,
        tags=_tags(job, request),
        job_code_origin=repository.get_reconstructable_job(request.job).get_python_origin(),
    )
    log_dir.mkdir(parents=True, exist_ok=True)
    return RunProcess(instance, run, log_dir / f"{run.run_id}.log")


def register_image_set(instance: dg.DagsterInstance, name: str) -> None:
    """Make an image set a partition; one that is there stays."""
    instance.add_dynamic_partitions(IMAGE_SET, [name])


def failure_message(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run failed, in the words of its first failed step, or of the run itself."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            return str(failure.user_failure_data.description)
        if failure.error:
            return _root_cause(failure.error)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        return entry.get_dagster_event().message or "The run failed."
    return f"The run ended as {run.status.value}."


def _root_cause(error: SerializableErrorInfo) -> str:
    """What was raised in our code, beneath Dagster's wrapping."""
    while error.cause is not None:
        error = error.cause
    return error.message.strip()


def _tags(job: dg.JobDefinition, request: RunRequest) -> dict[str, str]:
    assert job.partitions_def is not None  # noqa: S101 -- every job of ours is partitioned
    return {**job.partitions_def.get_tags_for_partition_key(request.partition_key), **REPOSITORY_TAG}


def _command(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    assert run.job_code_origin is not None  # noqa: S101 -- set by start_run
    arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref())
    # By the interpreter, not by the script `dagster`, which is on the path only where the environment is activated.
    return [sys.executable, "-m", "dagster", "api", "execute_run", serialize_value(arguments)]
