"""The Dagster instance that the API shares with webserver and daemon: one a process, with pooled connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections, reconnect
from ocrlty_pipeline.settings import Settings

# Of Dagster's storage, when the database is away or takes too long.
AWAY = (OperationalError, InterfaceError, PoolTimeoutError, DagsterPostgresException)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SharedInstance:
    """The instance, and the settings with the database named."""

    instance: dg.DagsterInstance
    settings: Settings

    async def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what asks the instance, in a thread; it is called twice where a database restarted in between.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        with _away_is_unavailable():
            return await asyncio.to_thread(_asked, partial(question, *args, **kwargs))

    async def tell(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call once, in a thread, what must not happen twice; stale connections are replaced before.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """

        def change_once() -> T:
            reconnect(self.instance)
            return change(*args, **kwargs)

        with _away_is_unavailable():
            return await asyncio.to_thread(change_once)


@contextmanager
def _away_is_unavailable() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        reason = " ".join(str(error).split())
        raise StorageUnavailableError(f"Dagster's database cannot be reached: {reason}") from error


@asynccontextmanager
async def shared_instance(settings: Settings) -> AsyncIterator[SharedInstance]:
    """Database up and migrated, Dagster's home written where it is not, the instance open.

    Its calls block: make them in threads.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    running = running_stack(settings)
    named = await asyncio.to_thread(running.__enter__)
    try:
        instance = await asyncio.to_thread(_open)
        try:
            update = {"database_url": named.database_url}
            yield SharedInstance(instance, settings.model_copy(update=update))
        finally:
            await asyncio.to_thread(instance.dispose)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except OperationalError as error:
        if not error.connection_invalidated:
            raise
        # The server had closed a pooled connection; SQLAlchemy has dropped all of that age by now.
        return question()


def _open() -> dg.DagsterInstance:
    instance = dagster_instance()
    pool_connections(instance)
    return instance
