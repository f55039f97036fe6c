"""A stored batch run scored against its image set's stored ground truth.

`evaluation` is pure; what is fetched for it, and how its result is named and stored, is decided here.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import date

from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.artifacts.keys import eval_key
from ocrlty_pipeline.collector import without_cycle_collection
from ocrlty_pipeline.errors import GroundTruthError, TaskError
from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationIdentity
from ocrlty_pipeline.ground_truth import ground_truth_of
from ocrlty_pipeline.image_sets import StoredGroundTruth
from ocrlty_pipeline.overrides import NONE as NO_OVERRIDES
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.records import BatchRun, utc_now
from ocrlty_pipeline.services import Services


@dataclass(frozen=True, slots=True)
class Against:
    """Which ground truth a run is scored against; without more, the latest of its image set.

    Attributes:
        image_set: the set whose ground truth is taken; None for the run's own.
        given: a ground truth instead, such as an earlier version, or one that is not stored.
        image_key: under which an entry names its image; None for the key that was given with the ground truth.
    """

    image_set: str | None = None
    given: StoredGroundTruth | None = None
    image_key: str | None = None


LATEST = Against()


def score_batch(
    services: Services, row: IndexRow, against: Against = LATEST, overrides: Overrides = NO_OVERRIDES
) -> Evaluation:
    """Evaluate a batch run; stores nothing.

    Args:
        services: where run and ground truth are.
        row: the run.
        against: its ground truth.
        overrides: those that the run was made with.

    Raises:
        GroundTruthError: the set has no ground truth, or none of it speaks of the run's images.
        TaskError: the task's schema is no longer the one the run was made with.
    """
    with without_cycle_collection():
        return _score(services, asyncio.run(services.runs.load(row)), against, overrides)


def _score(services: Services, batch: BatchRun, against: Against, overrides: Overrides) -> Evaluation:
    named = against.image_set or batch.image_set
    stored = against.given or asyncio.run(services.image_sets.load_ground_truth(named))
    if stored is None:
        raise GroundTruthError(
            f"Image set {named!r} has no ground truth; give it some with `ocrlty import DIR --name {named} --gt FILE`."
        )
    task = overrides.of_task(services.tasks[batch.task_id])
    if task.schema_sha256 != batch.schema_sha256:
        raise TaskError(
            f"The schema of task {batch.task_id!r} has changed since run {batch.run_id!r}; run the image set again."
        )
    # The whole set's files, not those the run reached: which entry speaks of which file is not the run's to change.
    manifest = asyncio.run(services.image_sets.load(batch.image_set, batch.image_set_version))
    truth = ground_truth_of(stored.content, against.image_key or stored.image_key)
    match = truth.match([item.file for item in manifest.items])
    identity = _identity(batch, stored.version or None)
    return evaluate([Sample.of(item) for item in batch.items], match, task.schema, identity)


def save_evaluation(services: Services, evaluation: Evaluation) -> str:
    """Store the eval artifact; returns its key."""
    rel = eval_key(date.fromisoformat(evaluation.created_at[:10]), evaluation.eval_id)
    facts = evaluation.model_dump(mode="json", include=_INDEXED)
    asyncio.run(services.runs.save(rel, evaluation.to_bytes(), facts))
    return rel


_INDEXED = {"eval_id", "run_id", "task_id", "image_set", "created_at", "summary", "ground_truth_version"}


def _identity(batch: BatchRun, ground_truth_version: int | None) -> EvaluationIdentity:
    return EvaluationIdentity(
        eval_id=f"eval-{uuid.uuid4().hex[:16]}",
        created_at=utc_now(),
        run_id=batch.run_id,
        task_id=batch.task_id,
        image_set=batch.image_set,
        ground_truth_version=ground_truth_version,
    )
