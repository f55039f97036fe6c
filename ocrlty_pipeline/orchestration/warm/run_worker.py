"""Inside a worker of the pool: executes Dagster runs by id, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import dagster as dg
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.job_base import IJob, InMemoryJob
from dagster._core.definitions.reconstruct import reconstruct_repository_def_from_pointer
from dagster._core.execution.api import execute_run_iterator
from dagster._core.instance import InstanceRef
from dagster._core.origin import RepositoryPythonOrigin
from dagster._serdes import deserialize_value
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import EXTRACT
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.orchestration.warm.instances import (
    end_run,
    is_to_end,
    open_instance,
    reconnect,
    without_compute_logs,
)
from ocrlty_pipeline.orchestration.warm.processes import resident_mb

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """A worker's word after a run, or after its start.

    Attributes:
        run_id: None when it has just started.
        resident_mb: memory of its process, in MiB.
    """

    run_id: str | None
    resident_mb: float


def work(connection: Connection, instance_ref: str) -> None:
    """Execute the runs whose ids come over `connection`, until its other end is gone.

    A run in hand is brought to its end even then: its process is alive, as its tag says.
    """
    # Neither end may be lost by the other's death: the next run goes to the next worker.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        worker = RunWorker(deserialize_value(instance_ref, InstanceRef))
        connection.send(Done(None, resident_mb()))
        while True:
            run_id = connection.recv()
            worker.execute(run_id)
            connection.send(Done(run_id, resident_mb()))


class RunWorker:
    """Executes runs in this process, with one instance and one set of definitions for all of them."""

    def __init__(self, instance_ref: InstanceRef) -> None:
        self._quiet_ref = without_compute_logs(instance_ref)
        self._instance = open_instance(instance_ref)
        self._quiet: dg.DagsterInstance | None = None
        self._identity = ProcessIdentity.current().to_tag()
        self._repositories: dict[CodePointer, dg.RepositoryDefinition] = {}

    def execute(self, run_id: str) -> None:
        """Execute one run; whatever happens in it, it ends with a final status that is true."""
        reason = "Its process was told to stop before the run ended."
        try:
            reconnect(self._instance)
            self._execute(run_id)
        except Exception as error:  # what the run's own code raised is told in its events; this is what broke around it
            logger.exception("Run %s broke off", run_id)
            reason = f"The run broke off: {type(error).__name__}: {error}"
        finally:
            end_run(self._instance, run_id, reason)

    def _execute(self, run_id: str) -> None:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or is_to_end(run):
            return
        self._instance.add_run_tags(run_id, {run_tags.WORKER: self._identity})
        with capture_interrupts():
            for _ in self._events(run):
                pass

    def _events(self, run: dg.DagsterRun) -> Iterator[dg.DagsterEvent]:
        instance = self._quiet_instance() if run.job_name == EXTRACT else self._instance
        return execute_run_iterator(self._job(run), run, instance)

    def _job(self, run: dg.DagsterRun) -> IJob:
        origin = run.job_code_origin
        if origin is None:
            raise dg.DagsterInvariantViolationError(f"Run {run.run_id} does not say where its job's code is.")
        job = self._repository(origin.repository_origin).get_job(run.job_name)
        # The processes of another executor build the job anew.
        in_process = job.executor_def is dg.in_process_executor
        return InMemoryJob(job) if in_process else recon_job_from_origin(origin)

    def _repository(self, origin: RepositoryPythonOrigin) -> dg.RepositoryDefinition:
        """Loaded once: building the definitions anew for each run would cost as much as the run."""
        pointer = origin.code_pointer
        if pointer not in self._repositories:
            self._repositories[pointer] = reconstruct_repository_def_from_pointer(pointer)
        return self._repositories[pointer]

    def _quiet_instance(self) -> dg.DagsterInstance:
        """For single extracts, which print nothing and are over before their output could be read."""
        if self._quiet is None:
            self._quiet = open_instance(self._quiet_ref)
        reconnect(self._quiet)
        return self._quiet
