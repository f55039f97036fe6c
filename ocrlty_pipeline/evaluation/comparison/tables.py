"""Paired samples as arrays: what each run made of each field of each document.

Belongs here: reading the samples of evaluations, once. Does not: figures or tests over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation.outcomes import Outcome
from ocrlty_pipeline.evaluation.results import SampleScore

_SIDES = {Outcome.PRED_MISSING.name.lower(): 1, Outcome.GT_MISSING.name.lower(): 1}


@dataclass(frozen=True, slots=True)
class RunTable:
    """One run's side of the pairs, rows being documents and columns the fields compared.

    Attributes:
        matched: matched leaves.
        both: leaves of the prediction and of the ground truth together, so that F1 is 2 matched / both.
        faults: leaves that went wrong.
        failed: whether the document failed as a whole; it is then never right.
        anls, aligned: by document the ANLS*, and KIEval's matched entities and corrections; None where any sample
            has none.
    """

    matched: npt.NDArray[np.int64]
    both: npt.NDArray[np.int64]
    faults: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    anls: npt.NDArray[np.float64] | None
    aligned: npt.NDArray[np.float64] | None

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """By document, whether everything in the compared fields is."""
        whole: npt.NDArray[np.bool_] = ~self.faults.any(axis=1) & ~self.failed
        return whole


def run_table(samples: list[SampleScore], own_fields: list[str], fields: list[str]) -> RunTable:
    """Read one side.

    Args:
        samples: the paired ones.
        own_fields: of the evaluation, to which the samples' `matched` belong.
        fields: those that are compared.
    """
    place = {field: i for i, field in enumerate(fields)}
    both = np.zeros((len(samples), len(fields)), dtype=np.int64)
    faults = np.zeros_like(both)
    for row, sample in enumerate(samples):
        for mismatch in sample.mismatches:
            column = place.get(mismatch.field)
            if column is not None:
                faults[row, column] += 1
                both[row, column] += _SIDES.get(mismatch.kind, 2)
    columns = [own_fields.index(field) for field in fields]
    matched = np.array([sample.matched for sample in samples], dtype=np.int64)[:, columns]
    return RunTable(
        matched=matched,
        both=both + 2 * matched,
        faults=faults,
        failed=np.array([sample.error is not None for sample in samples], dtype=np.bool_),
        anls=_anls(samples),
        aligned=_aligned(samples),
    )


def _anls(samples: list[SampleScore]) -> npt.NDArray[np.float64] | None:
    values = [sample.anls for sample in samples if sample.anls is not None]
    return np.array(values, dtype=np.float64) if len(values) == len(samples) else None


def _aligned(samples: list[SampleScore]) -> npt.NDArray[np.float64] | None:
    values = [(s.kieval.matched, s.kieval.corrections) for s in samples if s.kieval is not None]
    return np.array(values, dtype=np.float64) if len(values) == len(samples) else None
