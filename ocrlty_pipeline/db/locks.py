"""Advisory locks: mutual exclusion between processes that the database itself ends when a process dies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, func, select, text

from ocrlty_pipeline.errors import StorageUnavailableError

# Of this database, taken by one holder alone; a 64-bit key stands in two columns.
_HELD = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
    "AND granted AND mode = 'ExclusiveLock' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


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
        connection = _connected(self._engine)
        try:
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


class HeldLocks:
    """Any number of named locks over one connection, for as long as this process lives; usable from any thread.

    Nobody else takes them: others only ask, by `held_of`, whether the process that holds them is there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._wanted: set[str] = set()
        self._taken: set[str] = set()
        self._mutex = threading.Lock()

    def hold(self, name: str) -> None:
        """
        Raises:
            StorageUnavailableError: the database cannot be reached; the lock is not held then.
        """
        with self._mutex:
            self._wanted.add(name)
            try:
                self._take_missing()
            except BaseException:
                self._wanted.discard(name)
                raise

    def let_go(self, name: str) -> None:
        """Free a lock; nothing happens when it is not held."""
        with self._mutex:
            self._wanted.discard(name)
            if self._connection is not None and name in self._taken:
                self._taken.discard(name)
                with self._closed_if_broken():
                    self._connection.execute(select(func.pg_advisory_unlock(lock_key(name))))

    def renew(self) -> None:
        """Take them again where the connection broke, as it does when the database restarts.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        with self._mutex:
            if self._wanted:
                self._take_missing()

    def close(self) -> None:
        with self._mutex:
            self._wanted.clear()
            self._close()

    def _take_missing(self) -> None:
        if self._connection is not None:
            with self._closed_if_broken():
                self._connection.execute(select(1))
        if self._connection is None:
            self._connection = _connected(self._engine)
        try:
            for name in self._wanted - self._taken:
                # A session that broke may hold it still, until the server has noticed.
                if self._connection.scalar(select(func.pg_try_advisory_lock(lock_key(name)))):
                    self._taken.add(name)
        except StorageUnavailableError:
            self._close()
            raise

    @contextmanager
    def _closed_if_broken(self) -> Iterator[None]:
        try:
            yield
        except StorageUnavailableError:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._taken.clear()
        if connection is not None:
            connection.close()


def held_of(engine: Engine, names: Iterable[str]) -> set[str]:
    """Those of the locks that some process holds alone; it takes none.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    by_key = {lock_key(name): name for name in names}
    if not by_key:
        return set()
    with engine.connect() as connection:
        return {by_key[key] for key in connection.scalars(_HELD) if key in by_key}


def _connected(engine: Engine) -> Connection:
    """A connection outside the pool."""
    # Autocommit: a lock held for hours must not keep a transaction open, which would stop vacuum.
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        connection.detach()
    except BaseException:
        connection.close()
        raise
    return connection
