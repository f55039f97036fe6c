"""Start a Dagster run and follow it to its end with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ocrlty_pipeline.cli.output import console, say
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.orchestration.launch import RunProcess, RunRequest, failure_message, start_run

POLL_S = 0.3
LINE_EVERY_S = 10.0


class RunFailedError(OcrltyError):
    """A run that the command launched did not succeed."""

    code = "run_failed"

    def __init__(self, message: str, run: dg.DagsterRun) -> None:
        super().__init__(message)
        self.run = run


def follow(instance: dg.DagsterInstance, request: RunRequest, *, title: str, log_dir: Path) -> dg.DagsterRun:
    """Execute a run and show how far it is; the first Ctrl-C cancels it, the second kills its process.

    Raises:
        RunFailedError: it failed or was cancelled; the message says why.
    """
    process = start_run(instance, request, log_dir)
    with _Display(title) as display:
        _watch(process, display)
        run = process.wait()
        if run.status is dg.DagsterRunStatus.SUCCESS:
            display.complete()
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return run
    if run.status is dg.DagsterRunStatus.CANCELED:
        raise RunFailedError("Cancelled; what was done is kept, and the same command continues it.", run)
    raise RunFailedError(f"{failure_message(instance, run)} (Dagster run {run.run_id}, log {process.log})", run)


def _watch(process: RunProcess, display: _Display) -> None:
    interrupted = False
    while process.alive:
        try:
            display.show(process.poll())
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if interrupted:
                process.kill()
                return
            interrupted = True
            process.interrupt()
            say("Cancelling: calls in flight are awaited. Press Ctrl-C again to kill the run.")
    display.show(process.poll())


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
