"""The tests of a comparison against published values, scipy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from ocrlty_pipeline.evaluation.comparison.significance import f1_randomization, holm, mcnemar


def test_mcnemar_is_the_exact_binomial_test() -> None:
    for fixed, broken in [(0, 1), (5, 0), (9, 2), (2, 9), (40, 1), (7, 7), (250, 201)]:
        assert mcnemar(fixed, broken) == pytest.approx(binomtest(fixed, fixed + broken).pvalue, rel=1e-9)
    # Six changes, all one way: 2 * (1 / 2) ** 6.
    assert mcnemar(6, 0) == pytest.approx(1 / 32)
    assert mcnemar(0, 0) == 1


def test_holm_adjusts_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_randomization_counts_the_swaps_that_give_as_much() -> None:
    # Eight documents that all gained one leaf of two: of 2 ** 8 swaps, two give as much.
    a, b = np.tile([1.0, 4.0], (8, 1)), np.tile([2.0, 4.0], (8, 1))
    assert f1_randomization(a, b, rounds=40_000) == pytest.approx(2 / 256, rel=0.15)
    assert f1_randomization(a, a) == 1
    mixed = np.where(np.arange(8)[:, None] < 4, a, b)
    assert f1_randomization(mixed, mixed[::-1]) == 1
