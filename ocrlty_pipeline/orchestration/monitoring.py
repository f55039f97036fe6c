"""Dagster's run monitoring, but for runs that wait for a warm worker: it looks after those that have begun."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

import dagster as dg
from dagster._core.launcher import RunLauncher
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import MonitoringDaemon

from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.orchestration.waiting_runs import waiting_of
from ocrlty_pipeline.orchestration.warm.launcher import WarmRunLauncher


class PatientMonitoring(MonitoringDaemon):
    """Takes no run for one that did not start while the process in whose hands it waits is there."""

    def run_iteration(self, workspace_process_context: IWorkspaceProcessContext[Any]) -> Generator[Any, None, None]:
        seen = _Context(workspace_process_context)
        yield from super().run_iteration(cast("IWorkspaceProcessContext[Any]", seen))


class _Context:
    """A workspace whose instance does not show runs that wait."""

    def __init__(self, context: IWorkspaceProcessContext[Any]) -> None:
        self.instance = _Instance(context.instance)
        self.create_request_context = context.create_request_context


class _Instance:
    """An instance, with a shorter list of runs."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def get_run_records(self, *args: Any, **kwargs: Any) -> list[dg.RunRecord]:
        records = list(self._instance.get_run_records(*args, **kwargs))
        waiting = _waiting(self._instance.run_launcher, [record.dagster_run for record in records])
        return [record for record in records if record.dagster_run.run_id not in waiting]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instance, name)


def _waiting(launcher: RunLauncher[Any], runs: list[dg.DagsterRun]) -> set[str]:
    """Those that wait in the daemon's own pool, and those that wait in an API's."""
    starting = [run.run_id for run in runs if run.status is dg.DagsterRunStatus.STARTING]
    here = {run_id for run_id in starting if isinstance(launcher, WarmRunLauncher) and launcher.holds(run_id)}
    not_started = [run.run_id for run in runs if run.status is dg.DagsterRunStatus.NOT_STARTED]
    return here | (waiting_of(process_services().engine, not_started) if not_started else set())
