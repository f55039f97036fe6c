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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Field = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DonutCounts:
    """Fields that both documents have, and those that only one has: false positives and false negatives together."""

    matched: int
    unmatched: int


def donut_counts(predicted: Any, expected: Any) -> DonutCounts:
    """The counts of one document; F1 is `matched / (matched + unmatched / 2)` of their sums over all documents."""
    return counts_of_normalized(normalized(predicted), normalized(expected))


def counts_of_normalized(predicted: Any, expected: Any) -> DonutCounts:
    """`donut_counts` of documents that `normalized` gave."""
    ours, theirs = Counter(flat(predicted)), Counter(flat(expected))
    matched = (ours & theirs).total()
    return DonutCounts(matched, ours.total() + theirs.total() - 2 * matched)


def normalized(value: Any) -> Any:
    """A JSON value as Donut compares it: keys by length, then name; every value a list; nothing that is empty."""
    if not value:
        return {}
    if isinstance(value, dict):
        pairs = ((key, normalized(value[key])) for key in sorted(value, key=_by_length))
        return {key: inner if isinstance(inner, list) else [inner] for key, inner in pairs if inner}
    if isinstance(value, list):
        if all(isinstance(item, dict) for item in value):
            return [inner for inner in map(normalized, value) if inner]
        return [text for item in value if type(item) in _SCALARS and (text := str(item).strip())]
    return [str(value).strip()]


_SCALARS = {str, int, float}


def _by_length(key: str) -> tuple[int, str]:
    return len(key), key


def flat(document: Any, path: str = "") -> Iterator[Field]:
    """The leaves of a normalized document with their paths, `menu.nm`."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from flat(value, f"{path}.{key}" if path else key)
    elif isinstance(document, list):
        for item in document:
            yield from flat(item, path)
    else:
        yield path, document
