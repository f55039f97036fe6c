"""Files of a batch run in shards: what a shard is to extract, and the items that came of it.

Belongs here: their form, and reading them one at a time. Does not: how they come about, which is `batches.shards`'.

A file of items is lines of JSON, so that it can be passed on without being parsed: the shard's header, then its items.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from ocrlty_pipeline.artifacts.keys import shard_key
from ocrlty_pipeline.artifacts.store import ArtifactStore


@dataclass(frozen=True, slots=True)
class ShardFile:
    """JSON of a shard's header, a `BatchHeader` of just its items, and of each item."""

    header: bytes
    items: list[bytes]

    def to_bytes(self) -> bytes:
        return b"\n".join([self.header, *self.items])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        header, *items = data.split(b"\n")
        return cls(header, items)


def shard_count(batch: Mapping[str, Any]) -> int:
    """How many shards a batch run has, by its artifact's fields; 0 when its items are in the artifact itself."""
    size = batch.get("shard_size")
    return -(-batch["item_count"] // size) if size else 0


async def shard_files(store: ArtifactStore, day: date, run_id: str, count: int) -> AsyncIterator[ShardFile]:
    """A run's shards in order, of which one is in memory at a time.

    Raises:
        ArtifactNotFoundError: one is gone, as while the run is being deleted.
    """
    for number in range(count):
        yield ShardFile.from_bytes(await store.get(shard_key(day, run_id, number)))
