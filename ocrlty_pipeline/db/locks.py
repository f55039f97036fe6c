"""Advisory locks: mutual exclusion between processes that the database itself ends when a process dies."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, func, select

from ocrlty_pipeline.errors import StorageUnavailableError


def lock_key(name: str) -> int:
    """A signed 64-bit key for a lock's name; the application's name keeps clear of other users of the database."""
    digest = hashlib.sha256(f"ocrlty:{name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


class AdvisoryLock:
    """A named lock of the database's sessions.

    It holds a connection of its own, outside the pool, from `try_acquire` to the end of the `with` block; the server
    frees the lock when that connection ends, however the process does. A machine that lost its power is noticed by
    TCP keep-alive, after the time the server is set to.

    Args:
        shared: any number of holders may share it; whoever wants it alone waits for the last of them.
    """

    def __init__(self, engine: Engine, name: str, *, shared: bool = False) -> None:
        self._engine = engine
        self._shared = shared
        self._key = lock_key(name)
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; never waits. True as well when this object holds it already.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        if self._connection is not None:
            return True
        # Autocommit: a lock held for hours must not keep a transaction open, which would stop vacuum.
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            connection.detach()
            try_lock = func.pg_try_advisory_lock_shared if self._shared else func.pg_try_advisory_lock
            acquired = connection.scalar(select(try_lock(self._key)))
        except BaseException:
            connection.close()
            raise
        if not acquired:
            connection.close()
            return False
        self._connection = connection
        return True

    def release(self) -> None:
        """Give the lock back and end its connection; nothing happens when it is not held."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            # The end of the connection frees it as well, but only once the server has noticed.
            with suppress(StorageUnavailableError):
                unlock = func.pg_advisory_unlock_shared if self._shared else func.pg_advisory_unlock
                connection.execute(select(unlock(self._key)))
        finally:
            connection.close()
