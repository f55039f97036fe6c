"""The documents of a comparison: run B against run A over the same images, B being the newer or the one in question.

Every difference is B minus A. "Fixed" is wrong in A and right in B, "broken" the other way round. A document, or a
field of a document, is right when each of its leaves is matched or absent on both sides, and wrong otherwise.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ocrlty_pipeline.records import Document

Verdict = Literal["better", "worse", "no evidence of a difference"]
NO_EVIDENCE: Verdict = "no evidence of a difference"


class ComparedRun(Document):
    """One side.

    Attributes:
        ground_truth_version: against which it counts in this comparison.
        rescored: why the stored evaluation was not used and the run was scored anew for this; None when it was used.
    """

    run_id: str
    eval_id: str
    task_id: str
    image_set: str
    created_at: str
    ground_truth_version: int | None
    rescored: str | None = None


class SettingChange(Document):
    """Something that the runs were made with differently, by its name in the batch run's header."""

    name: str
    a: Any
    b: Any


class FigureDifference(Document):
    """A figure in [0, 1] of both runs over the paired documents, and what lies between them.

    Attributes:
        name, label: as `headline` has them.
        a, b: None where the figure is not scored.
        difference: b - a, with its 95 % paired bootstrap interval; None where either side is not scored.
    """

    name: str
    label: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None


class PairCounts(Document):
    """Documents by what became of them in A and in B.

    Attributes:
        p_value: McNemar's exact test of `fixed` against `broken`; 1 when there are none of either.
    """

    both_right: int
    both_wrong: int
    fixed: int
    broken: int
    p_value: float


class FieldComparison(Document):
    """One field that both evaluations have.

    Attributes:
        documents: those in which either run or the ground truth has the field.
        f1: the field's F1 over leaves.
        p_adjusted: the p-value of `documents` after Holm's correction for the number of fields.
        verdict: by `p_adjusted`.
    """

    field: str
    documents: PairCounts
    f1: FigureDifference
    p_adjusted: float
    verdict: Verdict


class LeafChange(Document):
    """One leaf that went wrong in A or in B.

    Attributes:
        path, field: as `outcomes.Mismatch` has them.
        outcome_a, outcome_b: an outcome's name in lower case; `matched` stands for `both_absent`, too.
        predicted_a, predicted_b: the values as predicted. Where a leaf in an array matched, the expected value, to
            which the predicted one is canonically equal; None where nothing was predicted.
    """

    path: str
    field: str
    expected: Any
    outcome_a: str
    outcome_b: str
    predicted_a: Any
    predicted_b: Any


class SampleChange(Document):
    """An image on which the runs differ in what is right.

    Attributes:
        document: what became of the whole document; None when it is right in both or wrong in both.
        fixed, broken: fields, in the order of the comparison's.
        leaves: those of the fixed and broken fields.
        error_a, error_b: code of what failed; None when nothing did.
    """

    file: str
    request_id_a: str
    request_id_b: str
    document: Literal["fixed", "broken"] | None
    fixed: list[str]
    broken: list[str]
    leaves: list[LeafChange]
    error_a: str | None
    error_b: str | None


class Comparison(Document):
    """Run B against run A.

    Attributes:
        verdict: on the whole; `words` says it in a sentence, with the fields that changed.
        p_value: on which the verdict rests, after Holm's correction for its two tests: `documents` and `f1_p_value`.
        f1_p_value: of the randomization test of the difference in micro F1.
        alpha: below which a p-value counts; once for the verdict on the whole, once for all fields together.
        paired: images that count: scored in both runs.
        only_a, only_b: images that count in one run only; empty unless the intersection was asked for.
        figures: the headline figures of the paired documents. Those that do not go by fields are not scored where the
            runs' fields differ.
        fields: those in both evaluations, in A's order.
        fields_only_a, fields_only_b: left out of every figure here.
        other_images: files of both runs whose images differ, and do not count; empty as `only_a` is.
        samples: images of which something was fixed or broken, in A's order.
        settings: what the runs were made with differently.
    """

    format_version: int = 1
    verdict: Verdict
    words: str
    p_value: float
    f1_p_value: float
    alpha: float
    resamples: int
    seed: int
    a: ComparedRun
    b: ComparedRun
    paired: int
    only_a: list[str]
    only_b: list[str]
    documents: PairCounts
    figures: list[FigureDifference]
    fields: list[FieldComparison]
    fields_only_a: list[str]
    fields_only_b: list[str]
    samples: list[SampleChange]
    settings: list[SettingChange]
    other_images: list[str] = Field(default_factory=list)

    def figure(self, name: str) -> FigureDifference:
        """The figure of a name: exact_match, field_f1, anls or aligned."""
        return next(figure for figure in self.figures if figure.name == name)

    def fixed(self, field: str | None = None) -> list[SampleChange]:
        """Images whose document, or whose `field` where one is named, was fixed."""
        return [s for s in self.samples if (field in s.fixed if field else s.document == "fixed")]

    def broken(self, field: str | None = None) -> list[SampleChange]:
        """Images whose document, or whose `field` where one is named, was broken."""
        return [s for s in self.samples if (field in s.broken if field else s.document == "broken")]
