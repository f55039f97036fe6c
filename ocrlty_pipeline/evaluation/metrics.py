"""What counts of outcomes are worth. Functions are over arrays whose last axis is `Outcome`; NaN means "not scored".

A leaf that is there on both sides but wrong counts against precision and against recall alike, as a substitution does
in the MUC evaluations (N. Chinchor and B. Sundheim, "MUC-5 evaluation metrics", 1993):

    TP = matched
    FP = wrong + gt_missing        wrong = mismatch + canon_error + type_mismatch
    FN = wrong + pred_missing

A leaf absent on both sides counts nowhere. Most fields of most receipts are empty: counting them as right, an empty
prediction would score high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation.outcomes import Outcome
from ocrlty_pipeline.evaluation.results import Distribution, FieldScore, Rate, Scores

Counts = npt.NDArray[np.integer]
Figures = npt.NDArray[np.float64]

_Z_95 = 1.959963984540054  # Two-sided 95 % quantile of the normal distribution.


def support(counts: Counts) -> Counts:
    """Expected leaves: TP + FN."""
    return _matched(counts) + _wrong(counts) + counts[..., Outcome.PRED_MISSING]


def predicted(counts: Counts) -> Counts:
    """Predicted leaves: TP + FP."""
    return _matched(counts) + _wrong(counts) + counts[..., Outcome.GT_MISSING]


def present(counts: Counts) -> Counts:
    """Leaves that either side has."""
    return support(counts) + counts[..., Outcome.GT_MISSING]


def accuracy(counts: Counts) -> Figures:
    """Of the leaves that either side has, those that agree: matched / (matched + wrong + pred_missing + gt_missing).

    The Jaccard index of predicted and expected leaves by place. Not scored when neither side has any.
    """
    return _ratio(_matched(counts), present(counts))


def precision(counts: Counts) -> Figures:
    """TP / (TP + FP): of what was predicted, what is right. Not scored when nothing was predicted."""
    return _ratio(_matched(counts), predicted(counts))


def recall(counts: Counts) -> Figures:
    """TP / (TP + FN): of what is expected, what was found. Not scored when nothing is expected."""
    return _ratio(_matched(counts), support(counts))


def f1(counts: Counts) -> Figures:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall (C. J. van Rijsbergen, 1979).

    Where one of the two is not scored, leaves are missing or made up: F1 is 0. Not scored when neither side has any.
    """
    return _ratio(2 * _matched(counts), support(counts) + predicted(counts))


def macro(figures: Figures) -> float | None:
    """The unweighted mean over fields, those not scored left out; None when no field is scored."""
    scored = figures[~np.isnan(figures)]
    return float(scored.mean()) if scored.size else None


def flawless(counts: Counts) -> npt.NDArray[np.bool_]:
    """Whether every leaf is matched or absent on both sides; so it is where neither side has any."""
    perfect: npt.NDArray[np.bool_] = present(counts) == _matched(counts)
    return perfect


def field_score(counts: Counts) -> FieldScore:
    """The counts of one field, or of all (micro), and their figures."""
    return FieldScore(
        support=int(support(counts)),
        **{outcome.name.lower(): int(counts[outcome]) for outcome in Outcome},
        accuracy=figure(accuracy(counts)),
        precision=figure(precision(counts)),
        recall=figure(recall(counts)),
        f1=figure(f1(counts)),
    )


def macro_scores(counts: Counts) -> Scores:
    """The means over the fields of `counts`, one row a field."""
    return Scores(
        accuracy=macro(accuracy(counts)),
        precision=macro(precision(counts)),
        recall=macro(recall(counts)),
        f1=macro(f1(counts)),
    )


def figure(value: npt.ArrayLike) -> float | None:
    """A single figure; None for NaN."""
    number = float(np.asarray(value))
    return None if math.isnan(number) else number


def rate(count: int, total: int) -> Rate:
    """A share with its 95 % score interval (E. B. Wilson, "Probable inference", JASA 22, 1927)."""
    if total == 0:
        return Rate(value=None, low=None, high=None, count=0, total=0)
    share, z2 = count / total, _Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    # At the ends the bound is exact; rounding must not push it past the share.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == total else min(1.0, centre + half)
    return Rate(value=share, low=low, high=high, count=count, total=total)


def distribution(values: Sequence[float]) -> Distribution | None:
    """Percentiles, linear between the two nearest values (R. J. Hyndman and Y. Fan's type 7); None without values."""
    if not values:
        return None
    data = np.asarray(values, dtype=np.float64)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(data, (50, 90, 95, 99)))
    return Distribution(
        count=data.size, mean=float(data.mean()), p50=p50, p90=p90, p95=p95, p99=p99, max=float(data.max())
    )


def _matched(counts: Counts) -> Counts:
    return counts[..., Outcome.MATCHED]


def _wrong(counts: Counts) -> Counts:
    return counts[..., Outcome.MISMATCH] + counts[..., Outcome.CANON_ERROR] + counts[..., Outcome.TYPE_MISMATCH]


def _ratio(part: Counts, whole: Counts) -> Figures:
    undefined = np.full(np.shape(whole), np.nan)
    ratio: Figures = np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0)
    return ratio
