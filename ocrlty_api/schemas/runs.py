"""Answers about batch runs, their items and their evaluations."""

from typing import Any, Self

from pydantic import ConfigDict, Field

from ocrlty_api.schemas.common import Answer
from ocrlty_api.schemas.extracts import ExtractAnswer
from ocrlty_pipeline.artifacts.index import ListedRun
from ocrlty_pipeline.evaluation.comparison.results import Comparison
from ocrlty_pipeline.records import BatchItem

RUN: dict[str, Any] = {
    "run_id": "receipts-0001",
    "created_at": "2026-11-24T00:08:40.029029Z",
    "task_id": "receipt_fields_v1",
    "model_id": "Qwen/Qwen3-VL-8B-Instruct",
    "prompt_sha256": "121e2d58ca44" + "0" * 52,
    "schema_sha256": "c6c22069f80a" + "0" * 52,
    "temperature": 0.0,
    "max_tokens": 1024,
    "code_version": "unknown",
    "status": "succeeded",
    "image_set": "receipts",
    "item_count": 3,
    "ok_count": 3,
    "error_count": 0,
    "artifact_rel": "batches/2026-11-24/receipts-0001.json",
}
ITEM: dict[str, Any] = {
    "file": "cord_0001.jpg",
    "request_id": "465cc6d64a0ea09fc1e5315de8dfe776",
    "input_ref": "inputs/client-1/4e/ee/4eee" + "0" * 60 + ".jpg",
    "artifact_rel": "extracts/2026-11-24/465cc6d64a0ea09fc1e5315de8dfe776.json",
    "ok": True,
    "parsed": {"total": "82.50"},
    "schema_valid": True,
    "schema_errors": None,
    "error": None,
    "error_history": None,
    "timings_ms": {"vllm": 812.4, "parse_validate": 0.3, "total": 815.0, "preprocess": 1.9},
    "usage": None,
}
CURSOR = "2026-11-24T00:08:40.029029+00:00|receipts-0001"
_PAIRS: dict[str, Any] = {"both_right": 4, "both_wrong": 2, "fixed": 9, "broken": 0, "p_value": 0.0039}
_F1: dict[str, Any] = {
    "name": "field_f1", "label": "Field F1", "a": 0.71, "b": 0.93, "difference": 0.22, "low": 0.11, "high": 0.34,
}  # fmt: skip
_RUN: dict[str, Any] = {
    "eval_id": "eval-7c975a5c77684d94", "task_id": "receipt_fields_v1", "image_set": "march",
    "created_at": "2026-11-24T00:08:40.029029Z", "ground_truth_version": 1,
}  # fmt: skip
COMPARISON: dict[str, Any] = {
    "verdict": "better", "words": "B is better than A.", "p_value": 0.0078, "f1_p_value": 0.002, "alpha": 0.03,
    "resamples": 2000, "seed": 0, "a": {"run_id": "monday-1", **_RUN}, "b": {"run_id": "tuesday-1", **_RUN},
    "paired": 15, "only_a": [], "only_b": [], "documents": _PAIRS, "figures": [_F1],
    "fields": [{"field": "total", "documents": _PAIRS, "f1": _F1, "p_adjusted": 0.03, "verdict": "better"}],
    "fields_only_a": [], "fields_only_b": [], "samples": [], "settings": [],
}  # fmt: skip

EVALUATION: dict[str, Any] = {
    "eval_id": "eval-0011223344556677",
    "created_at": "2026-11-24T00:09:00.000000Z",
    "run_id": "receipts-0001",
    "task_id": "receipt_fields_v1",
    "image_set": "receipts",
    "ground_truth_version": 1,
    "summary": {"sample_count": 3, "scored_count": 3},
    "fields": {},
    "samples": [],
}


def example(value: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class RunSummary(Answer):
    """A batch run in a list; `eval_summary` is that of its latest evaluation, `total_time` in milliseconds."""

    run_id: str
    created_at: str
    task_id: str | None
    model_id: str | None
    prompt_sha256: str | None
    schema_sha256: str | None
    temperature: float | None
    max_tokens: int | None
    code_version: str | None
    status: str | None
    image_set: str | None
    item_count: int | None
    ok_count: int | None
    error_count: int | None
    total_time: float | None
    artifact_rel: str
    eval_summary: dict[str, Any] | None

    @classmethod
    def of(cls, run: ListedRun) -> Self:
        row = run.row
        made_with = dict.fromkeys(cls.model_fields) | dict(row.summary or {})
        facts = {name: getattr(row, name) for name in ("task_id", "image_set", "item_count", "ok_count", "error_count")}
        return cls.model_validate(
            made_with
            | facts
            | {
                "run_id": row.artifact_id,
                "created_at": row.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "artifact_rel": row.rel_ref,
                "eval_summary": run.eval_summary,
            }
        )


class RunPage(Answer):
    """Batch runs, newest first; `next_cursor` is null on the last page."""

    model_config = example(
        {"items": [RUN | {"total_time": 85.0, "eval_summary": None}], "limit": 1, "next_cursor": CURSOR}
    )

    items: list[RunSummary]
    limit: int
    next_cursor: str | None


class RunDocument(Answer):
    """A batch run with all of its items and, once it was evaluated, the `eval` block of its latest evaluation."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [RUN | {"timings_ms": {"total": 85.0}, "items": [ITEM], "eval": None}]},
    )

    run_id: str
    created_at: str
    task_id: str
    item_count: int
    ok_count: int
    error_count: int
    artifact_rel: str
    items: list[BatchItem]
    eval: dict[str, Any] | None


class RunItemPage(Answer):
    """Some of a run's items, in its image set's order; `next_cursor` is null on the last page."""

    model_config = example({"items": [ITEM], "limit": 1, "next_cursor": "0"})

    items: list[BatchItem]
    limit: int
    next_cursor: str | None


class RecordAnswer(ExtractAnswer):
    """One record as it is kept: a single extract, or a batch run's item."""

    run_id: str | None = Field(None, description="The batch run that made it; null for a single extract.")
    temperature: float
    max_tokens: int
    code_version: str
    input: dict[str, Any]
    reused_from: str | None = None


class EvaluationDocument(Answer):
    """An evaluation: summary, fields, samples with their mismatches."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [EVALUATION]})

    eval_id: str
    created_at: str
    run_id: str
    summary: dict[str, Any]
    fields: dict[str, Any]


class ComparisonAnswer(Comparison):
    """Run `b` against run `a`: a verdict in words, differences with intervals, and what was fixed and broken."""

    model_config = ConfigDict(json_schema_extra={"examples": [COMPARISON]})


class DeletedRunAnswer(Answer):
    """What was removed, in artifacts; `kept_extracts` belong to other runs as well."""

    model_config = example({"run_id": "receipts-0001", "extracts": 3, "evaluations": 1, "kept_extracts": 0})

    run_id: str
    extracts: int
    evaluations: int
    kept_extracts: int
