"""Leaves: one JSON value to its canonical form, by the kind of leaf that the schema declares.

Conventions:
- null, a missing key and a blank string are the same: absent. A printed receipt knows no empty text.
- What was predicted must have the type the schema declares; what is expected may be looser, since ground truth comes
  from spreadsheets: a number where a string is declared stands for its text, a printed string where a number is for its
  amount. An amount, a count or a date may be predicted in any JSON type its format can be read from.
- An amount given as a JSON number was written without separators: it equals a printed amount if any reading of the
  print does. Two prints are compared by their likeliest readings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Literal

from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.formats import (
    COUNT,
    DATE,
    MONEY,
    CanonicalFormError,
    canonical_count,
    canonical_date,
    money_readings,
)

LeafKind = Literal["x-money", "x-count", "x-date", "string", "number", "boolean", "any"]
# A right prediction repeats what is expected, and names, counts and dates recur: most texts are read once for all.
_CACHED_TEXTS = 1 << 16


class Problem(Enum):
    """Why a value has no canonical form."""

    UNREADABLE = "unreadable"
    WRONG_TYPE = "wrong_type"


@dataclass(frozen=True, slots=True)
class Value:
    """A leaf that is there.

    Attributes:
        raw: as given.
        readings: canonical texts, the likeliest first; the text as printed when it is unreadable.
        is_number: given as a JSON number.
    """

    raw: Any = field(compare=False, repr=False)
    readings: tuple[str, ...]
    is_number: bool = False
    problem: Problem | None = None

    @property
    def canonical(self) -> str | None:
        return None if self.problem else self.readings[0]


def same(a: Value, b: Value) -> bool:
    """Whether two leaves state the same; unreadable ones do when their texts are equal."""
    if a is b or a.readings[0] == b.readings[0]:
        return True
    return (a.is_number or b.is_number) and not set(a.readings).isdisjoint(b.readings)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the leaves of one kind on one side.

    Attributes:
        text: for strings that are not blank.
        number: for JSON numbers.
        other: for booleans and containers.
    """

    text: Callable[[str], Value]
    number: Callable[[Any], Value]
    other: Callable[[Any], Value]

    def __call__(self, value: Any) -> Value | None:
        """The leaf's canonical form; None when it is absent."""
        if isinstance(value, str):
            return self.text(value) if value and not value.isspace() else None
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.number(value)
        return self.other(value)


@dataclass(frozen=True, slots=True)
class LeafReaders:
    predicted: Reader
    expected: Reader


def leaf_readers(kind: LeafKind, options: EvaluationOptions) -> LeafReaders:
    """The readers of one kind of leaf; they cache, so make them once for all leaves of the kind."""
    text, number, other = _strict(kind, options)
    text = lru_cache(maxsize=_CACHED_TEXTS)(text)
    predicted = Reader(text, number, other)
    if kind == "string":
        return LeafReaders(predicted, Reader(text, partial(_number_as_text, text), other))
    if kind == "number":
        return LeafReaders(predicted, Reader(partial(_money, options), number, other))
    return LeafReaders(predicted, predicted)


_Read = Callable[[Any], Value]


def _strict(kind: LeafKind, options: EvaluationOptions) -> tuple[_Read, _Read, _Read]:
    text = partial(_string, options)
    by_kind: dict[LeafKind, tuple[_Read, _Read, _Read]] = {
        MONEY: (partial(_money, options), _number, _wrong_type),
        COUNT: (_count, _number, _wrong_type),
        DATE: (_date, _wrong_type, _wrong_type),
        "string": (text, _wrong_type, _wrong_type),
        "number": (_wrong_type, _number, _wrong_type),
        "boolean": (_wrong_type, _wrong_type, _boolean),
        "any": (text, _number, _json),
    }
    return by_kind[kind]


def _string(options: EvaluationOptions, text: str) -> Value:
    return Value(text, (options.normalized(text),))


def _money(options: EvaluationOptions, text: str) -> Value:
    try:
        readings = money_readings(text, options.decimal)
    except CanonicalFormError:
        return _unreadable(text)
    return Value(text, tuple(plain(amount) for amount in readings))


def _count(text: str) -> Value:
    try:
        return Value(text, (plain(canonical_count(text)),))
    except CanonicalFormError:
        return _unreadable(text)


def _date(text: str) -> Value:
    try:
        return Value(text, (canonical_date(text).isoformat(),))
    except CanonicalFormError:
        return _unreadable(text)


def _number(value: float) -> Value:
    try:
        return Value(value, (plain(money_readings(value)[0]),), is_number=True)
    except CanonicalFormError:
        return _unreadable(repr(value))


def _number_as_text(text: _Read, value: float) -> Value:
    reading = _number(value)
    return Value(value, text(reading.readings[0]).readings)


def _boolean(value: Any) -> Value:
    return Value(value, (str(value).lower(),)) if isinstance(value, bool) else _wrong_type(value)


def _json(value: Any) -> Value:
    return Value(value, (json.dumps(value, sort_keys=True, ensure_ascii=False),))


def _unreadable(text: str) -> Value:
    return Value(text, (" ".join(text.split()),), problem=Problem.UNREADABLE)


def _wrong_type(value: Any) -> Value:
    return Value(value, ("",), problem=Problem.WRONG_TYPE)


def plain(number: Decimal) -> str:
    """Decimal notation without exponent or trailing zeros: equal numbers have equal texts."""
    digits = f"{number:f}"
    if "." in digits:
        digits = digits.rstrip("0").removesuffix(".")
    return "0" if digits == "-0" else digits
