"""Batch runs, their items and their evaluations, found by the index and read from the store.

Belongs here: reading and writing them. Does not: removing them (`run_deletion`), or lists that the index has whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow, index_row
from ocrlty_pipeline.artifacts.keys import shard_key
from ocrlty_pipeline.artifacts.run_items import RunItem, RunItems, items_of
from ocrlty_pipeline.artifacts.shard_files import ShardFile, shard_count, shard_files
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.evaluation.results import Evaluation, eval_block
from ocrlty_pipeline.records import BatchHeader, BatchItem, BatchRun, ExtractRecord

READS_AT_ONCE = 16
# A shard is a thousand items: of a page that is scattered over more of them, each item is read by itself.
SHARDS_READ = 2
EMPTY_ITEMS = b'"items":[]}'


@dataclass(frozen=True, slots=True)
class ItemsPage:
    """Some of a run's items, in its image set's order.

    Attributes:
        next_after: where the next page continues; None at the end.
    """

    items: list[BatchItem]
    next_after: int | None


class Runs:
    """Reads and writes the artifacts of batch runs and evaluations, index included."""

    def __init__(self, store: ArtifactStore, index: ArtifactIndex, items: RunItems) -> None:
        self._store = store
        self._index = index
        self._items = items

    async def save(self, rel: str, data: bytes, facts: Mapping[str, Any]) -> None:
        """Write an artifact, and its index row from `facts`, the document's top-level fields.

        Raises:
            ArtifactConflictError: the key holds other content.
        """
        await self._store.put(rel, data)
        self._index.add([index_row(rel, facts, self._store)])

    async def save_batch(self, rel: str, data: bytes, facts: Mapping[str, Any], items: Iterable[bytes]) -> None:
        """`save` a batch run, with the rows of its items: a run that the index knows has them all.

        Args:
            rel: its key.
            data: its document.
            facts: the document without its items.
            items: JSON of each.
        """
        await self._store.put(rel, data)
        await asyncio.to_thread(self._items.add, facts["run_id"], items_of(items))
        await asyncio.to_thread(self._index.add, [index_row(rel, facts, self._store)])

    def latest(self, image_set: str, task_id: str) -> IndexRow:
        """The newest batch run of an image set through a task.

        Raises:
            ArtifactNotFoundError: there is none yet.
        """
        row = self._index.latest_batch(image_set, task_id)
        if row is None:
            raise ArtifactNotFoundError(
                f"No batch run of image set {image_set!r} with task {task_id!r} yet; "
                f"start one with `ocrlty run {image_set} --task {task_id}`."
            )
        return row

    def find(self, run_id: str) -> IndexRow:
        """The batch run of an id.

        Raises:
            ArtifactNotFoundError: there is none.
        """
        row = self._index.find("batch", run_id)
        if row is None:
            raise ArtifactNotFoundError(f"No batch run with run_id {run_id!r}.")
        return row

    async def load(self, row: IndexRow) -> BatchRun:
        """A batch run with all of its items, those of its shards included."""
        batch = BatchRun.from_bytes(await self._store.get(row.rel_ref))
        if batch.shard_size is None:
            return batch
        shards = shard_files(
            self._store, row.day, batch.run_id, shard_count(batch.model_dump(include={"shard_size", "item_count"}))
        )
        items = [BatchItem.from_bytes(item) async for shard in shards for item in shard.items]
        return batch.model_copy(update={"items": items})

    async def header(self, row: IndexRow) -> BatchHeader:
        """A batch run without its items."""
        return BatchHeader.from_bytes(await self._store.get(row.rel_ref))

    async def document(self, row: IndexRow) -> dict[str, Any]:
        """A batch run as clients read it: the artifact, and the `eval` block of its latest evaluation or null."""
        document: dict[str, Any] = orjson.loads(b"".join([chunk async for chunk in await self.document_chunks(row)]))
        return document

    async def document_chunks(self, row: IndexRow) -> AsyncIterator[bytes]:
        """`document` as JSON, put together without parsing the items, of which there may be 100,000.

        Raises:
            ArtifactNotFoundError: the run is gone; raised before the first chunk, which is then no answer.
        """
        data = (await self._store.get(row.rel_ref)).rstrip()
        evaluation = await asyncio.to_thread(self._index.latest_eval, row.artifact_id)
        block = None if evaluation is None else eval_block(await self._evaluation(evaluation), evaluation.rel_ref)
        added = await asyncio.to_thread(orjson.dumps, {"artifact_rel": row.rel_ref, "eval": block})
        return self._chunks(row, data, added)

    async def _chunks(self, row: IndexRow, data: bytes, added: bytes) -> AsyncIterator[bytes]:
        # The field `items` comes last, and is empty in the artifact of a run in shards.
        if not data.endswith(EMPTY_ITEMS):
            yield b"".join((data[:-1], b",", added[1:]))
            return
        yield data[: -len(b"]}")]
        separator = b""
        async for shard in shard_files(self._store, row.day, row.artifact_id, shard_count(orjson.loads(data))):
            yield separator + b",".join(shard.items)
            separator = b","
        yield b"]," + added[1:]

    async def items(self, row: IndexRow, *, limit: int, after: int = -1, ok: bool | None = None) -> ItemsPage:
        """A page of a run's items, read from just their extract artifacts, or from their shards where that is less.

        An item whose extract artifact is gone is left out.

        Args:
            row: the run's.
            limit: how many at most.
            after: `next_after` of the page before.
            ok: only those with an answer, or only those without.

        Raises:
            ArtifactNotFoundError: all of them are gone, as while the run is being deleted.
        """
        rows = await asyncio.to_thread(self._items.page, row.artifact_id, limit=limit + 1, after=after, ok=ok)
        page = rows[:limit]
        items = await self._items_of(row, page)
        if page and not items:
            raise ArtifactNotFoundError(f"The items of batch run {row.artifact_id!r} are gone.")
        return ItemsPage(items, page[-1].position if len(rows) > limit else None)

    async def extract(self, row: IndexRow) -> ExtractRecord:
        """The record of a single extract, or of a batch run's item."""
        return ExtractRecord.from_bytes(await self._store.get(row.rel_ref))

    async def _items_of(self, row: IndexRow, page: list[RunItem]) -> list[BatchItem]:
        size = (row.summary or {}).get("shard_size")
        numbers = sorted({item.position // size for item in page}) if size else []
        if size and len(page) > READS_AT_ONCE and len(numbers) <= SHARDS_READ:
            shards = {number: await self._store.get(shard_key(row.day, row.artifact_id, number)) for number in numbers}
            return await asyncio.to_thread(_items_in, shards, size, [item.position for item in page])
        slots = asyncio.Semaphore(READS_AT_ONCE)
        found = await asyncio.gather(*(self._item(item, slots) for item in page))
        return [item for item in found if item is not None]

    async def _item(self, item: RunItem, slots: asyncio.Semaphore) -> BatchItem | None:
        async with slots:
            data = await self._store.get_or_none(item.rel_ref)
        if data is None:
            return None
        record = ExtractRecord.from_bytes(data)
        return BatchItem.of(record, file=item.file, artifact_rel=item.rel_ref)

    async def latest_evaluation(self, run_id: str) -> Evaluation | None:
        """The newest evaluation of a batch run; None when it was never evaluated."""
        row = self._index.latest_eval(run_id)
        return None if row is None else await self._evaluation(row)

    async def _evaluation(self, row: IndexRow) -> Evaluation:
        return Evaluation.from_bytes(await self._store.get(row.rel_ref))


def _items_in(shards: Mapping[int, bytes], size: int, positions: Iterable[int]) -> list[BatchItem]:
    """Items of shard files, by their positions in the run."""
    items = {number: ShardFile.from_bytes(data).items for number, data in shards.items()}
    return [BatchItem.from_bytes(items[position // size][position % size]) for position in positions]
