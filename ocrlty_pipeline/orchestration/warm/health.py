"""Runs that warm workers execute: whether their process lives, and asking them to end, from any process.

The online lane and the `ocrlty` command have warm workers of their own whatever launches the other runs: `WithWarmRuns`
tells another launcher of those.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, RunLauncher, WorkerStatus

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.orchestration.warm.instances import end_run


def worker_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> ProcessIdentity | None:
    """The warm worker that executes a run; None where none has begun. A retry inherits its parent's tag."""
    tag = run.tags.get(run_tags.WORKER)
    if tag is None:
        return None
    parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    if parent is not None and parent.tags.get(run_tags.WORKER) == tag:
        return None
    return ProcessIdentity.from_tag(tag)


def health_of(worker: ProcessIdentity | None) -> CheckRunHealthResult:
    """Whether a run's worker lives. Of another host's process only that host can tell."""
    if worker is None:
        return CheckRunHealthResult(WorkerStatus.UNKNOWN, "The run does not say which process executes it.")
    if not worker.is_local or worker.is_alive():
        return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker.to_tag())
    message = f"Its process {worker.pid} is gone."
    return CheckRunHealthResult(WorkerStatus.FAILED, message, run_worker_id=worker.to_tag())


def ask_to_end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Ask a run to end: whichever process holds it sees its status within a second. A dead one's run ends here."""
    instance.report_run_canceling(run)
    if health_of(worker_of(instance, run)).status is WorkerStatus.FAILED:
        instance.report_run_canceled(run, "Nothing executed it any more.")


def end_orphans(instance: dg.DagsterInstance) -> None:
    """End the runs whose warm worker died on this host, with nobody left to say so, as when a container was killed."""
    active = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    for run in instance.get_runs(active):
        worker = worker_of(instance, run)
        if worker is not None and worker.is_local and not worker.is_alive():
            end_run(instance, run.run_id, f"Its process {worker.pid} is gone.")


class WithWarmRuns(RunLauncher[dg.DagsterInstance]):
    """For a launcher to inherit from first: runs that it did not launch itself are judged by their warm worker."""

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        worker = worker_of(self._instance, run)
        return super().check_run_worker_health(run) if worker is None else health_of(worker)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if worker_of(self._instance, run) is None:
            return super().terminate(run_id)  # type: ignore[safe-super]  # the launcher's that inherits from this
        ask_to_end(self._instance, run)
        return True
