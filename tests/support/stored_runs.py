"""Batch runs as they lie in the store, made without a model: records, items, header, index."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from ocrlty_pipeline.artifacts.index import extract_row
from ocrlty_pipeline.artifacts.keys import batch_key, extract_key
from ocrlty_pipeline.image_sets import ImageSet, ImageSetItem
from ocrlty_pipeline.records import Auth, BatchHeader, BatchItem, ExtractRecord, RecordedError, Timings, batch_bytes

TIMINGS = Timings(vllm=2.0, parse_validate=1.0, total=5.0, preprocess=2.0)
FAILED = RecordedError(code="output_truncated", message="The answer ended at the token budget.")
# Fits the schema of `receipt_header_v1`.
ANSWER = {"company": "ACME", "date": None, "address": None, "total": "1.00"}


def made_with(services, task_id):
    task = services.tasks[task_id]
    return {
        "task_id": task_id,
        "backend": "mock",
        "model_id": "mock",
        "prompt_sha256": task.prompt_sha256,
        "schema_sha256": task.schema_sha256,
        "temperature": 0.0,
        "max_tokens": 1024,
        "code_version": "test",
    }


def record(services, request_id, *, run_id=None, owner="alice", answer=None, file=None, task_id="receipt_header_v1"):
    """A record; `answer` None is a failure."""
    answered = answer is not None
    return ExtractRecord(
        request_id=request_id,
        created_at=_now(),
        run_id=run_id,
        dagster_run_id=None,
        auth=Auth(key_id=owner, role="client", scopes=["extract:run"]),
        input={"file": file, "image_ref": None, "image_sha256": "ab" * 32},
        timings_ms=TIMINGS,
        usage={"prompt_tokens": 10, "completion_tokens": 5},
        raw=f"raw of {request_id}",
        parsed=answer,
        schema_valid=True if answered else None,
        schema_errors=None,
        error=None if answered else FAILED,
        error_history=None,
        meta={"attempts": 1},
        **made_with(services, task_id),
    )


def store_record(services, made):
    """Store and index one record; answers its key."""
    rel = extract_key(datetime.fromisoformat(made.created_at).date(), made.request_id)
    asyncio.run(services.store.put(rel, made.to_bytes()))
    services.index.add([extract_row(rel, made, services.store)])
    return rel


def store_run(
    services,
    run_id,
    answers,
    *,
    owner="alice",
    image_set="set",
    version=1,
    task_id="receipt_header_v1",
    reused=(),
    **facts,
):
    """Store and index a run.

    Args:
        services: where to.
        run_id: of the run.
        answers: by file, in order; None where there is none.
        owner: whose run it is.
        image_set, version: what it ran over.
        task_id: with what.
        reused: items of an earlier run that come first.
        facts: other fields of its header.

    Returns:
        The items.
    """
    items = list(reused)
    for number, (file, answer) in enumerate(answers.items()):
        options = {"run_id": run_id, "owner": owner, "file": file, "task_id": task_id}
        made = record(services, f"{run_id}-r{number}", answer=answer, **options)
        items.append(BatchItem.of(made, file=file, artifact_rel=store_record(services, made)))
    header = _header(services, run_id, items, owner=owner, image_set=image_set, version=version, task_id=task_id)
    header = header.model_copy(update=facts)
    documents = [item.to_bytes() for item in items]
    rel = batch_key(datetime.fromisoformat(header.created_at).date(), run_id)
    data = batch_bytes(header, documents)
    asyncio.run(services.runs.save_batch(rel, data, header.model_dump(mode="json"), documents))
    return items


def store_image_set(services, name, files, *, owner="alice"):
    """Store the manifest of an image set whose images nobody will read."""
    item = {"input_ref": None, "mime_type": "image/png", "sha256": None, "bytes": 0}
    manifest = ImageSet(
        name=name,
        created_at=_now(),
        owner=owner,
        images_dir="/data",
        glob="*",
        skipped=0,
        items=[ImageSetItem(file=file, **item) for file in files],
    )
    return asyncio.run(services.image_sets_of(owner).save(manifest))


def _header(services, run_id, items, *, owner, image_set, version, task_id):
    ok = sum(item.ok for item in items)
    return BatchHeader(
        run_id=run_id,
        created_at=_now(),
        finished_at=_now(),
        status="succeeded",
        status_reason=None,
        image_set=image_set,
        image_set_version=version,
        images_dir="/data",
        glob="*",
        concurrency=1,
        item_count=len(items),
        ok_count=ok,
        error_count=len(items) - ok,
        pending_count=0,
        schema_valid_count=ok,
        reused_count=0,
        errors_by_code={},
        timings_ms={"total": 85.0},
        auth=Auth(key_id=owner, role="client", scopes=["extract:run"]),
        dagster_run_id=None,
        source_run_id=None,
        resumed_from=None,
        **made_with(services, task_id),
    )


def _now():
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
