"""Counts of a field's outcomes, as the figures of an evaluation are made of them."""

from __future__ import annotations

import numpy as np

from ocrlty_pipeline.evaluation.metrics import Counts
from ocrlty_pipeline.evaluation.outcomes import Outcome


def counts(**of: int) -> Counts:
    return np.array([of.get(outcome.name.lower(), 0) for outcome in Outcome])


# TP = 6, FP = 1 + 1 + 1 + 3 = 6, FN = 1 + 1 + 1 + 2 = 5
MIXED = counts(matched=6, mismatch=1, canon_error=1, type_mismatch=1, pred_missing=2, gt_missing=3, both_absent=100)
