"""Artifact documents as the pipeline writes them, down to the fields the index reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from ocrlty_pipeline.artifacts import keys

BEGIN = datetime(2026, 11, 24, 0, 8, 29, 123456, tzinfo=UTC)
MADE_WITH = {
    "model_id": "m-1",
    "prompt_sha256": "121e",
    "schema_sha256": "c6c2",
    "temperature": 0.0,
    "max_tokens": 1024,
    "code_version": "unknown",
}
AUTH = {"key_id": "client-1", "role": "client", "scopes": ["extract:run"]}


def created_at(second):
    return (BEGIN + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def extract(request_id, second=0, **changes):
    document = {
        "request_id": request_id,
        "created_at": created_at(second),
        "task_id": "receipt_fields_v1",
        "auth": AUTH,
        "run_id": "b1",
        "dagster_run_id": "d1",
    } | changes
    return keys.extract_key(BEGIN.date(), request_id), document


def batch(run_id, second=0, **changes):
    document = {
        "run_id": run_id,
        "created_at": created_at(second),
        "task_id": "receipt_fields_v1",
        "image_set": "sroie",
        "item_count": 3,
        "ok_count": 2,
        "error_count": 1,
        "timings_ms": {"total": 85.0},
        **MADE_WITH,
        "auth": AUTH,
        "dagster_run_id": "d1",
    } | changes
    return keys.batch_key(BEGIN.date(), run_id), document


def item(number, run_id="b1", **changes):
    """One item of a batch document; number 3, 6, ... failed."""
    request_id = f"{run_id}-r{number}"
    return {
        "file": f"{number:04d}.jpg",
        "request_id": request_id,
        "artifact_rel": keys.extract_key(BEGIN.date(), request_id),
        "ok": number % 3 != 0,
    } | changes


def evaluation(eval_id, run_id, second=0, **changes):
    document = {
        "eval_id": eval_id,
        "run_id": run_id,
        "created_at": created_at(second),
        "task_id": "receipt_fields_v1",
        "image_set": "sroie",
    } | changes
    return keys.eval_key(BEGIN.date(), eval_id), document


async def put(store, *artifacts):
    for rel, document in artifacts:
        await store.put(rel, orjson.dumps(document))
