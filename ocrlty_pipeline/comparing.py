"""Stored batch runs against each other: what is fetched for a comparison, and what is scored anew for it.

`evaluation.comparison` is pure; nothing is stored here either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.artifacts.keys import ground_truth_prefix
from ocrlty_pipeline.blocking import result_of
from ocrlty_pipeline.collector import without_cycle_collection
from ocrlty_pipeline.evaluation.comparison.compare import Side, compare
from ocrlty_pipeline.evaluation.comparison.results import Comparison, SettingChange
from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.records import BatchHeader, BatchRun, ModelFields
from ocrlty_pipeline.scoring import score_batch
from ocrlty_pipeline.services import Services

# What may make two runs differ, in the order of a batch run's header.
_SETTINGS = ("image_set", "image_set_version", "task_id", *ModelFields.model_fields)


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


def _stored(services: Services, run_id: str) -> _Stored:
    runs = services.runs
    row = runs.find(run_id)
    return _Stored(row, result_of(runs.load(row)), result_of(runs.latest_evaluation(run_id)))


def _compare(services: Services, a: _Stored, b: _Stored, *, intersection: bool) -> Comparison:
    newest = _newest_version(services, a, b)
    sides = [
        _side(services, run, _reason_to_rescore(run.evaluation, other.evaluation, newest))
        for run, other in ((a, b), (b, a))
    ]
    return compare(sides[0], sides[1], intersection=intersection, settings=_settings(a.batch, b.batch))


def _newest_version(services: Services, a: _Stored, b: _Stored) -> int | None:
    """Of the ground truth, where it decides: versions count within one image set only."""
    if a.batch.image_set != b.batch.image_set:
        return None
    versions = {run.evaluation.ground_truth_version for run in (a, b) if run.evaluation}
    if len(versions) == 1 and a.evaluation and b.evaluation:
        return None
    return result_of(services.store.latest_version(ground_truth_prefix(a.batch.image_set)))


def _reason_to_rescore(evaluation: Evaluation | None, other: Evaluation | None, newest: int | None) -> str | None:
    if evaluation is None:
        return "it had no evaluation"
    if newest is not None and evaluation.ground_truth_version != newest:
        return f"its evaluation is of version {evaluation.ground_truth_version} of the ground truth, not {newest}"
    if other is not None and evaluation.options != other.options:
        return "the two evaluations compare values by different options"
    return None


def _side(services: Services, run: _Stored, rescored: str | None) -> Side:
    evaluation = run.evaluation
    if evaluation is None or rescored is not None:
        evaluation = score_batch(services, run.row)
    return Side(evaluation, {item.file: item.parsed for item in run.batch.items}, rescored)


def _settings(a: BatchHeader, b: BatchHeader) -> list[SettingChange]:
    pairs: list[tuple[str, Any, Any]] = [(name, getattr(a, name), getattr(b, name)) for name in _SETTINGS]
    return [SettingChange(name=name, a=ours, b=theirs) for name, ours, theirs in pairs if ours != theirs]
