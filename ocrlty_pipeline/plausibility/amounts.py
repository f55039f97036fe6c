"""Printed amounts for arithmetic: read alike throughout a document, with the rounding that their print allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ocrlty_pipeline.formats import CanonicalFormError, DecimalMark, money_readings

# Two of "48.000" are thousands, or both are not: one mark is the fraction's throughout a receipt.
MARKS: tuple[DecimalMark, ...] = (",", ".")
# Cash is rounded to the nearest five cents in several countries, mostly without a line that says so.
CASH_ROUNDING = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount and half a unit of its last printed digit, by which rounding may have moved it."""

    value: Decimal
    rounding: Decimal


def amount(value: Any, mark: DecimalMark) -> Amount | None:
    """The amount a value states when `mark` is the fraction's; None where there is none or it cannot be read."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None
    try:
        number = money_readings(value, mark)[0]
    except CanonicalFormError:
        return None
    exponent = number.as_tuple().exponent
    return Amount(number, Decimal((0, (5,), min(exponent, 0) - 1)) if isinstance(exponent, int) else Decimal(0))


def agree(expected: Decimal, stated: Amount, parts: Iterable[Amount]) -> bool:
    """Whether `stated` is `expected`, within the rounding of everything it was computed from."""
    slack = max(CASH_ROUNDING, stated.rounding + sum((part.rounding for part in parts), Decimal(0)))
    return abs(expected - stated.value) <= slack
