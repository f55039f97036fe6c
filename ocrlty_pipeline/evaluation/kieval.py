"""KIEval: entities, and whether those that belong together stand together.

M. Khang, S. C. Jung, S. Park, T. Hong, "KIEval: Evaluation Metric for Document Key Information Extraction", ICDAR 2025,
arXiv 2503.05488. An entity is a text under a key. A group is an item of an array of objects; what is nested within it
belongs to it. Groups of one key pair so that the entities they share are most (the Hungarian method); entities are
compared within a pair of groups, and outside groups within the document, as a bag of texts for each key:

    TP = texts in both bags    FP = other predicted texts    FN = other expected texts
    Entity F1 = 2 TP / (2 TP + FP + FN)
    Group F1  = the same over groups, where a pair is right if all its entities are
    Aligned   = TP / (TP + substitutions + additions + deletions)
                substitutions = min(FP, FN)    additions and deletions = max(FP, FN) - substitutions

all sums over the pairs, keys and documents of the run. Swapping the counts of two items costs two substitutions, the
order of items nothing.

Conventions:
- Texts compare as they are, white space at their ends dropped; numbers are their Python texts.
- null, "", [] and {} are no entities; an object or an item without entities is nothing.
- A missing array misses each entity of each item, an extra item adds its own; each is one addition or deletion.
- An object where the other document has an array of objects is a group of one.
- Both documents empty: the counts are 0, and a run of nothing else is not scored.
- Of pairings that share as many entities the one with the fewest corrections counts, so that order plays no part; the
  published code takes whichever its solver meets first. That code has CORD's categories (`menu`, `total`) as groups;
  here only arrays are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from ocrlty_pipeline.evaluation.alignment import align

# (path, text), sorted.
_Entities = tuple[tuple[str, str], ...]
# What two groups share: equal entities decide, then entities of one key that could be substituted.
_EQUAL = 1 << 20


@dataclass(frozen=True, slots=True)
class KievalCounts:
    """The counts of one document.

    Attributes:
        matched, predicted, expected: entities; F1 is `2 matched / (predicted + expected)` of their sums.
        corrections: substitutions, additions and deletions that would make the prediction right; the aligned score is
            `matched / (matched + corrections)`.
        groups_matched, groups_predicted, groups_expected: line items and the like, right as a whole.
    """

    matched: int
    predicted: int
    expected: int
    corrections: int
    groups_matched: int
    groups_predicted: int
    groups_expected: int


def kieval_counts(predicted: Any, expected: Any) -> KievalCounts:
    """The counts of a predicted JSON document against the expected one."""
    arrays: set[str] = set()
    for document in (predicted, expected):
        _find_arrays(document, "", arrays)
    ours, theirs = _Parts.of(predicted, arrays), _Parts.of(expected, arrays)
    tally = _Tally()
    tally.add(ours.alone, theirs.alone)
    for path in sorted(ours.groups.keys() | theirs.groups.keys()):
        tally.add_groups(ours.groups[path], theirs.groups[path])
    return tally.counts()


@dataclass(slots=True)
class _Parts:
    """A document in entities that stand alone, and groups of entities by the path of their array."""

    alone: _Entities = ()
    groups: dict[str, list[_Entities]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, document: Any, arrays: set[str]) -> _Parts:
        parts = cls()
        alone: list[tuple[str, str]] = []
        parts._split(document, "", arrays, alone)
        parts.alone = tuple(sorted(alone))
        return parts

    def _split(self, value: Any, path: str, arrays: set[str], alone: list[tuple[str, str]]) -> None:
        if path in arrays and isinstance(value, list | dict):
            for item in value if isinstance(value, list) else (value,):
                found: list[tuple[str, str]] = []
                _flatten(item, path, found)
                if found:
                    self.groups[path].append(tuple(sorted(found)))
        elif isinstance(value, dict):
            for key, inner in value.items():
                self._split(inner, f"{path}.{key}", arrays, alone)
        else:
            _flatten(value, path, alone)


def _find_arrays(value: Any, path: str, found: set[str]) -> None:
    """The paths of arrays that hold objects, outside of one another."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                _find_arrays(inner, f"{path}.{key}", found)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        found.add(path)


def _flatten(value: Any, path: str, found: list[tuple[str, str]]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{path}.{key}", found)
    elif isinstance(value, list):
        for item in value:
            _flatten(item, path, found)
    elif value is not None and (text := str(value).strip()):
        found.append((path, text))


@dataclass(slots=True)
class _Tally:
    matched: int = 0
    predicted: int = 0
    expected: int = 0
    corrections: int = 0
    groups_matched: int = 0
    groups_predicted: int = 0
    groups_expected: int = 0

    def add(self, predicted: _Entities, expected: _Entities) -> None:
        """Entities that may correct each other: of a pair of groups, or of no group."""
        equal, same_key = (len(predicted),) * 2 if predicted == expected else _shared(predicted, expected)
        self.matched += equal
        self.predicted += len(predicted)
        self.expected += len(expected)
        # Over the keys: sum of max(FP, FN) = sum of max(predicted, expected) - TP, and max = sum - min.
        self.corrections += len(predicted) + len(expected) - same_key - equal

    def add_groups(self, predicted: list[_Entities], expected: list[_Entities]) -> None:
        self.groups_predicted += len(predicted)
        self.groups_expected += len(expected)
        for p, e in align(predicted, expected, lambda p, e: _overlap(predicted[p], expected[e])):
            ours, theirs = () if p is None else predicted[p], () if e is None else expected[e]
            self.groups_matched += ours == theirs
            self.add(ours, theirs)

    def counts(self) -> KievalCounts:
        return KievalCounts(
            matched=self.matched,
            predicted=self.predicted,
            expected=self.expected,
            corrections=self.corrections,
            groups_matched=self.groups_matched,
            groups_predicted=self.groups_predicted,
            groups_expected=self.groups_expected,
        )


def _overlap(predicted: _Entities, expected: _Entities) -> int:
    equal, same_key = _shared(predicted, expected)
    return equal * _EQUAL + same_key


def _shared(predicted: _Entities, expected: _Entities) -> tuple[int, int]:
    """Entities that both have, and those that both have or could substitute for each other."""
    return _common(predicted, expected), _common(map(itemgetter(0), predicted), map(itemgetter(0), expected))


def _common(a: Iterable[Any], b: Iterable[Any]) -> int:
    return (Counter(a) & Counter(b)).total()
