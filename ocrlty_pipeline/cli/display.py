"""How far something is, for the person who waits for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ocrlty_pipeline.cli.output import console, say

LINE_EVERY_S = 10.0


class ProgressDisplay:
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
