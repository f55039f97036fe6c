"""Start a Dagster run and follow it to its end with a progress bar."""

from __future__ import annotations

import time

import dagster as dg

from ocrlty_pipeline.cli.display import ProgressDisplay
from ocrlty_pipeline.cli.interrupts import Interrupts, interrupts
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.orchestration.launch import LaunchedRun, RunRequest, failure_message, start_run
from ocrlty_pipeline.orchestration.warm.pool import WarmPool

POLL_S = 0.1


class RunFailedError(OcrltyError):
    """A run that the command launched did not succeed."""

    code = "run_failed"

    def __init__(self, message: str, run: dg.DagsterRun) -> None:
        super().__init__(message)
        self.run = run


def follow(instance: dg.DagsterInstance, pool: WarmPool, request: RunRequest, *, title: str) -> dg.DagsterRun:
    """Have a run executed and show how far it is; the first Ctrl-C cancels it, the second ends its process.

    Raises:
        RunFailedError: it failed or was cancelled; the message says why.
    """
    with interrupts() as told, ProgressDisplay(title) as display:
        launched = start_run(instance, request, pool)
        _watch(launched, display, told)
        run = launched.wait()
        if run.status is dg.DagsterRunStatus.SUCCESS:
            display.complete()
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return run
    if run.status is dg.DagsterRunStatus.CANCELED:
        raise RunFailedError("Cancelled; what was done is kept, and the same command continues it.", run)
    raise RunFailedError(f"{failure_message(instance, run)} (Dagster run {run.run_id}, log {launched.log})", run)


def _watch(launched: LaunchedRun, display: ProgressDisplay, told: Interrupts) -> None:
    heard = 0
    while launched.alive:
        display.show(launched.progress())
        if told.count > heard == 0:
            heard = told.count
            launched.cancel()
            say("Cancelling: calls in flight are awaited. Press Ctrl-C again to end the run at once.")
        elif told.count > heard:
            heard = told.count
            launched.kill()
        time.sleep(POLL_S)
    display.show(launched.progress())
