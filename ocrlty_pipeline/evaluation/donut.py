"""Field-level F1 as published with Donut (G. Kim et al., "OCR-free Document Understanding Transformer", ECCV 2022).

The definition is the authors' `JSONParseEvaluator.cal_f1`: both documents normalized and flattened to lists of (path,
text), and the texts that the lists have in common counted, however they are grouped. Positions and items play no part:
two counts swapped between two items cost nothing here, which is why this figure is reported for comparison only.

Conventions:
- Texts compare as they are, white space at their ends dropped: "10.00" is not "10.0".
- What is empty in Python's sense (null, "", [], {}, and also 0 and false) is absent: nothing, on either side.
- A list that holds anything but objects keeps its texts and numbers only.
- A missing array misses each of its leaves, an extra item adds each of its own.
- Both documents empty: not scored.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Field = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DonutCounts:
    """Fields that both documents have, and those that only one has: false positives and false negatives together."""

    matched: int
    unmatched: int


def donut_counts(predicted: Any, expected: Any) -> DonutCounts:
    """The counts of one document; F1 is `matched / (matched + unmatched / 2)` of their sums over all documents."""
    return counts_of_leaves(flat(normalized(predicted)), flat(normalized(expected)))


def counts_of_leaves(predicted: list[Field], expected: list[Field]) -> DonutCounts:
    """`donut_counts` of leaves that `flat` gave."""
    if predicted == expected:
        return DonutCounts(len(expected), 0)
    matched = (Counter(predicted) & Counter(expected)).total()
    return DonutCounts(matched, len(predicted) + len(expected) - 2 * matched)


def normalized(value: Any) -> Any:
    """A JSON value as Donut compares it: keys by length, then name; every value a list; nothing that is empty."""
    if not value:
        return {}
    if isinstance(value, dict):
        document = {}
        for key in _in_order(tuple(value)):
            child = value[key]
            inner = [child.strip()] if child.__class__ is str and child else normalized(child)
            if inner:
                document[key] = inner if isinstance(inner, list) else [inner]
        return document
    if isinstance(value, list):
        if all(isinstance(item, dict) for item in value):
            return [inner for inner in map(normalized, value) if inner]
        return [text for item in value if type(item) in _SCALARS and (text := str(item).strip())]
    return [str(value).strip()]


_SCALARS = {str, int, float}


@lru_cache
def _in_order(keys: tuple[str, ...]) -> list[str]:
    return sorted(keys, key=lambda key: (len(key), key))


def flat(document: Any) -> list[Field]:
    """The leaves of a normalized document with their paths, `menu.nm`."""
    leaves: list[Field] = []
    _flatten(document, "", leaves)
    return leaves


def _flatten(document: Any, path: str, leaves: list[Field]) -> None:
    if isinstance(document, dict):
        for key, value in document.items():
            name = f"{path}.{key}" if path else key
            if len(value) == 1 and value[0].__class__ is str:
                leaves.append((name, value[0]))
            else:
                _flatten(value, name, leaves)
    else:
        for item in document:
            if isinstance(item, str):
                leaves.append((path, item))
            else:
                _flatten(item, path, leaves)
