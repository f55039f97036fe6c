"""The headline figures of both runs over the paired documents, and the interval of each difference.

Documents are drawn with replacement, both runs' at once: what makes a document hard makes it hard for both, and drops
out of the difference (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 8 and 13). The draws
and their conventions are `uncertainty`'s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation import metrics, uncertainty
from ocrlty_pipeline.evaluation.comparison.results import FigureDifference
from ocrlty_pipeline.evaluation.comparison.tables import RunTable

Array = npt.NDArray[np.float64]
# From sums over documents, the last axis being a run's columns, to the figure.
Figure = Callable[[Array], Array]


def differences(
    a: RunTable, b: RunTable, fields: list[str], *, whole: bool, seed: int
) -> tuple[list[FigureDifference], list[FigureDifference]]:
    """The headline figures, and F1 of each field.

    Args:
        a: the run compared against.
        b: the run in question, the same documents and fields.
        fields: their names.
        whole: whether the fields are all there is; otherwise figures of whole documents are not scored.
        seed: of the bootstrap.
    """
    columns = np.hstack([_columns(a), _columns(b)])
    width = columns.shape[1] // 2
    sums = columns.sum(axis=0)
    # One document says nothing about the spread.
    enough = len(columns) > 1
    drawn = uncertainty.resampled_sums(columns, uncertainty.RESAMPLES, seed) if enough else np.empty((0, 2 * width))

    def difference(name: str, label: str, figure: Figure) -> FigureDifference:
        resampled = figure(drawn[:, width:]) - figure(drawn[:, :width])
        return _difference(name, label, figure(sums[:width]), figure(sums[width:]), resampled)

    count = len(fields)
    heads = [
        difference("exact_match", "Documents all right", lambda s: _ratio(s[..., 1], s[..., 0])),
        difference("field_f1", "Field F1 (micro)", _f1_of(range(count), count)),
        *(
            difference(name, label, figure if scored and whole else _not_scored)
            for name, label, figure, scored in (
                ("anls", "ANLS*", lambda s: _ratio(s[..., 2], s[..., 0]), a.anls is not None and b.anls is not None),
                (
                    "aligned",
                    "KIEval aligned",
                    lambda s: _ratio(s[..., 3], s[..., 3] + s[..., 4]),
                    a.aligned is not None and b.aligned is not None,
                ),
            )
        ),
    ]
    return heads, [difference(field, field, _f1_of(range(i, i + 1), count)) for i, field in enumerate(fields)]


_HEAD = 5  # Columns before those of the fields.


def _columns(run: RunTable) -> Array:
    """By document: 1, right, ANLS*, aligned matches and corrections, then matched and both sides of each field."""
    documents = len(run.failed)
    nothing = np.zeros(documents)
    aligned = np.zeros((documents, 2)) if run.aligned is None else run.aligned
    anls = nothing if run.anls is None else run.anls
    head = np.column_stack([np.ones(documents), run.right, anls, aligned])
    return np.hstack([head, run.matched, run.both]).astype(np.float64)


def _f1_of(fields: range, count: int) -> Figure:
    matched = slice(_HEAD + fields.start, _HEAD + fields.stop)
    both = slice(matched.start + count, matched.stop + count)
    return lambda sums: _ratio(2 * sums[..., matched].sum(axis=-1), sums[..., both].sum(axis=-1))


def _not_scored(sums: Array) -> Array:
    return np.full(sums.shape[:-1], np.nan)


def _difference(name: str, label: str, a: Array, b: Array, resampled: Array) -> FigureDifference:
    found = uncertainty.interval(metrics.figure(b - a), resampled)
    return FigureDifference(
        name=name,
        label=label,
        a=metrics.figure(a),
        b=metrics.figure(b),
        difference=found.value,
        low=found.low,
        high=found.high,
    )


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return ratio
