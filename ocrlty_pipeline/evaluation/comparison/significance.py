"""Whether a difference is more than chance: the tests, and their correction for being many.

Every test is two-sided and of pairs: the same documents through both runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROUNDS = 4000
_CHUNK = 1 << 22  # Signs at a time, which bounds the memory.
_TIE = 1e-12  # Sums in another order differ by rounding.


def mcnemar(fixed: int, broken: int) -> float:
    """McNemar's test in its exact form: the probability that a fair coin splits the changed documents as unevenly.

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947; the binomial distribution in place of his chi-squared holds for few changes as well. It is
    `scipy.stats.binomtest(fixed, fixed + broken)`, whose import takes longer than a comparison. 1 without changes.
    """
    from scipy.special import bdtr  # noqa: PLC0415 -- a quarter of a second at start

    return min(1.0, 2 * float(bdtr(min(fixed, broken), fixed + broken, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: calling those below alpha significant errs anywhere with a probability of alpha at most.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979. It
    needs no independence: fields of one document rarely have it.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def f1_randomization(a: Array, b: Array, *, rounds: int = ROUNDS, seed: int = 0) -> float:
    """Approximate randomization of the difference in micro F1: how often swapping the runs at random gives as much.

    E. W. Noreen, "Computer-intensive methods for testing hypotheses", 1989; for F1: A. Yeh, "More accurate tests for
    the statistical significance of result differences", COLING 2000. A document is swapped as a whole.

    Args:
        a: by document, matched leaves and the leaves of both sides together: F1 is twice the ratio of their sums.
        b: the same of the other run, the same documents.
        rounds: how many; the smallest p-value is 1 / (rounds + 1).
        seed: of the swaps.
    """
    total = a.sum(axis=0) + b.sum(axis=0)
    apart = (b - a)[(a != b).any(axis=1)]
    if not len(apart):
        return 1.0
    observed = abs(_f1_difference(total, apart.sum(axis=0)))
    generator = np.random.default_rng(seed)
    at_a_time = max(1, _CHUNK // len(apart))
    as_much = 0
    for start in range(0, rounds, at_a_time):
        size = (min(at_a_time, rounds - start), len(apart))
        signs = generator.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)
        signs *= 2
        signs -= 1
        as_much += int((np.abs(_f1_difference(total, signs @ apart)) >= observed - _TIE).sum())
    return (as_much + 1) / (rounds + 1)


def _f1_difference(total: Array, apart: Array) -> Array:
    """F1 of B minus that of A, from the sums of both and what B has more; the last axis is matched and both sides."""
    b, a = (total + apart) / 2, (total - apart) / 2
    difference: Array = _f1(b) - _f1(a)
    return difference


def _f1(sums: Array) -> Array:
    whole = sums[..., 1]
    f1: Array = np.divide(2 * sums[..., 0], whole, out=np.zeros_like(whole), where=whole > 0)
    return f1
