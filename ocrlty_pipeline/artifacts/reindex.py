"""Rebuilding the index from storage, which is the source of truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from sqlalchemy import Engine

from ocrlty_pipeline.artifacts.ground_truth_index import GroundTruthIndex, ListedGroundTruth, ground_truth_row
from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow, index_row
from ocrlty_pipeline.artifacts.keys import DRAFTS, FOLDERS, GROUND_TRUTHS
from ocrlty_pipeline.artifacts.run_items import RunItems, items_of
from ocrlty_pipeline.artifacts.shard_files import shard_count, shard_files
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import StorageError, StorageUnavailableError

READS_AT_ONCE = 16
ROWS_AT_ONCE = 1000

T = TypeVar("T")


@dataclass(slots=True)
class ReindexReport:
    """What a rebuild found.

    Attributes:
        seen: artifacts and versions of ground truths in storage.
        added: those the index lacked, or had without all of their columns; of a ground truth, the latest version only.
        unreadable: one sentence for each that cannot be indexed.
    """

    seen: int = 0
    added: int = 0
    unreadable: list[str] = field(default_factory=list)


async def reindex(store: ArtifactStore, engine: Engine) -> ReindexReport:
    """Add what the index lacks, as each artifact itself tells it; broken files are reported, not stopped at.

    Memory is bounded by one batch of rows and `READS_AT_ONCE` documents, however many artifacts there are.

    Raises:
        StorageUnavailableError: storage or database cannot be reached; what was added stays, and it can be run again.
    """
    report = ReindexReport()
    artifacts, truths, reader = ArtifactIndex(engine), GroundTruthIndex(engine), _Reader(store, RunItems(engine))
    async for keys in _batches(_document_keys(store), ROWS_AT_ONCE):
        outcomes = await reader.read_all(keys)
        report.seen += len(keys)
        report.unreadable += [outcome for outcome in outcomes if isinstance(outcome, str)]
        rows = [outcome for outcome in outcomes if isinstance(outcome, IndexRow)]
        report.added += await asyncio.to_thread(artifacts.add, rows)
        listed = [outcome for outcome in outcomes if isinstance(outcome, ListedGroundTruth)]
        report.added += await asyncio.to_thread(truths.add, listed)
    return report


async def _document_keys(store: ArtifactStore) -> AsyncIterator[str]:
    for folder in (*FOLDERS, GROUND_TRUTHS, DRAFTS):
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


class _Reader:
    """Reads artifacts into rows; the items of a run go to their table at once, for they may be many."""

    def __init__(self, store: ArtifactStore, items: RunItems) -> None:
        self._store = store
        self._items = items
        self._slots = asyncio.Semaphore(READS_AT_ONCE)

    async def read_all(self, keys: list[str]) -> list[IndexRow | ListedGroundTruth | str]:
        return await asyncio.gather(*map(self._read_one, keys))

    async def _read_one(self, rel: str) -> IndexRow | ListedGroundTruth | str:
        """The artifact's row, or a sentence on why there is none."""
        async with self._slots:
            try:
                return await self._row(rel, orjson.loads(await self._store.get(rel)))
            except orjson.JSONDecodeError as error:
                return f"{self._store.full_ref(rel)} is not JSON: {error}."
            except StorageUnavailableError as error:
                # One file that cannot be read is a finding; a store that cannot be used is the end, and says so here.
                await self._store.check()
                return error.message
            except StorageError as error:
                return error.message

    async def _row(self, rel: str, document: Any) -> IndexRow | ListedGroundTruth:
        if rel.partition("/")[0] not in FOLDERS:
            return ground_truth_row(rel, document)
        row = index_row(rel, document, self._store)
        if row.kind == "batch":
            await self._add_items(row, document)
        return row

    async def _add_items(self, row: IndexRow, document: Any) -> None:
        try:
            await self._add(row, document.get("items", ()))
            first = 0
            async for shard in shard_files(self._store, row.day, row.artifact_id, shard_count(document)):
                await self._add(row, shard.items, first)
                first += len(shard.items)
        except (KeyError, TypeError) as error:
            raise StorageError(f"{self._store.full_ref(row.rel_ref)} has items that are none: {error!r}.") from error

    async def _add(self, row: IndexRow, documents: Iterable[Any], first: int = 0) -> None:
        items = list(items_of(documents, first))
        await asyncio.to_thread(self._items.add, row.artifact_id, items)
