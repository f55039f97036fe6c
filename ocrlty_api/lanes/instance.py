"""The Dagster instance that the API shares with webserver and daemon: one a process, with pooled connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import dagster as dg

from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class SharedInstance:
    """The instance, and the settings with the database named."""

    instance: dg.DagsterInstance
    settings: Settings


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


def _open() -> dg.DagsterInstance:
    instance = dagster_instance()
    pool_connections(instance)
    return instance
