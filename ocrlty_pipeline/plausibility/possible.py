"""Values that are possible at all: days on which a receipt may have been printed, one currency on a receipt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from ocrlty_pipeline.formats import DATE, MONEY, CanonicalFormError, canonical_date
from ocrlty_pipeline.plausibility.amounts import amount
from ocrlty_pipeline.plausibility.findings import Finding
from ocrlty_pipeline.plausibility.leaves import Leaf

# Receipts that somebody still has; older dates are misread years.
EARLIEST = date(1980, 1, 1)
# Where it is tomorrow already.
AHEAD = timedelta(days=1)
_MARK = re.compile(r"[^\W\d_]+|[$€£¥₩₫₹฿₱₽₺₴₪₦¢]")
# What is printed for a currency, where that is not its code; "$", "¥" and "kr" are several countries'.
_CODES = {
    "rp": "idr",
    "rm": "myr",
    "€": "eur",
    "£": "gbp",
    "₩": "krw",
    "₫": "vnd",
    "₹": "inr",
    "rs": "inr",
    "zł": "pln",
}
_CODES |= {
    "฿": "thb",
    "₱": "php",
    "₽": "rub",
    "₺": "try",
    "₴": "uah",
    "₪": "ils",
    "₦": "ngn",
    "fr": "chf",
    "rmb": "cny",
}
_SHARED = {
    "$": {"usd", "sgd", "aud", "nzd", "cad", "hkd", "twd", "bnd"},
    "¥": {"jpy", "cny"},
    "kr": {"sek", "nok", "dkk"},
}


def possible(found: Sequence[Leaf], today: date) -> Iterator[Finding]:
    """`date_possible`, for each date that can be read; `one_currency`, where any currency is printed."""
    for leaf in found:
        if leaf.format == DATE and (day := _day(leaf.value)) is not None:
            right = EARLIEST <= day <= today + AHEAD
            problem = (
                None if right else f"{leaf.path} {leaf.value!r} is {day}: no receipt read on {today} is of that day."
            )
            yield Finding("date_possible", problem, (leaf.path,))
    yield from _one_currency([leaf for leaf in found if leaf.format == MONEY and isinstance(leaf.value, str)])


def _one_currency(amounts: Sequence[Leaf]) -> Iterator[Finding]:
    printed = [(leaf, mark) for leaf in amounts if (mark := _currency(leaf.value)) is not None]
    if not printed:
        return
    stated = ", ".join(f"{leaf.path} {leaf.value!r}" for leaf, _ in printed)
    problem = None if _compatible({mark for _, mark in printed}) else f"Several currencies: {stated}."
    yield Finding("one_currency", problem, tuple(leaf.path for leaf, _ in printed))


def _compatible(marks: set[str]) -> bool:
    """One currency, or one that several share with a code of these."""
    codes = marks - _SHARED.keys()
    shared = marks & _SHARED.keys()
    return len(codes) + len(shared) <= 1 or (len(codes) == len(shared) == 1 and codes <= _SHARED[next(iter(shared))])


def _currency(text: str) -> str | None:
    """The currency printed with an amount; None where there is none, or the text is no amount."""
    marks = [mark.lower() for mark in _MARK.findall(text)]
    if not marks or amount(text, ",") is None:
        return None
    return "$" if "$" in marks else _CODES.get(marks[0], marks[0])


def _day(value: object) -> date | None:
    try:
        return canonical_date(value) if isinstance(value, str) else None
    except CanonicalFormError:
        return None
