"""A run's samples to an evaluation: compares each sample once, and puts the figures together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ocrlty_pipeline.evaluation import metrics
from ocrlty_pipeline.evaluation.nodes import Node, Side, Tree
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.outcomes import OUTCOMES, Mismatch, Outcome, Tally
from ocrlty_pipeline.evaluation.plan import Plan
from ocrlty_pipeline.evaluation.published import PublishedScores, as_columns, published_scores
from ocrlty_pipeline.evaluation.results import (
    Evaluation,
    EvaluationIdentity,
    EvaluationSummary,
    SampleScore,
    Unscored,
)
from ocrlty_pipeline.evaluation.uncertainty import estimates
from ocrlty_pipeline.ground_truth import GroundTruthMatch
from ocrlty_pipeline.records import BatchItem

NO_PREDICTION = "no_prediction"


@dataclass(frozen=True, slots=True)
class Sample:
    """What a run made of one image.

    Attributes:
        predicted: the JSON value; None when there is none.
        error: code of what failed; None when nothing did.
        schema_valid: None when there was nothing to validate.
    """

    request_id: str
    file: str
    predicted: Any
    error: str | None = None
    schema_valid: bool | None = None
    latency_ms: float | None = None
    usage: Mapping[str, int] | None = None

    @classmethod
    def of(cls, item: BatchItem) -> Self:
        return cls(
            request_id=item.request_id,
            file=item.file,
            predicted=item.parsed,
            error=item.error.code if item.error else None,
            schema_valid=item.schema_valid,
            latency_ms=item.timings_ms.total,
            usage=item.usage,
        )

    @property
    def failure(self) -> str | None:
        """Why there is nothing to compare; None when there is something."""
        return self.error or (NO_PREDICTION if self.predicted is None else None)


def evaluate(
    samples: Sequence[Sample],
    ground_truth: GroundTruthMatch,
    schema: Mapping[str, Any],
    identity: EvaluationIdentity,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Score a run's samples against ground truth.

    A failed sample counts with all its expected leaves missed. A sample without ground truth is listed, and enters no
    figure but the run's own (error and schema-valid rates, latency, tokens).
    """
    options = options or EvaluationOptions()
    scored = [sample for sample in samples if sample.file in ground_truth.by_file]
    comparison = compare_all(scored, ground_truth, Plan(schema, options))
    reached = {sample.file for sample in samples}
    return Evaluation(
        **identity.model_dump(),
        options=options,
        summary=_summary(samples, comparison),
        fields={
            path: metrics.field_score(counts)
            for path, counts in zip(comparison.fields, comparison.counts.sum(axis=0), strict=True)
        },
        samples=_sample_scores(scored, comparison),
        not_scored=[
            Unscored(request_id=sample.request_id, file=sample.file)
            for sample in samples
            if sample.file not in ground_truth.by_file
        ],
        gt_without_sample=[file for file in ground_truth.by_file if file not in reached],
        gt_without_image=list(ground_truth.unmatched_entries),
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """All samples compared; every metric is a function of this.

    Attributes:
        counts: leaves by sample, field and outcome.
        mismatches: by sample.
        failed: by sample; a failed one is never exact, even where nothing is expected.
        published: by sample.
    """

    fields: list[str]
    counts: metrics.Counts
    mismatches: list[list[Mismatch]]
    failed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    published: list[PublishedScores]
    outside_predicted: Counter[str]
    outside_expected: Counter[str]

    @property
    def exact(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return metrics.flawless(self.counts.sum(axis=1)) & ~self.failed


def compare_all(samples: Sequence[Sample], ground_truth: GroundTruthMatch, plan: Plan) -> Comparison:
    """Compare each sample with what is expected of its file; every file must have ground truth."""
    counts = np.zeros((len(samples), len(plan.fields) * OUTCOMES), dtype=np.int32)
    mismatches, published = [], []
    predicted_side, expected_side = Side(is_prediction=True), Side(is_prediction=False)
    for row, sample in zip(counts, samples, strict=True):
        tally = Tally(len(plan.fields))
        answer, truth = None if sample.failure else sample.predicted, ground_truth.by_file[sample.file]
        predicted, answer = _read(plan.root, answer, predicted_side)
        expected, truth = _read(plan.root, truth, expected_side)
        plan.root.compare(predicted, expected, (), tally)
        row[:] = tally.counts
        mismatches.append(tally.mismatches)
        published.append(published_scores(answer, truth))
    return Comparison(
        fields=plan.fields,
        counts=counts.reshape(len(samples), len(plan.fields), OUTCOMES),
        mismatches=mismatches,
        failed=np.array([sample.failure is not None for sample in samples], dtype=np.bool_),
        published=published,
        outside_predicted=predicted_side.outside,
        outside_expected=expected_side.outside,
    )


def _read(root: Node, document: Any, side: Side) -> tuple[Tree, Any]:
    """A document's canonical tree, and the document as far as the schema knows it."""
    before = side.departures
    tree = root.read(document, side)
    return tree, document if side.departures == before else root.within_schema(document)


def _summary(samples: Sequence[Sample], comparison: Comparison) -> EvaluationSummary:
    by_field = comparison.counts.sum(axis=0)
    errors = Counter(sample.failure for sample in samples if sample.failure)
    tokens: Counter[str] = Counter()
    for sample in samples:
        tokens.update(sample.usage or {})
    exact = comparison.exact
    return EvaluationSummary(
        sample_count=len(samples),
        scored_count=exact.size,
        failed_count=errors.total(),
        exact_match=metrics.rate(int(exact.sum()), exact.size),
        schema_valid=metrics.rate(sum(s.schema_valid is True and not s.failure for s in samples), len(samples)),
        error=metrics.rate(errors.total(), len(samples)),
        micro=metrics.field_score(by_field.sum(axis=0)),
        macro=metrics.macro_scores(by_field),
        estimates=estimates(comparison.counts, as_columns(comparison.published)),
        errors=_by_frequency(errors),
        latency_ms=metrics.distribution([s.latency_ms for s in samples if s.latency_ms is not None]),
        tokens=dict(tokens),
        outside_predicted=_by_frequency(comparison.outside_predicted),
        outside_expected=_by_frequency(comparison.outside_expected),
    )


def _by_frequency(counter: Counter[str]) -> dict[str, int]:
    """The most frequent first, then by name: the same evaluation gives the same bytes."""
    return dict(sorted(counter.items(), key=lambda entry: (-entry[1], entry[0])))


def _sample_scores(samples: Sequence[Sample], comparison: Comparison) -> list[SampleScore]:
    accuracies = metrics.accuracy(comparison.counts.sum(axis=1)).tolist()
    matched = comparison.counts[:, :, Outcome.MATCHED].tolist()
    return [
        # Validation would cost more than the comparison did, and these are our own values.
        SampleScore.model_construct(
            request_id=sample.request_id,
            file=sample.file,
            error=sample.failure,
            accuracy=metrics.figure(accuracies[i]),
            exact=exact,
            latency_ms=sample.latency_ms,
            matched=matched[i],
            mismatches=comparison.mismatches[i],
            anls=published.anls,
            tree_edit=published.tree_edit,
            donut=published.donut,
            kieval=published.kieval,
        )
        for i, (sample, exact, published) in enumerate(
            zip(samples, comparison.exact.tolist(), comparison.published, strict=True)
        )
    ]
