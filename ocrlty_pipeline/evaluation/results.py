"""The documents of an evaluation: what the eval artifact holds, and the `eval` block that clients of a batch run read.

A figure that is undefined is None, "not scored", never 0: a field that no image of the set has is neither good nor bad.
"""

from __future__ import annotations

from typing import Any

from ocrlty_pipeline.artifacts.keys import report_of
from ocrlty_pipeline.evaluation.donut import DonutCounts
from ocrlty_pipeline.evaluation.kieval import KievalCounts
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.outcomes import Mismatch
from ocrlty_pipeline.records import Document


class Scores(Document):
    """Four figures in [0, 1]; `metrics` defines them. None where there is nothing to score."""

    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None


class FieldScore(Scores):
    """The outcomes of a field's leaves over all scored samples; `outcomes.Outcome` defines them.

    Attributes:
        support: leaves that are expected: matched, mismatch, canon_error, type_mismatch and pred_missing together.
    """

    support: int
    matched: int
    mismatch: int
    canon_error: int
    type_mismatch: int
    pred_missing: int
    gt_missing: int
    both_absent: int


class Rate(Document):
    """A share `count / total` with its 95 % Wilson interval; None when the total is 0."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    total: int


class Interval(Document):
    """A figure over the scored documents and its 95 % bootstrap interval; all None where there is nothing to score."""

    value: float | None
    low: float | None
    high: float | None


class Estimates(Document):
    """Each figure of the run with its interval; `uncertainty` defines the intervals, the metric's module the figure.

    Attributes:
        resamples, seed: of the bootstrap.
        anls, tree_edit: means over the documents.
        donut_f1, entity_f1, group_f1, aligned: of the counts summed over the documents; the last three are KIEval's.
    """

    resamples: int
    seed: int
    micro_f1: Interval
    micro_accuracy: Interval
    macro_f1: Interval
    macro_accuracy: Interval
    anls: Interval
    tree_edit: Interval
    donut_f1: Interval
    entity_f1: Interval
    group_f1: Interval
    aligned: Interval


class Distribution(Document):
    """Milliseconds over the samples that were timed."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class EvaluationSummary(Document):
    """The run in figures.

    Attributes:
        sample_count, failed_count: of the run; failed means an error, or no prediction.
        scored_count: samples with ground truth. Every figure of accuracy is over these, failed ones included.
        exact_match: scored samples whose every leaf is matched or absent on both sides.
        schema_valid, error: over all samples of the run; a failed sample is not schema-valid.
        micro: over all leaves alike. macro: the mean of the fields' figures, fields that are not scored left out.
        estimates: the figures with intervals, and the published ones; None in evaluations older than they are.
        errors: failed samples by error code, `no_prediction` where there is none.
        tokens: sums of what the backend reported.
        outside_predicted, outside_expected: how often each key stood in a document that the schema does not know.
    """

    sample_count: int
    scored_count: int
    failed_count: int
    exact_match: Rate
    schema_valid: Rate
    error: Rate
    micro: FieldScore
    macro: Scores
    estimates: Estimates | None = None
    errors: dict[str, int]
    latency_ms: Distribution | None
    tokens: dict[str, int]
    outside_predicted: dict[str, int]
    outside_expected: dict[str, int]


class SampleScore(Document):
    """One scored sample.

    Attributes:
        error: code of the failure; a failed sample's expected leaves are all `pred_missing`.
        accuracy: as `metrics.accuracy` over the sample's leaves.
        exact: whether nothing went wrong.
        matched: matched leaves of each field, in the order of the evaluation's `fields`; with the mismatches, these are
            the counts of which every figure of the fields is made.
        anls: ANLS* (`anls`).
        tree_edit: Donut's tree-edit accuracy (`tree_edit`); None when nothing is expected or the trees are too large.
        donut, kieval: the document's share in the counts of Donut's F1 (`donut`) and of KIEval (`kieval`).
    """

    request_id: str
    file: str
    error: str | None
    accuracy: float | None
    exact: bool
    latency_ms: float | None
    matched: list[int]
    mismatches: list[Mismatch]
    anls: float | None = None
    tree_edit: float | None = None
    donut: DonutCounts | None = None
    kieval: KievalCounts | None = None


class Unscored(Document):
    """A sample without ground truth."""

    request_id: str
    file: str


class EvaluationIdentity(Document):
    """Which evaluation of what."""

    eval_id: str
    created_at: str
    run_id: str
    task_id: str
    image_set: str
    ground_truth_version: int | None


class Evaluation(EvaluationIdentity):
    """A batch run scored against a ground truth: the eval artifact.

    Attributes:
        fields: by path in the schema, in its order.
        samples, not_scored: in the run's order.
        gt_without_sample: files with ground truth that the run did not reach.
        gt_without_image: ground-truth entries that name no image of the set.
    """

    format_version: int = 1
    options: EvaluationOptions
    summary: EvaluationSummary
    fields: dict[str, FieldScore]
    samples: list[SampleScore]
    not_scored: list[Unscored]
    gt_without_sample: list[str]
    gt_without_image: list[str]


def eval_block(evaluation: Evaluation, eval_artifact_rel: str) -> dict[str, Any]:
    """The `eval` block of a batch run: what its clients need without opening the eval artifact."""
    return {
        "summary": evaluation.summary.model_dump(mode="json"),
        "fields": {path: score.model_dump(mode="json") for path, score in evaluation.fields.items()},
        "by_request_id": {
            sample.request_id: sample.model_dump(mode="json", exclude={"request_id", "matched"})
            for sample in evaluation.samples
        },
        "eval_artifact_rel": eval_artifact_rel,
        "report_rel": report_of(eval_artifact_rel),
    }
