"""Answers that need not be asked for again: the same question was answered in an earlier record of the same owner.

What makes two questions the same is `records.reuse_key`'s to say. What is taken over says so: `reused_from`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ocrlty_pipeline.artifacts.index import ArtifactIndex
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.image_sets import ImageSetItem
from ocrlty_pipeline.records import ExtractRecord, reuse_key, utc_now

KEYS_AT_ONCE = 1000


class Reuse:
    """Finds earlier records for the inputs of one batch, a thousand in one query."""

    def __init__(self, store: ArtifactStore, index: ArtifactIndex, context: ExtractionContext) -> None:
        self._store = store
        self._index = index
        self._context = context
        self._rels: dict[str, str] = {}

    async def look_up(self, inputs: Sequence[ImageSetItem]) -> None:
        """Learn which inputs have an answer already.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        keys = list({key for item in inputs if (key := self._key(item)) is not None})
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            self._rels |= await asyncio.to_thread(self._index.reusable, self._context.auth.key_id, some)

    async def take(self, item: ImageSetItem, request_id: str, described: dict[str, Any]) -> ExtractRecord | None:
        """The earlier answer as a record of this batch; None when there is none, or it is gone from the store."""
        key = self._key(item)
        rel = self._rels.get(key) if key else None
        data = await self._store.get_or_none(rel) if rel else None
        if rel is None or data is None:
            return None
        earlier = ExtractRecord.from_bytes(data)
        facts = {name: earlier.input[name] for name in ("mime_type", "image_bytes") if name in earlier.input}
        return earlier.model_copy(
            update={
                "request_id": request_id,
                "created_at": utc_now(),
                "run_id": self._context.run_id,
                "dagster_run_id": self._context.dagster_run_id,
                "auth": self._context.auth,
                "input": {**described, **facts},
                "reused_from": earlier.reused_from or rel,
            }
        )

    def _key(self, item: ImageSetItem) -> str | None:
        context = self._context
        return reuse_key(
            {
                "input": {"image_sha256": item.sha256},
                "task_id": context.task.task_id,
                "backend": context.backend.name,
                "model_id": context.backend.model_id,
                "prompt_sha256": context.task.prompt_sha256,
                "schema_sha256": context.task.schema_sha256,
                "temperature": context.policy.temperature,
                "max_tokens": context.policy.max_tokens,
            }
        )
