"""The prompts and schemas that runs were made with, kept by their hashes, which is how a run names them.

A task's folder holds today's; what changed between two runs can be shown only if yesterday's is there as well.
"""

from __future__ import annotations

import json
from typing import Any

from ocrlty_pipeline.artifacts.keys import prompt_key, schema_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.tasks.registry import Task


async def keep_texts(store: ArtifactStore, task: Task) -> None:
    """Store a task's prompt and schema, unless they are there."""
    await store.put(prompt_key(task.prompt_sha256), task.prompt.encode())
    await store.put(schema_key(task.schema_sha256), task.canonical_schema.encode())


async def prompt_of(store: ArtifactStore, sha256: str) -> str | None:
    """The prompt of a hash; None when the run that names it is older than this keeping."""
    data = await store.get_or_none(prompt_key(sha256))
    return None if data is None else data.decode()


async def schema_of(store: ArtifactStore, sha256: str) -> Any:
    """The schema of a hash; None when the run that names it is older than this keeping."""
    data = await store.get_or_none(schema_key(sha256))
    return None if data is None else json.loads(data)
