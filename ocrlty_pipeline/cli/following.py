"""Start a Dagster run and follow it to its end with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import dagster as dg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ocrlty_pipeline.cli.interrupts import Interrupts, interrupts
from ocrlty_pipeline.cli.output import console, say
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.orchestration.launch import LaunchedRun, RunRequest, failure_message, start_run
from ocrlty_pipeline.orchestration.warm.pool import WarmPool

POLL_S = 0.1
LINE_EVERY_S = 10.0


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
    with interrupts() as told, _Display(title) as display:
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


def _watch(launched: LaunchedRun, display: _Display, told: Interrupts) -> None:
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


class _Display:
    """A progress bar on a terminal; in a log or a pipe a line now and then, and the bar at its end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._bar.add_task(title, total=None, counts="")
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, told: Mapping[str, Any] | None) -> None:
        """Show what the run told of its progress last; None before its first word."""
        if told is None:
            return
        counts = f"ok {told['ok']}, errors {told['err']}"
        self._bar.update(self._task, completed=told["done"], total=told["total"], counts=counts)
        if not console.is_terminal and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            say(f"{self._title}: {told['done']} of {told['total']}, {counts}")

    def complete(self) -> None:
        total = self._bar.tasks[self._task].total or 1
        self._bar.update(self._task, completed=total, total=total)
