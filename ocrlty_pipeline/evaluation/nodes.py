"""The three kinds of places in a schema, each reading its values and comparing them: leaf, object, array.

A document is read once into a tree of canonical values; alignment and comparison work on trees only. What schema makes
which node is `plan`'s business.

Conventions:
- Only the schema's properties are compared; what else a document holds is counted in `Side.outside`.
- An empty array, null and a missing array are the same: no items. Likewise an object all of whose leaves are absent.
- A single value where the schema declares an array is that array's only item: CORD writes receipts of one item so.
- Another predicted value where the schema declares an object is a type mismatch of every leaf expected in it; where
  nothing is expected, it is one leaf too many. In the ground truth it is left out, and counted in `Side.outside`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from ocrlty_pipeline.evaluation.alignment import align
from ocrlty_pipeline.evaluation.outcomes import Mismatch, Outcome, Tally
from ocrlty_pipeline.evaluation.values import LeafReaders, Problem, Value, same

# What two items share: equal leaves decide, leaves that both have break ties. No item has a million leaves.
_EQUAL = 1 << 20
_BOTH_PRESENT = 1

# Indices on the way to a leaf, one for each array.
Indices = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Misshapen:
    """A value where the schema declares an object: none of its leaves can be found."""

    raw: Any = field(compare=False, repr=False)


# A leaf's value, the children of an object, the items of an array; None for nothing at all.
Tree = Value | Misshapen | tuple["Tree", ...] | None


@dataclass(slots=True)
class Side:
    """One of the two documents while it is read.

    Attributes:
        outside: how often each place held something that the schema does not know.
        departures: how often a document departed from the schema in its keys, or in writing one item for an array.
    """

    is_prediction: bool
    outside: Counter[str] = field(default_factory=Counter)
    departures: int = 0


class Node(Protocol):
    @property
    def path(self) -> str: ...

    def read(self, value: Any, side: Side) -> Tree:
        """The canonical tree of a JSON value; None when it holds nothing."""

    def within_schema(self, value: Any) -> Any:
        """The JSON value without keys that the schema does not know, a single item of an array as an array."""

    def overlap(self, predicted: Tree, expected: Tree) -> int:
        """How much two trees share."""

    def compare(self, predicted: Tree, expected: Tree, at: Indices, tally: Tally) -> None:
        """Count every leaf's outcome."""


@dataclass(frozen=True, slots=True)
class LeafNode:
    """A place that holds one value.

    Attributes:
        index: the leaf's number among the schema's leaves.
        segments: the path, parted at arrays: `("menu", ".price")`.
    """

    index: int
    segments: tuple[str, ...]
    readers: LeafReaders

    @property
    def path(self) -> str:
        return "[]".join(self.segments) or "$"

    def read(self, value: Any, side: Side) -> Value | None:
        return (self.readers.predicted if side.is_prediction else self.readers.expected)(value)

    def within_schema(self, value: Any) -> Any:
        return value

    def overlap(self, predicted: Tree, expected: Tree) -> int:
        if not isinstance(predicted, Value) or not isinstance(expected, Value):
            return 0
        return _EQUAL + _BOTH_PRESENT if _outcome(predicted, expected) is Outcome.MATCHED else _BOTH_PRESENT

    def compare(self, predicted: Tree, expected: Tree, at: Indices, tally: Tally) -> None:
        outcome = _outcome(predicted, expected)
        tally.count(self.index, outcome)
        if outcome is not Outcome.MATCHED and outcome is not Outcome.BOTH_ABSENT:
            tally.mismatches.append(self._mismatch(outcome, predicted, expected, at))

    def _mismatch(self, outcome: Outcome, predicted: Tree, expected: Tree, at: Indices) -> Mismatch:
        head, *rest = self.segments
        return Mismatch(
            path=head + "".join(f"[{index}]{segment}" for index, segment in zip(at, rest, strict=True)),
            field=self.path,
            kind=outcome.name.lower(),
            predicted=getattr(predicted, "raw", None),
            expected=getattr(expected, "raw", None),
            predicted_canonical=getattr(predicted, "canonical", None),
            expected_canonical=getattr(expected, "canonical", None),
        )


def _outcome(predicted: Tree, expected: Tree) -> Outcome:
    if not isinstance(expected, Value):
        return Outcome.BOTH_ABSENT if predicted is None else Outcome.GT_MISSING
    if not isinstance(predicted, Value):
        return Outcome.PRED_MISSING if predicted is None else Outcome.TYPE_MISMATCH
    problems = (predicted.problem, expected.problem)
    if Problem.WRONG_TYPE in problems:
        return Outcome.TYPE_MISMATCH
    if same(predicted, expected):
        return Outcome.MATCHED
    return Outcome.CANON_ERROR if Problem.UNREADABLE in problems else Outcome.MISMATCH


@dataclass(frozen=True, slots=True)
class ObjectNode:
    """A place that holds an object.

    Attributes:
        children: the nodes of its properties, by name.
    """

    path: str
    children: dict[str, Node]

    def read(self, value: Any, side: Side) -> Tree:
        if value is None:
            return None
        if not isinstance(value, dict):
            return self._read_other(value, side)
        for key in value.keys() - self.children.keys():
            side.outside[f"{self.path}.{key}" if self.path else key] += 1
            side.departures += 1
        trees = tuple([child.read(value.get(name), side) for name, child in self.children.items()])
        return trees if any(tree is not None for tree in trees) else None

    def _read_other(self, value: Any, side: Side) -> Misshapen | None:
        if side.is_prediction:
            return Misshapen(value)
        side.outside[self.path] += 1
        side.departures += 1
        return None

    def within_schema(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: self.children[name].within_schema(inner) for name, inner in value.items() if name in self.children
        }

    def overlap(self, predicted: Tree, expected: Tree) -> int:
        pairs = zip(self.children.values(), self._trees(predicted), self._trees(expected), strict=True)
        return sum(child.overlap(p, e) for child, p, e in pairs if p is not None and e is not None)

    def compare(self, predicted: Tree, expected: Tree, at: Indices, tally: Tally) -> None:
        theirs = self._trees(expected)
        ours = _blamed(predicted, theirs) if isinstance(predicted, Misshapen) else self._trees(predicted)
        for child, p, e in zip(self.children.values(), ours, theirs, strict=True):
            child.compare(p, e, at, tally)

    def _trees(self, tree: Tree) -> tuple[Tree, ...]:
        return tree if isinstance(tree, tuple) else (tree,) * len(self.children)


def _blamed(misshapen: Misshapen, expected: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """A misshapen object as the properties that shall count it: those expected, or the first where none is."""
    if any(tree is not None for tree in expected):
        return tuple(misshapen if tree is not None else None for tree in expected)
    return (misshapen, *expected[1:])


@dataclass(frozen=True, slots=True)
class ArrayNode:
    """A place that holds an array; its items are aligned by what they share, not by position."""

    path: str
    item: Node

    def read(self, value: Any, side: Side) -> Tree:
        if value is None:
            return None
        items = value if isinstance(value, list) else [value]
        side.departures += items is not value
        trees = tuple([self.item.read(item, side) for item in items])
        return trees if any(tree is not None for tree in trees) else None

    def within_schema(self, value: Any) -> Any:
        if value is None:
            return None
        return [self.item.within_schema(item) for item in (value if isinstance(value, list) else [value])]

    def overlap(self, predicted: Tree, expected: Tree) -> int:
        if not isinstance(predicted, tuple) or not isinstance(expected, tuple):
            return 0
        pairs = self._align(predicted, expected)
        return sum(self.item.overlap(predicted[p], expected[e]) for p, e in pairs if p is not None and e is not None)

    def compare(self, predicted: Tree, expected: Tree, at: Indices, tally: Tally) -> None:
        if isinstance(predicted, Misshapen):
            items = sum(item is not None for item in expected) if isinstance(expected, tuple) else 1
            predicted = (predicted,) * items
        predicted, expected = cast("tuple[Tree, ...]", predicted or ()), cast("tuple[Tree, ...]", expected or ())
        for p, e in self._align(predicted, expected):
            here = f"+{p}" if e is None else str(e)
            self.item.compare(
                None if p is None else predicted[p], None if e is None else expected[e], (*at, here), tally
            )

    def _align(self, predicted: tuple[Tree, ...], expected: tuple[Tree, ...]) -> list[tuple[int | None, int | None]]:
        return align(
            cast("tuple[Hashable, ...]", predicted),
            cast("tuple[Hashable, ...]", expected),
            lambda p, e: self.item.overlap(predicted[p], expected[e]),
        )
