"""ANLS*: how alike two JSON documents are, text by text.

D. Peer, P. Schöpf, V. Nebendahl, A. Rietzler, S. Stabinger, "ANLS* - A Universal Document Processing Metric for
Generative Large Language Models", arXiv 2402.03848, as the authors' package `anls-star` 1.0 computes it:

    s(leaf, leaf)     1 - Levenshtein(a, b) / max(|a|, |b|) of the texts in lower case, white space folded; 0 below 0.5
    s(object, object) the values of each key that either has, a missing one being null
    s(array, array)   its items by the pairing with the greatest sum of similarities; what is left over scores 0
    s(of two types)   0 over the leaves of the larger
    ANLS*             the sum over all leaves of either side / their number

Conventions:
- Both empty: 1. An array missing: each of its leaves scores 0; an extra item likewise.
- Expected null: 1 when nothing is predicted (null, "", [], {}, or no key at all), else 0. Expected [] and predicted []
  count nowhere, expected [] and nothing predicted scores 0.
- Numbers and booleans are their Python texts: 10.0 is "10.0", true is "true" after lowering.
- Alternatives are a tuple in the expected document: the best counts. A list of texts expected where the whole
  prediction is one text is alternatives too.
- The package tells apart pairings of equal similarity by the order of the items. Here the best scoring of them counts,
  so that order plays no part; the two can differ where items of unlike keys are all wrong.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rapidfuzz.distance import Levenshtein

_THRESHOLD = 0.5
# Tells pairings of equal similarity apart; similarities that differ at all differ by far more.
_TIE = 1e-9
_LEAVES_AGAINST_SCORE = 0.3183098861837907

_SCALARS = str | int | float

# A sum of similarities, and the number of leaves it is over.
_Score = tuple[float, int]


def anls(predicted: Any, expected: Any, *, ignore_extra_nulls: bool = False) -> float:
    """The ANLS* of a prediction, in [0, 1].

    Args:
        predicted: a JSON value.
        expected: a JSON value, tuples standing for alternatives.
        ignore_extra_nulls: let a predicted key that is not expected cost nothing when it holds nothing. The paper says
            so, the package counts it as a leaf that scores 0; a schema that requires every key makes models write many.
    """
    if isinstance(predicted, str) and expected and isinstance(expected, list):
        expected = tuple(expected) if all(isinstance(text, str) for text in expected) else expected
    total, leaves = _Comparison(1 - ignore_extra_nulls).score(predicted, expected)
    return total / leaves if leaves else 1.0


def _is_nothing(value: Any) -> bool:
    return value is None or value in ("", [], {})


class _Comparison:
    """Compares by the size that a predicted null nobody expects has: 1 in the package, 0 where it is ignored."""

    __slots__ = ("_extra_null",)

    def __init__(self, extra_null: int) -> None:
        self._extra_null = extra_null

    def score(self, predicted: Any, expected: Any) -> _Score:
        if isinstance(expected, dict):
            return (
                self._objects(predicted, expected) if isinstance(predicted, dict) else self._unlike(predicted, expected)
            )
        if isinstance(expected, list):
            return (
                self._arrays(predicted, expected) if isinstance(predicted, list) else self._unlike(predicted, expected)
            )
        if isinstance(expected, tuple):
            return max((self.score(predicted, option) for option in expected), key=_rank)
        if expected is None and _is_nothing(predicted):
            return 1.0, 1
        if expected is None or predicted is None or isinstance(predicted, dict | list):
            return self._unlike(predicted, expected)
        return similarity(predicted, expected), 1

    def _unlike(self, predicted: Any, expected: Any) -> _Score:
        return 0.0, max(self._predicted_size(predicted), _size(expected))

    def _objects(self, predicted: dict[str, Any], expected: dict[str, Any]) -> _Score:
        total, leaves = 0.0, 0
        for key, value in expected.items():
            answer = predicted.get(key)
            if answer.__class__ is str and answer == value:
                total, leaves = total + 1.0, leaves + 1
                continue
            part, size = self.score(answer, value)
            total, leaves = total + part, leaves + size
        if predicted.keys() - expected.keys():
            extra = [value for key, value in predicted.items() if key not in expected]
            leaves += sum(self._extra_null if _is_nothing(v) else max(1, self._predicted_size(v)) for v in extra)
        return total, leaves

    def _arrays(self, predicted: list[Any], expected: list[Any]) -> _Score:
        pairs = [[self.score(answer, item) for answer in predicted] for item in expected]
        rows, columns = _assign([[_weight(score) for score in row] for row in pairs])
        total, leaves = 0.0, 0
        for row, column in zip(rows, columns, strict=True):
            part, size = pairs[row][column]
            total, leaves = total + part, leaves + size
        left = set(range(len(expected))).difference(rows)
        extra = set(range(len(predicted))).difference(columns)
        leaves += sum([_size(expected[row]) for row in left])
        leaves += sum([self._predicted_size(predicted[column]) for column in extra])
        return total, leaves

    def _predicted_size(self, value: Any) -> int:
        """The leaves of a prediction that stands alone."""
        if isinstance(value, dict):
            return sum(self._extra_null if v is None or v == "" else self._predicted_size(v) for v in value.values())
        if isinstance(value, list):
            return sum(map(self._predicted_size, value))
        return 1


def _rank(score: _Score) -> float:
    total, leaves = score
    return total / leaves if leaves else 1.0


def _weight(score: _Score) -> float:
    total, leaves = score
    mean = total / leaves if leaves else 1.0
    return mean + _TIE * (total - _LEAVES_AGAINST_SCORE * leaves)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list):
        return sum(map(_size, value))
    if isinstance(value, tuple):
        return max(map(_size, value))
    return 1


def _assign(weights: list[list[float]]) -> tuple[list[int], list[int]]:
    """Rows and columns of the pairing with the greatest sum."""
    if not weights or not weights[0]:
        return [], []
    if len(weights) == 1:
        return [0], [weights[0].index(max(weights[0]))]
    best = [row.index(max(row)) for row in weights]
    if len(set(best)) == len(best):
        return list(range(len(best))), best
    # scipy's optimizers take most of a second to import: only documents with arrays of several items pay for it.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    rows, columns = linear_sum_assignment(weights, maximize=True)
    return rows.tolist(), columns.tolist()


def similarity(predicted: Any, expected: Any) -> float:
    """The normalized Levenshtein similarity of two scalars; 0 below one half."""
    ours, theirs = _text(predicted), _text(expected)
    if ours == theirs:
        return 1.0
    longest = max(len(ours), len(theirs))
    distance = Levenshtein.distance(ours, theirs, score_cutoff=longest // 2)
    value = 1 - distance / longest
    return value if value >= _THRESHOLD else 0.0


@lru_cache(maxsize=1 << 16, typed=True)
def _text(value: Any) -> str:
    return " ".join(str(value).lower().split())
