"""How far a run's figures could be off because of the documents it happened to have: bootstrap intervals.

Documents are drawn with replacement, as many as there are, and each figure is computed anew over the drawn ones; the
2.5th and 97.5th percentiles of `RESAMPLES` such figures bound the interval (B. Efron and R. Tibshirani, "An
Introduction to the Bootstrap", 1993, ch. 13). The document is drawn as a whole because its leaves are not independent:
a blurred photograph spoils all of them. Rates of documents have Wilson's interval instead (`metrics.rate`).

Conventions:
- Fewer than two documents say nothing about their spread: no bounds.
- A resample in which a figure is not scored is left out of its percentiles.
- Where every document has the same value the interval is that value: a bootstrap knows no faults it has not seen.
- The same documents in the same order and the same seed give the same intervals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ocrlty_pipeline.evaluation import metrics, published
from ocrlty_pipeline.evaluation.outcomes import Outcome
from ocrlty_pipeline.evaluation.results import Estimates, Interval

RESAMPLES = 2000
SEED = 0
_BOUNDS = (2.5, 97.5)
_CHUNK = 1 << 22  # Draws at a time: 64 MiB of indices and weights, however many documents there are.

Array = npt.NDArray[np.float64]


def resampled_sums(columns: Array, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """The sums of `columns`, a row a document, over documents drawn with replacement: a row a resample.

    Two runs over the same documents in the same order are drawn alike, so that their figures pair.
    """
    documents = len(columns)
    generator = np.random.default_rng(seed)
    at_a_time = max(1, _CHUNK // max(1, documents))
    sums = np.empty((resamples, columns.shape[1]))
    for start in range(0, resamples, at_a_time):
        rows = min(at_a_time, resamples - start)
        drawn = generator.integers(0, documents, size=(rows, documents), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * documents
        times = np.bincount(drawn.ravel(), minlength=rows * documents).reshape(rows, documents)
        sums[start : start + rows] = times.astype(np.float64) @ columns
    return sums


def interval(value: float | None, resampled: Array) -> Interval:
    """The figure with the percentiles of what it was in the resamples; NaN there is "not scored"."""
    scored = resampled[~np.isnan(resampled)]
    if value is None or not scored.size:
        return Interval(value=value, low=None, high=None)
    low, high = np.percentile(scored, _BOUNDS)
    return Interval(value=value, low=float(low), high=float(high))


def estimates(counts: metrics.Counts, documents: Array, *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimates:
    """Every figure of a run with its interval.

    Args:
        counts: leaves by sample, field and outcome.
        documents: the published metrics by sample, as `published.as_columns` gives them.
        resamples: how many; more give steadier bounds.
        seed: of the draws.
    """
    columns = np.hstack([_field_columns(counts), documents])
    fields = counts.shape[1]
    values = _figures(columns.sum(axis=0), fields)
    enough = len(columns) > 1
    drawn = _figures(resampled_sums(columns, resamples, seed), fields) if enough else {}
    return Estimates(
        resamples=resamples,
        seed=seed,
        **{name: interval(metrics.figure(value), drawn.get(name, np.empty(0))) for name, value in values.items()},
    )


def _field_columns(counts: metrics.Counts) -> Array:
    """Of each sample and field: matched leaves, those of both sides together, and those that either side has."""
    parts = (counts[..., Outcome.MATCHED], metrics.support(counts) + metrics.predicted(counts), metrics.present(counts))
    return np.concatenate(parts, axis=1, dtype=np.float64)


def _figures(sums: Array, fields: int) -> Mapping[str, Array]:
    """The figures of sums over documents; the last axis is what `estimates` put side by side."""
    matched, both, either = (sums[..., i * fields : (i + 1) * fields] for i in range(3))
    documents = sums[..., 3 * fields :]
    k_matched, k_predicted, k_expected, corrections, g_matched, g_predicted, g_expected = (
        documents[..., column] for column in published.KIEVAL
    )
    donut_matched, donut_unmatched = documents[..., published.DONUT_MATCHED], documents[..., published.DONUT_UNMATCHED]
    return {
        "micro_f1": _ratio(2 * matched.sum(axis=-1), both.sum(axis=-1)),
        "micro_accuracy": _ratio(matched.sum(axis=-1), either.sum(axis=-1)),
        "macro_f1": _mean_of_scored(_ratio(2 * matched, both)),
        "macro_accuracy": _mean_of_scored(_ratio(matched, either)),
        "anls": _ratio(documents[..., published.ANLS], documents[..., published.SCORED]),
        "tree_edit": _ratio(documents[..., published.TREE_EDIT], documents[..., published.TREE_EDIT_SCORED]),
        "donut_f1": _ratio(donut_matched, donut_matched + donut_unmatched / 2),
        "entity_f1": _ratio(2 * k_matched, k_predicted + k_expected),
        "group_f1": _ratio(2 * g_matched, g_predicted + g_expected),
        "aligned": _ratio(k_matched, k_matched + corrections),
    }


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return ratio


def _mean_of_scored(figures: Array) -> Array:
    scored = ~np.isnan(figures)
    return _ratio(np.where(scored, figures, 0.0).sum(axis=-1), scored.sum(axis=-1, dtype=np.float64))
