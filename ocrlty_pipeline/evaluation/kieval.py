"""Counts of KIEval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KievalCounts:
    """The counts of one document.

    Attributes:
        matched, predicted, expected: entities; F1 is `2 matched / (predicted + expected)` of their sums.
        corrections: substitutions, additions and deletions that would make the prediction right; the aligned score is
            `matched / (matched + corrections)`.
        groups_matched, groups_predicted, groups_expected: line items and the like, right as a whole.
    """

    matched: int
    predicted: int
    expected: int
    corrections: int
    groups_matched: int
    groups_predicted: int
    groups_expected: int
