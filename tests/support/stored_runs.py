"""Batch runs in the store without the work of making them: their predictions are the test's."""

from __future__ import annotations

import asyncio
from datetime import date

from ocrlty_pipeline.artifacts.keys import batch_key
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.records import Auth, BatchItem, BatchRun, RecordedError, Timings
from ocrlty_pipeline.scoring import save_evaluation, score_batch
from tests.support.receipts import tiny_images

TASK = "receipt_header_v1"


def store_image_set(services, folder, expected, name="s"):
    """An image set of as many images as values are expected, and its ground truth; answers the files' names."""
    if not folder.exists():
        tiny_images(folder, len(expected))
    source = FolderSource(folder, folder, services.folder_limits)
    files = [item.file for item in asyncio.run(services.image_sets.import_folder(name, source)).items]
    store_ground_truth(services, dict(zip(files, expected, strict=True)), name)
    return files


def store_ground_truth(services, by_file, name="s"):
    records = [{"file": file, **values} for file, values in by_file.items()]
    asyncio.run(services.image_sets.attach_records(name, records, source="test", image_key="file"))


def store_run(services, run_id, predicted, *, image_set="s", scored=True, second=0, **fields):
    """A batch run of `predicted` by file, and its evaluation unless it is not to be scored; None predicts nothing."""
    batch = _batch(services, run_id, predicted, image_set=image_set, second=second, **fields)
    rel = batch_key(date(2026, 11, 28), run_id)
    asyncio.run(services.runs.save(rel, batch.to_bytes(), batch.model_dump(mode="json", exclude={"items"})))
    if scored:
        save_evaluation(services, score_batch(services, services.runs.find(run_id)))


def _batch(services, run_id, predicted, *, second, task_id=TASK, **fields):
    items = [_item(run_id, file, value) for file, value in predicted.items()]
    failed = sum(value is None for value in predicted.values())
    at = f"2026-11-28T00:00:{second:02}.000000Z"
    known = {
        "run_id": run_id,
        "created_at": at,
        "finished_at": at,
        "task_id": task_id,
        "status": "succeeded",
        "status_reason": None,
        "image_set_version": 1,
        "images_dir": "",
        "glob": "*",
        "concurrency": 1,
        "item_count": len(items),
        "ok_count": len(items) - failed,
        "error_count": failed,
        "pending_count": 0,
        "schema_valid_count": len(items) - failed,
        "reused_count": 0,
        "errors_by_code": {},
        "timings_ms": {"total": 1.0},
        "auth": Auth(),
        "dagster_run_id": None,
        "source_run_id": None,
        "resumed_from": None,
        "backend": "mock",
        "model_id": "mock",
        "prompt_sha256": "0" * 64,
        "schema_sha256": services.tasks[task_id].schema_sha256,
        "temperature": 0.0,
        "max_tokens": 100,
        "code_version": "test",
        "items": items,
    }
    return BatchRun(**{**known, **fields})


def _item(run_id, file, value):
    failed = value is None
    return BatchItem(
        file=file,
        request_id=f"{run_id}-{file.removesuffix('.png')}",
        input_ref=None,
        artifact_rel=f"extracts/2026-11-28/{run_id}-{file}.json",
        ok=not failed,
        parsed=value,
        schema_valid=None if failed else True,
        schema_errors=None,
        error=RecordedError(code="backend_error", message="no") if failed else None,
        error_history=None,
        timings_ms=Timings(vllm=1.0, parse_validate=1.0, total=10.0, preprocess=1.0),
        usage=None,
    )
