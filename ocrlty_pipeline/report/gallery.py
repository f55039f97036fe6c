"""The data of the galleries: what the page's script shows of each document, bounded in number and bytes.

A leaf is `[path, field, kind, expected, [prediction, ...], reading of the expected]`: `field` an index, `path` null
where it is the field's name. A prediction is `[value, outcome, reading]`, its outcome null where it is the leaf's kind.
Nulls at the end are left out. A value is a string as it is, null where there is none, `{"j": JSON text}` of anything
else; a reading is the canonical value where it is not what the eye sees. `page.js` reads this and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ocrlty_pipeline.evaluation.comparison.results import Comparison, LeafChange, SampleChange
from ocrlty_pipeline.evaluation.outcomes import Mismatch
from ocrlty_pipeline.evaluation.results import Evaluation, SampleScore
from ocrlty_pipeline.records import BatchItem, BatchRun
from ocrlty_pipeline.report.page import script_json

# Both keep the page below 3 MB, and its previews to what a person could ever look through.
MAX_DOCUMENTS = 2000
MAX_BYTES = 2_300_000
MAX_TEXT = 400
MAX_LEAVES = 200
_RIGHT = {"matched", "both_absent"}


@dataclass(frozen=True, slots=True)
class Gallery:
    """The documents that a page holds, in the image set's order; `total` counts those there are."""

    documents: list[dict[str, Any]]
    total: int


def faulty_documents(evaluation: Evaluation, batch: BatchRun) -> Gallery:
    """The documents of a run that are not all right, failed, or do not stand a check without ground truth."""
    samples = {sample.file: sample for sample in evaluation.samples}
    fields = {field: i for i, field in enumerate(evaluation.fields)}
    found = ((item, samples.get(item.file)) for item in batch.items)
    return _bounded(_faulty(item, sample, fields) for item, sample in found if _has_fault(item, sample))


def changed_documents(comparison: Comparison) -> Gallery:
    """The documents of a comparison of which something was fixed or broken."""
    fields = {field.field: i for i, field in enumerate(comparison.fields)}
    return _bounded(_changed(sample, fields) for sample in comparison.samples)


def _bounded(documents: Iterator[dict[str, Any]]) -> Gallery:
    kept: list[dict[str, Any]] = []
    room = MAX_BYTES
    for document in documents:
        room -= len(script_json(document).encode("utf-8", "replace"))
        if room < 0 or len(kept) == MAX_DOCUMENTS:
            return Gallery(kept, len(kept) + 1 + sum(1 for _ in documents))
        kept.append(document)
    return Gallery(kept, len(kept))


def _has_fault(item: BatchItem, sample: SampleScore | None) -> bool:
    return not item.ok or bool(item.violations) or (sample is not None and not sample.exact)


def _faulty(item: BatchItem, sample: SampleScore | None, fields: Mapping[str, int]) -> dict[str, Any]:
    code = item.error.code if item.error else sample and sample.error
    message = item.error.message if item.error else ""
    mismatches = sample.mismatches if sample else []
    return {
        "file": item.file,
        "id": item.request_id,
        "errors": [[code, _cut(message)]] if code else [],
        "checks": [[violation.check, _cut(violation.message)] for violation in item.violations],
        "ms": item.timings_ms.total or None,
        "right": sum(sample.matched) if sample else None,
        "faults": len(mismatches),
        "leaves": [_leaf(mismatch, fields) for mismatch in mismatches[:MAX_LEAVES]],
    }


def _leaf(mismatch: Mismatch, fields: Mapping[str, int]) -> list[Any]:
    predicted = _value(mismatch.predicted), None, _reading(mismatch.predicted, mismatch.predicted_canonical)
    return _trimmed(
        _path(mismatch.path, mismatch.field),
        fields[mismatch.field],
        mismatch.kind,
        _value(mismatch.expected),
        [_trimmed(*predicted)],
        _reading(mismatch.expected, mismatch.expected_canonical),
    )


def _changed(sample: SampleChange, fields: Mapping[str, int]) -> dict[str, Any]:
    errors = [[side, code] for side, code in (("A", sample.error_a), ("B", sample.error_b)) if code]
    return {
        "file": sample.file,
        "id": sample.request_id_b,
        "errors": errors,
        "checks": [],
        "document": sample.document,
        "faults": len(sample.leaves),
        "leaves": [_change(leaf, fields) for leaf in sample.leaves[:MAX_LEAVES]],
    }


def _change(leaf: LeafChange, fields: Mapping[str, int]) -> list[Any]:
    predicted = [[_value(leaf.predicted_a), leaf.outcome_a], [_value(leaf.predicted_b), leaf.outcome_b]]
    return [_path(leaf.path, leaf.field), fields[leaf.field], _kind(leaf), _value(leaf.expected), predicted]


def _kind(leaf: LeafChange) -> str:
    right_a, right_b = leaf.outcome_a in _RIGHT, leaf.outcome_b in _RIGHT
    if right_a == right_b:
        return "unchanged"
    return "fixed" if right_b else "broken"


def _path(path: str, field: str) -> str | None:
    return None if path == field else path


def _trimmed(*values: Any) -> list[Any]:
    kept = list(values)
    while len(kept) > 1 and kept[-1] is None:
        kept.pop()
    return kept


def _value(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return _cut(value)
    return {"j": _cut(json.dumps(value, ensure_ascii=False))}


def _reading(value: Any, canonical: str | None) -> str | None:
    seen = " ".join(value.split()) if isinstance(value, str) else value
    return None if canonical in (None, value, seen) else _cut(str(canonical))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text):,} characters)"
