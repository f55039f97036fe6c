"""The published document metrics of one sample: ANLS*, Donut's F1 and tree-edit accuracy, KIEval.

They see texts as they were predicted and expected, not canonical forms, since this is how they are defined and how
figures in the literature were made: "10.00" against 10.0 costs them something, which the fields' figures forgive.
What belongs here is only which document they are given (`nodes.Node.within_schema`); the metrics have modules of their
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation.anls import anls
from ocrlty_pipeline.evaluation.donut import DonutCounts, counts_of_normalized, normalized
from ocrlty_pipeline.evaluation.kieval import KievalCounts, kieval_counts
from ocrlty_pipeline.evaluation.tree_edit import accuracy_of_normalized


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """One sample's values; `results.SampleScore` says what they are."""

    anls: float
    tree_edit: float | None
    donut: DonutCounts
    kieval: KievalCounts


def published_scores(predicted: Any, expected: Any) -> PublishedScores:
    """Score a document that follows the schema in its keys; a failed sample predicts None."""
    ours, theirs = normalized(predicted), normalized(expected)
    return PublishedScores(
        anls=anls(predicted, expected, ignore_extra_nulls=True),
        tree_edit=accuracy_of_normalized(ours, theirs),
        donut=counts_of_normalized(ours, theirs),
        kieval=kieval_counts(predicted, expected),
    )


# Columns of `as_columns`.
SCORED, ANLS, TREE_EDIT, TREE_EDIT_SCORED, DONUT_MATCHED, DONUT_UNMATCHED, *KIEVAL = range(13)


def as_columns(scores: Sequence[PublishedScores]) -> npt.NDArray[np.float64]:
    """The scores as numbers that add up over samples, a row each."""
    rows = [
        (
            1,
            score.anls,
            score.tree_edit or 0.0,
            score.tree_edit is not None,
            score.donut.matched,
            score.donut.unmatched,
            score.kieval.matched,
            score.kieval.predicted,
            score.kieval.expected,
            score.kieval.corrections,
            score.kieval.groups_matched,
            score.kieval.groups_predicted,
            score.kieval.groups_expected,
        )
        for score in scores
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 13)
