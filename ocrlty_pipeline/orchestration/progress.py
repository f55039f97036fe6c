"""Progress as a run tag, and a request to cancel as the run's status: both work between any two processes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import dagster as dg
import orjson

from ocrlty_pipeline.batches.progress import Progress
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.settings import Settings

StepContext = dg.AssetExecutionContext | dg.OpExecutionContext


class RunProgress:
    """Writes a run's progress tag, and tells whether somebody wants the run to end.

    An interrupt is noted instead of raised, so that a batch can finish what is in flight and write its artifact.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str, *, min_seconds: float, every_n: int = 1) -> None:
        self._instance = instance
        self._run_id = run_id
        self._min_seconds = min_seconds
        self._every_n = every_n
        self._written: Progress | None = None
        self._last = 0.0
        self._interrupted = threading.Event()

    def __call__(self, progress: Progress) -> bool:
        """The `ProgressSink` of a batch: writes at most as often as it is called, and when `every_n` more are done."""
        if self._is_news(progress):
            self._written = replace(progress)
            self._instance.add_run_tags(self._run_id, {run_tags.PROGRESS: progress.to_json()})
        return self.stopping()

    def stopping(self) -> bool:
        """Whether somebody wants the run to end."""
        return self._interrupted.is_set() or self._canceling()

    def imported(self, done: int, total: int) -> None:
        """The progress of an import, told for every file and written at most every `min_seconds`."""
        now = time.monotonic()
        if done == total or now - self._last >= self._min_seconds:
            self._last = now
            self(Progress("importing", total, done=done, ok=done))

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._interrupted.set()

    def _is_news(self, progress: Progress) -> bool:
        written = self._written
        if written is None or (written.stage, written.total) != (progress.stage, progress.total):
            return True
        news = progress.done - written.done
        return news >= self._every_n or (news > 0 and progress.done == progress.total)

    def _canceling(self) -> bool:
        run = self._instance.get_run_by_id(self._run_id)
        # One that is over already was ended by others, such as run monitoring: nobody waits for what this process does.
        return run is not None and (run.status == dg.DagsterRunStatus.CANCELING or run.is_finished)


def told_progress(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any] | None:
    """A run's progress as it was told last; None before the first word."""
    run = instance.get_run_by_id(run_id)
    told = run.tags.get(run_tags.PROGRESS) if run else None
    return None if told is None else orjson.loads(told)


@contextmanager
def run_progress(context: StepContext, settings: Settings) -> Iterator[RunProgress]:
    """The progress of this run; while it is open, interrupts ask the work to end instead of breaking it off."""
    progress = RunProgress(
        context.instance,
        context.run.run_id,
        min_seconds=settings.jobs_progress_min_seconds,
        every_n=settings.jobs_progress_every_n,
    )
    if threading.current_thread() is not threading.main_thread():
        yield progress
        return
    before = {number: signal.signal(number, progress.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield progress
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
