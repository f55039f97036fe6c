"""Evaluations and batch runs to report, made by the real evaluator from predictions."""

from __future__ import annotations

from typing import Any

from ocrlty_pipeline.errors import BackendError
from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationIdentity
from ocrlty_pipeline.ground_truth import GroundTruthMatch
from ocrlty_pipeline.records import Auth, BatchItem, BatchRun, RecordedError, SchemaViolation, Timings

SCHEMA = {
    "type": "object",
    "properties": {
        "company": {"type": "string"},
        "total": {"type": "string", "format": "x-money"},
        "menu": {"type": "array", "items": {"type": "object", "properties": {"nm": {"type": "string"}}}},
    },
}
CREATED_AT = "2026-11-28T10:00:00.000000Z"


def item(file: str, predicted: Any, *, latency: float = 1200.0, message: str = "no answer") -> BatchItem:
    """One image's line; without a prediction it failed, with a number for one it departs from the schema."""
    failed = predicted is None
    odd = isinstance(predicted, dict) and isinstance(predicted.get("total"), int)
    return BatchItem(
        file=file,
        request_id=f"r-{file}",
        input_ref=None,
        artifact_rel="extracts/2026-11-28/r.json",
        ok=not failed,
        parsed=predicted,
        schema_valid=None if failed else not odd,
        schema_errors=[SchemaViolation(path="$.total", message="7 is not of type 'string'")] if odd else None,
        error=RecordedError.of(BackendError(message)) if failed else None,
        error_history=None,
        timings_ms=Timings(vllm=latency, parse_validate=0, total=latency, preprocess=0),
        usage={"prompt_tokens": 10},
    )


def batch(items: list[BatchItem], **changes: Any) -> BatchRun:
    known = {
        "run_id": "run-1",
        "created_at": CREATED_AT,
        "finished_at": CREATED_AT,
        "task_id": "receipts",
        "status": "succeeded",
        "status_reason": None,
        "image_set": "march",
        "image_set_version": 1,
        "images_dir": "/data",
        "glob": "**/*",
        "concurrency": 4,
        "item_count": len(items),
        "ok_count": sum(i.ok for i in items),
        "error_count": sum(not i.ok for i in items),
        "pending_count": 0,
        "schema_valid_count": sum(bool(i.schema_valid) for i in items),
        "reused_count": 0,
        "errors_by_code": {},
        "checks": {"total_adds_up": {"passed": 3, "violated": 1}},
        "timings_ms": {"total": 1.0},
        "auth": Auth(),
        "dagster_run_id": None,
        "source_run_id": None,
        "resumed_from": None,
        "backend": "vllm",
        "model_id": "Qwen/Qwen3-VL-8B-Instruct",
        "prompt_sha256": "a" * 64,
        "schema_sha256": "b" * 64,
        "temperature": 0.0,
        "max_tokens": 100,
        "code_version": "test",
        "items": items,
    }
    return BatchRun(**{**known, **changes})


def evaluated(run: BatchRun, expected: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> Evaluation:
    identity = EvaluationIdentity(
        eval_id=f"eval-{run.run_id}",
        created_at=CREATED_AT,
        run_id=run.run_id,
        task_id=run.task_id,
        image_set=run.image_set,
        ground_truth_version=1,
    )
    return evaluate([Sample.of(i) for i in run.items], GroundTruthMatch(expected, (), ()), schema, identity)
