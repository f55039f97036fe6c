"""Two evaluations to a comparison: puts pairs, tests, intervals and lists together, and finds the words.

Which test decides what, and at which level, is decided here. Fields: McNemar's exact test on the documents in which the
field is right, Holm over the fields. On the whole: the same test on whole documents, and approximate randomization of
micro F1, Holm over the two, since a set on which hardly any document is right says nothing by the first. Both families
at `ALPHA`: a run that changed nothing is called different, anywhere, in at most 6 of 100 cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation import uncertainty
from ocrlty_pipeline.evaluation.comparison.changes import Predictions, sample_changes
from ocrlty_pipeline.evaluation.comparison.figures import differences
from ocrlty_pipeline.evaluation.comparison.pairing import Images, Pairs, pair
from ocrlty_pipeline.evaluation.comparison.results import (
    NO_EVIDENCE,
    ComparedRun,
    Comparison,
    FieldComparison,
    FigureDifference,
    PairCounts,
    SettingChange,
    Verdict,
)
from ocrlty_pipeline.evaluation.comparison.significance import f1_randomization, holm, mcnemar
from ocrlty_pipeline.evaluation.comparison.tables import RunTable, run_table
from ocrlty_pipeline.evaluation.comparison.words import in_words
from ocrlty_pipeline.evaluation.results import Evaluation

ALPHA = 0.03

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Side:
    """One run as it enters a comparison.

    Attributes:
        predictions: by file, the JSON predicted; without it, a leaf that is right shows the expected value.
        rescored: why the evaluation is not the stored one; None when it is.
        images: by file, its content's hash where known.
    """

    evaluation: Evaluation
    predictions: Predictions
    rescored: str | None = None
    images: Images = field(default_factory=dict)


def compare(
    a: Side, b: Side, *, intersection: bool = False, settings: Sequence[SettingChange] = (), seed: int = 0
) -> Comparison:
    """Compare run B against run A.

    Args:
        a: the one that is compared against.
        b: the one in question.
        intersection: as `pairing.pair` has it.
        settings: what the runs were made with differently, to be handed on.
        seed: of the bootstrap and of the randomization; the same inputs and seed give the same comparison.

    Raises:
        InputError: the evaluations cannot be compared; says why and what can be done.
    """
    pairs = pair(a.evaluation, b.evaluation, (a.images, b.images), intersection=intersection)
    ours = run_table(pairs.a, list(a.evaluation.fields), pairs.fields)
    theirs = run_table(pairs.b, list(b.evaluation.fields), pairs.fields)
    figures, f1_of_fields = differences(ours, theirs, pairs.fields, whole=pairs.same_fields, seed=seed)
    documents = _counts(ours.right, theirs.right)
    f1_p_value = f1_randomization(_f1_columns(ours), _f1_columns(theirs), seed=seed)
    verdict, p_value = _overall(documents, f1_p_value, figures)
    fields = _fields(pairs, ours, theirs, f1_of_fields)
    return Comparison(
        verdict=verdict,
        words=in_words(verdict, documents, figures, fields),
        p_value=p_value,
        f1_p_value=f1_p_value,
        alpha=ALPHA,
        resamples=uncertainty.RESAMPLES,
        seed=seed,
        a=_run(a),
        b=_run(b),
        paired=len(pairs.a),
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        documents=documents,
        figures=figures,
        fields=fields,
        fields_only_a=pairs.fields_only_a,
        fields_only_b=pairs.fields_only_b,
        samples=sample_changes(pairs, ours, theirs, (a.predictions, b.predictions)),
        settings=list(settings),
        other_images=pairs.other_images,
    )


def _run(side: Side) -> ComparedRun:
    return ComparedRun(**side.evaluation.model_dump(include=set(ComparedRun.model_fields)), rescored=side.rescored)


def _counts(a: Flags, b: Flags, counted: Flags | None = None) -> PairCounts:
    """Documents by whether they are right in A and in B, over those that count."""
    counted = np.ones(len(a), dtype=np.bool_) if counted is None else counted
    fixed, broken = int((~a & b & counted).sum()), int((a & ~b & counted).sum())
    return PairCounts(
        both_right=int((a & b & counted).sum()),
        both_wrong=int((~a & ~b & counted).sum()),
        fixed=fixed,
        broken=broken,
        p_value=mcnemar(fixed, broken),
    )


def _f1_columns(run: RunTable) -> npt.NDArray[np.float64]:
    return np.column_stack([run.matched.sum(axis=1), run.both.sum(axis=1)]).astype(np.float64)


def _overall(documents: PairCounts, f1_p_value: float, figures: list[FigureDifference]) -> tuple[Verdict, float]:
    """By documents where these are significant, since they are the stricter, otherwise by micro F1."""
    by_documents, by_f1 = holm([documents.p_value, f1_p_value])
    if by_documents < ALPHA:
        return _direction(documents.fixed - documents.broken), by_documents
    if by_f1 < ALPHA:
        return _direction(next(f.difference or 0.0 for f in figures if f.name == "field_f1")), by_f1
    return NO_EVIDENCE, min(by_documents, by_f1)


def _fields(pairs: Pairs, a: RunTable, b: RunTable, f1: list[FigureDifference]) -> list[FieldComparison]:
    there = (a.both > 0) | (b.both > 0)
    counts = [_counts(a.faults[:, i] == 0, b.faults[:, i] == 0, there[:, i]) for i in range(len(pairs.fields))]
    adjusted = holm([count.p_value for count in counts])
    return [
        FieldComparison(
            field=name,
            documents=count,
            f1=figure,
            p_adjusted=p_value,
            verdict=_direction(count.fixed - count.broken) if p_value < ALPHA else NO_EVIDENCE,
        )
        for name, count, figure, p_value in zip(pairs.fields, counts, f1, adjusted, strict=True)
    ]


def _direction(difference: float) -> Verdict:
    return "better" if difference > 0 else "worse"
