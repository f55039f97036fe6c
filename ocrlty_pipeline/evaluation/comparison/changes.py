"""The images on which two runs differ, with both predictions and the expected value of every leaf that made it so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation.comparison.pairing import Pairs
from ocrlty_pipeline.evaluation.comparison.results import LeafChange, SampleChange
from ocrlty_pipeline.evaluation.comparison.tables import RunTable
from ocrlty_pipeline.evaluation.outcomes import Mismatch, Outcome
from ocrlty_pipeline.evaluation.results import SampleScore

# By file, the JSON that a run predicted.
Predictions = Mapping[str, Any]
_MATCHED = Outcome.MATCHED.name.lower()


def sample_changes(
    pairs: Pairs, a: RunTable, b: RunTable, predictions: tuple[Predictions, Predictions]
) -> list[SampleChange]:
    """Samples of which the whole or any field is right in one run only, in their order."""
    wrong_a, wrong_b = a.faults > 0, b.faults > 0
    right_a, right_b = a.right, b.right
    changed = (wrong_a != wrong_b).any(axis=1) | (right_a != right_b)
    return [
        _change(
            (pairs.a[i], pairs.b[i]),
            _document(right_a=bool(right_a[i]), right_b=bool(right_b[i])),
            _named(wrong_a[i] & ~wrong_b[i], pairs.fields),
            _named(~wrong_a[i] & wrong_b[i], pairs.fields),
            predictions,
        )
        for i in np.flatnonzero(changed).tolist()
    ]


def _document(*, right_a: bool, right_b: bool) -> Literal["fixed", "broken"] | None:
    if right_a == right_b:
        return None
    return "fixed" if right_b else "broken"


def _named(marks: npt.NDArray[np.bool_], fields: list[str]) -> list[str]:
    return [fields[i] for i in np.flatnonzero(marks).tolist()]


def _change(
    samples: tuple[SampleScore, SampleScore],
    document: Literal["fixed", "broken"] | None,
    fixed: list[str],
    broken: list[str],
    predictions: tuple[Predictions, Predictions],
) -> SampleChange:
    a, b = samples
    faults = (
        (mismatch, side)
        for side, sample in enumerate(samples)
        for mismatch in sample.mismatches
        if mismatch.field in (broken if side else fixed)
    )
    return SampleChange(
        file=a.file,
        request_id_a=a.request_id,
        request_id_b=b.request_id,
        document=document,
        fixed=fixed,
        broken=broken,
        # A field changes when it is without any fault on one side: each of its faults is of the other side.
        leaves=[_leaf(mismatch, side, predictions[1 - side].get(a.file)) for mismatch, side in faults],
        error_a=a.error,
        error_b=b.error,
    )


def _leaf(mismatch: Mismatch, side: int, other: Any) -> LeafChange:
    """The leaf that is wrong on `side` (0 is A) and right on the other, whose prediction is `other`."""
    right = _at(other, mismatch)
    outcomes, values = (mismatch.kind, _MATCHED), (mismatch.predicted, right)
    return LeafChange(
        path=mismatch.path,
        field=mismatch.field,
        expected=mismatch.expected,
        outcome_a=outcomes[side],
        outcome_b=outcomes[1 - side],
        predicted_a=values[side],
        predicted_b=values[1 - side],
    )


def _at(document: Any, mismatch: Mismatch) -> Any:
    """What a right prediction holds at a leaf; the expected value where an array lies on the way.

    Arrays are aligned: the same place in both predictions need not be the same item.
    """
    if "[" in mismatch.path:
        return mismatch.expected
    for key in mismatch.path.split("."):
        if not isinstance(document, dict) or key not in document:
            return mismatch.expected
        document = document[key]
    return document
