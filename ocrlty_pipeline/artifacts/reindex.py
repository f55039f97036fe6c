"""Rebuilding the index from storage, which is the source of truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow, index_row
from ocrlty_pipeline.artifacts.keys import FOLDERS
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import StorageError, StorageUnavailableError

READS_AT_ONCE = 16
ROWS_AT_ONCE = 1000

T = TypeVar("T")


@dataclass(slots=True)
class ReindexReport:
    """What a rebuild found.

    Attributes:
        seen: artifacts in storage.
        added: those the index lacked.
        unreadable: one sentence for each that cannot be indexed.
    """

    seen: int = 0
    added: int = 0
    unreadable: list[str] = field(default_factory=list)


async def reindex(store: ArtifactStore, index: ArtifactIndex) -> ReindexReport:
    """Add what the index lacks, as each artifact itself tells it; broken files are reported, not stopped at.

    Memory is bounded by one batch of rows and `READS_AT_ONCE` documents, however many artifacts there are.

    Raises:
        StorageUnavailableError: storage or database cannot be reached; what was added stays, and it can be run again.
    """
    report = ReindexReport()
    async for keys in _batches(_document_keys(store), ROWS_AT_ONCE):
        outcomes = await _read_all(store, keys)
        rows = [outcome for outcome in outcomes if isinstance(outcome, IndexRow)]
        report.seen += len(keys)
        report.unreadable += [outcome for outcome in outcomes if isinstance(outcome, str)]
        report.added += await asyncio.to_thread(index.add, rows)
    return report


async def _document_keys(store: ArtifactStore) -> AsyncIterator[str]:
    for folder in FOLDERS:
        async for rel in store.iter_keys(folder):
            yield rel


async def _batches(items: AsyncIterator[T], size: int) -> AsyncIterator[list[T]]:
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _read_all(store: ArtifactStore, keys: list[str]) -> list[IndexRow | str]:
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def read(rel: str) -> IndexRow | str:
        async with slots:
            return await _read(store, rel)

    return await asyncio.gather(*(read(rel) for rel in keys))


async def _read(store: ArtifactStore, rel: str) -> IndexRow | str:
    """The artifact's row, or a sentence on why there is none."""
    try:
        return index_row(rel, orjson.loads(await store.get(rel)), store)
    except orjson.JSONDecodeError as error:
        return f"{store.full_ref(rel)} is not JSON: {error}."
    except StorageUnavailableError as error:
        # One file that cannot be read is a finding; a store that cannot be used is the end, and says so here.
        await store.check()
        return error.message
    except StorageError as error:
        return error.message
