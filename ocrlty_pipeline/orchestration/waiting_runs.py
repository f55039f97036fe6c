"""Runs that exist and wait for a worker of some process, and how others know that the process lives.

Dagster's run monitoring fails what has not started within a minute. A run that waits in a pool of its own is not in
Dagster's queue, and may wait for as long as those before it take. Its process holds a lock of the database for it,
which is free the moment that process dies: from then on the run is monitored like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine

from ocrlty_pipeline.db.locks import HeldLocks, held_of

PREFIX = "waiting-run:"


class WaitingRuns:
    """The runs that wait in this process; usable from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._locks = HeldLocks(engine)

    def add(self, run_id: str) -> None:
        """
        Raises:
            StorageUnavailableError: the database cannot be reached; nobody knows of the run then.
        """
        self._locks.hold(PREFIX + run_id)

    def remove(self, run_id: str) -> None:
        """It has ended, or never came to be."""
        self._locks.let_go(PREFIX + run_id)

    def renew(self) -> None:
        """Say it again after the database restarted; call it every few seconds.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        self._locks.renew()

    def close(self) -> None:
        self._locks.close()


def waiting_of(engine: Engine, run_ids: Iterable[str]) -> set[str]:
    """Those of the runs that a living process, on whichever machine, has in its hands.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    return {name.removeprefix(PREFIX) for name in held_of(engine, [PREFIX + run_id for run_id in run_ids])}
