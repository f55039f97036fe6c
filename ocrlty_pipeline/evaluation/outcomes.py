"""What can become of one leaf, and the collection of it over one sample.

Belongs here: the outcomes and their counting. Does not: how leaves compare (`nodes`), or the worth of counts
(`metrics`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Outcome(IntEnum):
    """What became of one leaf; exactly one of these.

    MATCHED         both are there and canonically equal
    MISMATCH        both are there and readable, but differ
    CANON_ERROR     both are there and differ, and at least one cannot be read as its format says
    TYPE_MISMATCH   both are there, but one is of another JSON type than the schema declares
    PRED_MISSING    expected, not predicted
    GT_MISSING      predicted, not expected
    BOTH_ABSENT     neither
    """

    MATCHED = 0
    MISMATCH = 1
    CANON_ERROR = 2
    TYPE_MISMATCH = 3
    PRED_MISSING = 4
    GT_MISSING = 5
    BOTH_ABSENT = 6


OUTCOMES = len(Outcome)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A leaf that went wrong.

    Attributes:
        path: the place, `menu[2].price`, counted from 0 among the expected items; an item that is only predicted stands
            at its place in the prediction, after a plus: `menu[+2].price`.
        field: the place in the schema, `menu[].price`.
        kind: the outcome's name in lower case.
        predicted_canonical, expected_canonical: what was compared; None when absent, unreadable or of the wrong type.
    """

    path: str
    field: str
    kind: str
    predicted: Any
    expected: Any
    predicted_canonical: str | None
    expected_canonical: str | None


class Tally:
    """The outcomes of one sample.

    Attributes:
        counts: per leaf of the schema, per outcome, flat.
        mismatches: the leaves that are neither matched nor absent on both sides.
    """

    __slots__ = ("counts", "mismatches")

    def __init__(self, leaves: int) -> None:
        self.counts = [0] * (leaves * OUTCOMES)
        self.mismatches: list[Mismatch] = []

    def count(self, leaf: int, outcome: Outcome) -> None:
        self.counts[leaf * OUTCOMES + outcome] += 1
