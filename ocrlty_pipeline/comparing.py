"""Stored batch runs against each other: what is fetched for a comparison, and what is scored anew for it.

`evaluation.comparison` is pure; nothing is stored here either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.artifacts.keys import ground_truth_prefix, image_sha256
from ocrlty_pipeline.blocking import result_of
from ocrlty_pipeline.collector import without_cycle_collection
from ocrlty_pipeline.evaluation.comparison.compare import Side, compare
from ocrlty_pipeline.evaluation.comparison.results import Comparison, SettingChange
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.records import BatchHeader, BatchRun, ModelFields
from ocrlty_pipeline.scoring import score_batch
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.task_texts import prompt_of, schema_of

# What may make two runs differ, in the order of a batch run's header.
_SETTINGS = ("image_set", "image_set_version", "task_id", *ModelFields.model_fields)


@dataclass(frozen=True, slots=True)
class ChangedText:
    """The prompt or the schema, which two runs do not share; a side is None where its text is unknown.

    Apart from the comparison: who may read how runs compare need not be one to read their prompts.
    """

    name: Literal["prompt", "schema"]
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A run as it is stored, with its latest evaluation if there is one."""

    row: IndexRow
    batch: BatchRun
    evaluation: Evaluation | None


def compare_runs(services: Services, a: str, b: str, *, intersection: bool = False) -> Comparison:
    """Compare run B with run A by their latest evaluations.

    A run that was never evaluated is scored for this; so is one whose evaluation is of an older version of the ground
    truth than the other's, or compares otherwise. `Comparison.a.rescored` and `b.rescored` say so.

    Args:
        services: of this process.
        a: id of the run that is compared against.
        b: id of the run in question.
        intersection: whether images that only one of them has are left out, instead of refused.

    Raises:
        ArtifactNotFoundError: there is no run of an id.
        GroundTruthError: a run has to be scored, and its image set has no ground truth.
        InputError: the runs cannot be compared; says why and what can be done.
        TaskError: a run has to be scored, and its task's schema has changed since.
    """
    with without_cycle_collection():
        ours, theirs = (_stored(services, run_id) for run_id in (a, b))
        return _compare(services, ours, theirs, intersection=intersection)


def compare_evaluation(services: Services, baseline: str, evaluation: Evaluation) -> Comparison:
    """Compare an evaluation that need not be stored yet with a run of the same image set, over the images of both.

    Raises:
        As `compare_runs` does.
    """
    with without_cycle_collection():
        row = services.runs.find(evaluation.run_id)
        batch = result_of(services.runs.load(row))
        ours, theirs = _stored(services, baseline), _Stored(row, batch, evaluation)
        return _compare(services, ours, theirs, intersection=True)


def changed_texts(services: Services, comparison: Comparison) -> list[ChangedText]:
    """The prompts and the schemas of two compared runs, where they differ.

    Known are those kept with the runs and those of today's tasks.

    Raises:
        StorageUnavailableError: the store cannot be read.
    """
    changed = {change.name: change for change in comparison.settings}
    found: list[ChangedText] = []
    if prompt := changed.get("prompt_sha256"):
        found.append(ChangedText("prompt", _prompt(services, prompt.a), _prompt(services, prompt.b)))
    if schema := changed.get("schema_sha256"):
        found.append(ChangedText("schema", _schema(services, schema.a), _schema(services, schema.b)))
    return found


def _prompt(services: Services, sha256: str) -> str | None:
    kept = result_of(prompt_of(services.store, sha256))
    return kept or next((task.prompt for task in services.tasks if task.prompt_sha256 == sha256), None)


def _schema(services: Services, sha256: str) -> str | None:
    kept = result_of(schema_of(services.store, sha256))
    schema = kept or next((task.schema for task in services.tasks if task.schema_sha256 == sha256), None)
    return None if schema is None else json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False)


def _stored(services: Services, run_id: str) -> _Stored:
    runs = services.runs
    row = runs.find(run_id)
    return _Stored(row, result_of(runs.load(row)), result_of(runs.latest_evaluation(run_id)))


def _compare(services: Services, a: _Stored, b: _Stored, *, intersection: bool) -> Comparison:
    newest = _newest_version(services, a, b)
    reasons = _reasons_to_rescore((a.evaluation, b.evaluation), newest)
    sides = [_side(services, run, reason) for run, reason in zip((a, b), reasons, strict=True)]
    return compare(sides[0], sides[1], intersection=intersection, settings=_settings(a.batch, b.batch))


def _newest_version(services: Services, a: _Stored, b: _Stored) -> int | None:
    """Of the ground truth, where it decides: versions count within one image set only."""
    if a.batch.image_set != b.batch.image_set:
        return None
    versions = {run.evaluation.ground_truth_version for run in (a, b) if run.evaluation}
    if len(versions) == 1 and a.evaluation and b.evaluation:
        return None
    return result_of(services.store.latest_version(ground_truth_prefix(a.batch.image_set)))


def _reasons_to_rescore(
    evaluations: tuple[Evaluation | None, Evaluation | None], newest: int | None
) -> list[str | None]:
    """By side, why its stored evaluation cannot stand; None where it can."""
    reasons = [_out_of_date(evaluation, newest) for evaluation in evaluations]
    # Scoring anew is by the default options, whatever the stored evaluation was made with.
    options = [
        evaluation.options if evaluation and reason is None else EvaluationOptions()
        for evaluation, reason in zip(evaluations, reasons, strict=True)
    ]
    if options[0] == options[1]:
        return reasons
    return [reason or "the two evaluations compare values by different options" for reason in reasons]


def _out_of_date(evaluation: Evaluation | None, newest: int | None) -> str | None:
    if evaluation is None:
        return "it had no evaluation"
    if newest is not None and evaluation.ground_truth_version != newest:
        return f"its evaluation is of version {evaluation.ground_truth_version} of the ground truth, not {newest}"
    return None


def _side(services: Services, run: _Stored, rescored: str | None) -> Side:
    evaluation = run.evaluation
    if evaluation is None or rescored is not None:
        evaluation = score_batch(services, run.row)
    items = run.batch.items
    images = {item.file: hashed for item in items if item.input_ref and (hashed := image_sha256(item.input_ref))}
    return Side(evaluation, {item.file: item.parsed for item in items}, rescored, images)


def _settings(a: BatchHeader, b: BatchHeader) -> list[SettingChange]:
    pairs: list[tuple[str, Any, Any]] = [(name, getattr(a, name), getattr(b, name)) for name in _SETTINGS]
    return [SettingChange(name=name, a=ours, b=theirs) for name, ours, theirs in pairs if ours != theirs]
