"""One warm worker process: started from the forkserver, spoken to over a pipe, ended.

Belongs here: processes and signals. Does not: what a worker executes, or which worker gets what.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

PRELOAD = "ocrlty_pipeline.orchestration.warm.preload"
_context = multiprocessing.get_context("forkserver")


def warm_up() -> None:
    """Start the forkserver, which imports what workers need; returns at once."""
    _context.set_forkserver_preload([PRELOAD])
    forkserver.ensure_running()


class WorkerProcess:
    """A process that runs `target(connection, *arguments)`, a copy of the forkserver with everything imported.

    The worker sees the end of its parent, however it ends, as the end of `connection`.

    Args:
        target: a function of a module; its return ends the process.
        arguments: picklable.
        log: file for what the process prints; None leaves it where the parent prints.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any, log: Path | None = None) -> None:
        warm_up()
        self.connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_main, args=(target, theirs, dict(os.environ), log, arguments))
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def sentinel(self) -> int:
        """Ready for `multiprocessing.connection.wait` when the process has ended."""
        return self._process.sentinel

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def interrupt(self) -> None:
        """Ask what it executes to end."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def ended(self) -> str:
        """How it ended, in words; call it once `sentinel` is ready."""
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _signal(self, number: signal.Signals) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)


def resident_mb() -> float:
    """Resident memory of this process in MiB, what it shares with the forkserver included."""
    return float(psutil.Process().memory_info().rss) / 2**20


def _main(
    target: Callable[..., None],
    connection: Connection,
    environment: dict[str, str],
    log: Path | None,
    arguments: tuple[Any, ...],
) -> None:
    # A copy of the forkserver has its environment, which may be older than the stack's variables.
    os.environ.clear()
    os.environ.update(environment)
    # Ctrl-C at the terminal is the parent's to hear.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if log is not None:
        _print_to(log)
    target(connection, *arguments)


def _print_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
