"""The figures, against examples computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ocrlty_pipeline.evaluation import metrics
from tests.support.field_counts import MIXED, counts


def test_every_figure_of_a_mixed_field() -> None:
    score = metrics.field_score(MIXED)
    assert score.support == 11  # TP + FN
    assert score.precision == pytest.approx(6 / 12)
    assert score.recall == pytest.approx(6 / 11)
    assert score.f1 == pytest.approx(12 / 23)  # 2 TP / (2 TP + FP + FN)
    assert score.accuracy == pytest.approx(6 / 14)  # of 11 expected and 3 more predicted
    assert (score.matched, score.gt_missing, score.both_absent) == (6, 3, 100)


@pytest.mark.parametrize(
    ("given", "accuracy", "precision", "recall", "f1"),
    [
        (counts(matched=4), 1.0, 1.0, 1.0, 1.0),
        (counts(mismatch=4), 0.0, 0.0, 0.0, 0.0),
        (counts(pred_missing=4), 0.0, None, 0.0, 0.0),  # nothing predicted: precision says nothing
        (counts(gt_missing=4), 0.0, 0.0, None, 0.0),  # nothing expected: recall says nothing
        (counts(both_absent=4), None, None, None, None),  # nothing at all: not scored, and not perfect either
        (counts(), None, None, None, None),
        # SROIE's trap: precision alone reads 1.0 for a model that leaves half of the fields out.
        (counts(matched=2, pred_missing=2), 0.5, 1.0, 0.5, pytest.approx(2 / 3)),
    ],
)
def test_the_edges(
    given: metrics.Counts, accuracy: float | None, precision: float | None, recall: float | None, f1: float | None
) -> None:
    score = metrics.field_score(given)
    assert (score.accuracy, score.precision, score.recall, score.f1) == (accuracy, precision, recall, f1)


def test_macro_is_the_mean_of_the_scored_fields_only() -> None:
    by_field = np.stack([counts(matched=1), counts(matched=1, mismatch=3), counts(both_absent=9)])
    macro = metrics.macro_scores(by_field)
    assert macro.f1 == pytest.approx((1.0 + 0.25) / 2)
    assert macro.accuracy == pytest.approx((1.0 + 0.25) / 2)
    assert metrics.macro_scores(by_field[2:]).f1 is None


def test_flawless_means_that_nothing_went_wrong() -> None:
    samples = np.stack(
        [
            counts(matched=3, both_absent=1),
            counts(both_absent=4),
            *(
                counts(matched=3, **{o: 1})
                for o in ("mismatch", "canon_error", "type_mismatch", "pred_missing", "gt_missing")
            ),
        ]
    )
    assert metrics.flawless(samples).tolist() == [True, True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # By the formula with z = 1.96, by hand: 8 of 10 is (0.8 + 0.19208) / 1.38416 -+ 0.22658.
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (81, 263, 0.2553, 0.3662),  # R. G. Newcombe's example, Statistics in Medicine 17, 1998
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_a_rate_has_its_wilson_interval(count: int, total: int, low: float, high: float) -> None:
    rate = metrics.rate(count, total)
    assert rate.value == count / total
    assert (rate.low, rate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_rate_of_nothing_is_not_scored() -> None:
    assert metrics.rate(0, 0).model_dump() == {"value": None, "low": None, "high": None, "count": 0, "total": 0}


def test_percentiles_lie_between_the_two_nearest_values() -> None:
    found = metrics.distribution([10.0, 20.0, 30.0, 40.0, 50.0])
    assert found is not None
    # The p-th percentile of n values stands at place (n - 1) p from 0: p90 of 5 at 3.6, six tenths from 40 to 50.
    assert (found.p50, found.p90, found.p95) == (30.0, pytest.approx(46.0), pytest.approx(48.0))
    assert (found.p99, found.mean, found.max, found.count) == (pytest.approx(49.6), 30.0, 50.0, 5)


def test_no_latencies_give_no_distribution() -> None:
    assert metrics.distribution([]) is None
