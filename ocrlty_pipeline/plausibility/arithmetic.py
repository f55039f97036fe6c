"""Figures of a receipt that must add up, under the names that the built-in tasks give them.

    total_adds_up     subtotal + tax + service - discount = total
    change_adds_up    cash - total = change
    items_add_up      the prices of the items = subtotal, or total where no subtotal is printed
    lines_multiply    count × unit price = price, less a discount, of each item

A receipt may print any of these in more than one way: tax that the subtotal includes already, a discount as a negative
amount, additions priced within their item or beside it. A check is violated only when no such way adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

from ocrlty_pipeline.formats import CanonicalFormError, DecimalMark, canonical_count
from ocrlty_pipeline.plausibility.amounts import MARKS, Amount, agree, amount
from ocrlty_pipeline.plausibility.findings import Finding

Fields = Mapping[str, Any]
ZERO = Decimal(0)
NOTHING = Amount(ZERO, ZERO)


def arithmetic(document: Fields) -> Iterator[Finding]:
    """What can be computed of a document; values that cannot be read are the schema's to complain of."""
    yield from _finding(document, "total_adds_up", ("subtotal", "tax", "service", "discount", "total"), _total)
    yield from _finding(document, "change_adds_up", ("cash", "total", "change"), _change)
    items = document.get("menu")
    if isinstance(items, list) and items and all(isinstance(item, Mapping) for item in items):
        yield from _finding(document, "items_add_up", ("menu", "subtotal", "total"), _items)
        for position, item in enumerate(items):
            yield from _finding(
                item, "lines_multiply", ("cnt", "unitprice", "price", "discountprice"), _line, f"menu[{position}]."
            )


# Whether the figures add up when `mark` is the fraction's, or None when some that are needed are missing.
Rule = Callable[[Fields, DecimalMark], bool | None]


def _finding(fields: Fields, check: str, names: Sequence[str], rule: Rule, within: str = "") -> Iterator[Finding]:
    verdicts = [verdict for mark in MARKS if (verdict := rule(fields, mark)) is not None]
    if verdicts:
        there = [name for name in names if fields.get(name) not in (None, "")]
        stated = ", ".join(f"{within}{name} {fields[name]!r}" for name in there if name != "menu")
        problem = None if any(verdicts) else f"{_RULES[check]} does not hold: {stated}."
        yield Finding(check, problem, tuple(f"{within}{name}" for name in there))


_RULES = {
    "total_adds_up": "subtotal + tax + service - discount = total",
    "change_adds_up": "cash - total = change",
    "items_add_up": "the items' prices = subtotal or total",
    "lines_multiply": "count × unit price = price",
}


def _total(fields: Fields, mark: DecimalMark) -> bool | None:
    subtotal, total = amount(fields.get("subtotal"), mark), amount(fields.get("total"), mark)
    extras = [_optional(fields, name, mark) for name in ("tax", "service", "discount")]
    if subtotal is None or total is None or any(extra is None for extra in extras):
        return None
    tax, service, discount = (extra or NOTHING for extra in extras)
    less = abs(discount.value)
    # A tax or service charge that the prices include already is printed for information.
    sums = (
        subtotal.value + with_tax + with_service - with_discount
        for with_tax, with_service, with_discount in product((tax.value, ZERO), (service.value, ZERO), (less, ZERO))
    )
    return any(agree(expected, total, (subtotal, tax, service, discount)) for expected in sums)


def _change(fields: Fields, mark: DecimalMark) -> bool | None:
    cash, total, change = (amount(fields.get(name), mark) for name in ("cash", "total", "change"))
    if cash is None or total is None or change is None:
        return None
    # Who pays partly by card gets change on the rest.
    card = _optional(fields, "card", mark) or NOTHING
    paid = (cash.value, cash.value + card.value)
    return any(agree(sum_paid - total.value, _positive(change), (cash, total, card)) for sum_paid in paid)


def _items(fields: Fields, mark: DecimalMark) -> bool | None:
    stated = amount(fields.get("subtotal"), mark) or amount(fields.get("total"), mark)
    prices = [amount(item.get("price"), mark) for item in fields["menu"]]
    known = [price for price in prices if price is not None]
    if stated is None or len(known) < len(prices):
        return None
    additions = [found for item in fields["menu"] for found in _additions(item, mark)]
    discounts = [found for item in fields["menu"] if (found := amount(item.get("discountprice"), mark)) is not None]
    base = _sum(known)
    sums = (base + a - d for a, d in product((ZERO, _sum(additions)), (ZERO, _sum(map(_positive, discounts)))))
    return any(agree(expected, stated, [*known, *additions, *discounts]) for expected in sums)


def _line(item: Fields, mark: DecimalMark) -> bool | None:
    unit, price = amount(item.get("unitprice"), mark), amount(item.get("price"), mark)
    count = _count(item.get("cnt"))
    if unit is None or price is None or count is None:
        return None
    discount = _positive(amount(item.get("discountprice"), mark) or NOTHING)
    # A rounded unit price is multiplied with its count, and its rounding with it.
    of_unit = Amount(unit.value * count, unit.rounding * abs(count))
    return any(agree(of_unit.value - less, price, (of_unit, discount)) for less in (ZERO, discount.value))


def _additions(item: Fields, mark: DecimalMark) -> Iterator[Amount]:
    subs = item.get("sub")
    for sub in subs if isinstance(subs, list) else []:
        if isinstance(sub, Mapping) and (found := amount(sub.get("price"), mark)) is not None:
            yield found


def _optional(fields: Fields, name: str, mark: DecimalMark) -> Amount | None:
    """Nothing where no amount is printed; None where one is that cannot be read."""
    value = fields.get(name)
    return NOTHING if value in (None, "") else amount(value, mark)


def _count(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return canonical_count(value)
    except CanonicalFormError:
        return None


def _positive(given: Amount) -> Amount:
    return Amount(abs(given.value), given.rounding)


def _sum(amounts: Any) -> Decimal:
    return sum((each.value for each in amounts), ZERO)
