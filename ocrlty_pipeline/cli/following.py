"""Start a Dagster run and follow it to its end with a progress bar."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ocrlty_pipeline.cli.output import console, say
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.orchestration.launch import RunProcess, RunRequest, failure_message, start_run

POLL_S = 0.3


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
    with _bar() as bar:
        task = bar.add_task(title, total=None, counts="")
        _watch(process, bar, task)
        run = process.wait()
        if run.status is dg.DagsterRunStatus.SUCCESS:
            bar.update(task, completed=bar.tasks[task].total or 1, total=bar.tasks[task].total or 1)
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return run
    if run.status is dg.DagsterRunStatus.CANCELED:
        raise RunFailedError("Cancelled; what was done is kept, and the same command continues it.", run)
    raise RunFailedError(f"{failure_message(instance, run)} (Dagster run {run.run_id}, log {process.log})", run)


def _watch(process: RunProcess, bar: Progress, task: TaskID) -> None:
    interrupted = False
    while process.alive:
        try:
            _show(process, bar, task)
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if interrupted:
                process.kill()
                return
            interrupted = True
            process.interrupt()
            say("Cancelling: calls in flight are awaited. Press Ctrl-C again to kill the run.")
    _show(process, bar, task)


def _show(process: RunProcess, bar: Progress, task: TaskID) -> None:
    told = process.poll()
    if told is not None:
        counts = f"ok {told['ok']}, errors {told['err']}"
        bar.update(task, completed=told["done"], total=told["total"], counts=counts)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        console=console,
    )
