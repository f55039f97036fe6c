"""The strings a receipt prints. What is printed and what is expected are the same objects, so that they cannot differ.

Where on the paper they stand is `layout`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from examples.receipts.places import Place, Words
from examples.receipts.sales import Extra, Item, Sale

ItemStyle = Literal["count_first", "name_over_count", "table", "name_only"]
Marked = Literal["all", "totals", "none"]


@dataclass(frozen=True)
class MoneyStyle:
    """How amounts are written: separators, and the pattern that adds the currency's mark."""

    thousands: str
    point: str
    decimals: int
    mark: str
    marked: Marked

    def write(self, amount: int, *, of_totals: bool = False) -> str:
        """`amount`, in minor units, as printed among the items or among the totals."""
        whole, cents = divmod(abs(amount), 10**self.decimals)
        text = f"{whole:,}".replace(",", self.thousands)
        if self.decimals:
            text += f"{self.point}{cents:0{self.decimals}d}"
        if self.marked == "all" or (self.marked == "totals" and of_totals):
            text = self.mark.format(text)
        return f"-{text}" if amount < 0 else text


@dataclass(frozen=True)
class PrintedExtra:
    nm: str
    cnt: str | None
    price: str | None


@dataclass(frozen=True)
class PrintedItem:
    """A line item as printed; None for what is not. Names as in the task `items_light_v1`."""

    nm: str
    cnt: str | None
    unitprice: str | None
    price: str
    discountprice: str | None
    num: str | None
    sub: tuple[PrintedExtra, ...] | None


@dataclass(frozen=True)
class Line:
    """A labelled amount below the items; `field` is its name in the task `receipt_fields_v1`, empty for none."""

    field: str
    label: str
    amount: str


@dataclass(frozen=True)
class Wording:
    """Everything a receipt prints."""

    company: str
    address: tuple[str, ...]
    date_label: str
    date: str
    time: str
    words: Words
    item_style: ItemStyle
    items: tuple[PrintedItem, ...]
    lines: tuple[Line, ...]

    @property
    def truth(self) -> dict[str, Any]:
        """The expected answer to the three built-in tasks, in one object."""
        fields = ("total", "subtotal", "tax", "service", "discount", "cash", "card", "change")
        amounts = {line.field: line.amount for line in self.lines if line.field}
        return {
            "company": self.company,
            "date": self.date,
            "address": " ".join(self.address),
            **{field: amounts.get(field) for field in fields},
            "menu": [asdict(item) for item in self.items],
        }


def word(rng: random.Random, sale: Sale) -> Wording:
    """Choose language, formats and labels, and write the sale in them."""
    words = rng.choice(sale.place.words)
    money = _draw_money_style(rng, sale.place)
    style: ItemStyle = rng.choice(("count_first", "name_over_count", "table", "name_only"))
    numbered = rng.random() < 0.6
    case = rng.choice((str, str, str.upper))
    return Wording(
        company=sale.shop.company,
        address=sale.shop.address,
        date_label=rng.choice(words.date),
        date=sale.moment.strftime(rng.choice(sale.place.dates)),
        time=sale.moment.strftime(rng.choice(("%H:%M", "%H:%M:%S", "%I:%M %p"))),
        words=words,
        item_style=style,
        items=tuple(_write_item(item, style, money, case, numbered=numbered) for item in sale.items),
        lines=tuple(_write_lines(rng, sale, words, money)),
    )


def _draw_money_style(rng: random.Random, place: Place) -> MoneyStyle:
    thousands, point = rng.choice(place.separators)
    return MoneyStyle(thousands, point, place.decimals, rng.choice(place.marks), rng.choice(("all", "totals", "none")))


def _write_item(
    item: Item, style: ItemStyle, money: MoneyStyle, case: Callable[[str], str], *, numbered: bool
) -> PrintedItem:
    counted = style != "name_only" or item.count > 1
    priced = style in ("name_over_count", "table") or (style == "name_only" and item.count > 1)
    return PrintedItem(
        nm=case(item.name),
        cnt=str(item.count) if counted else None,
        unitprice=money.write(item.unit_price) if priced else None,
        price=money.write(item.price),
        discountprice=money.write(-item.discount) if item.discount else None,
        num=item.number if numbered and item.number else None,
        sub=tuple(_write_extra(extra, money) for extra in item.extras) or None,
    )


def _write_extra(extra: Extra, money: MoneyStyle) -> PrintedExtra:
    return PrintedExtra(extra.name, None, money.write(extra.price) if extra.price else None)


def _write_lines(rng: random.Random, sale: Sale, words: Words, money: MoneyStyle) -> list[Line]:
    """The labelled amounts in printed order; charges of nothing are not printed."""
    tax = _charge(rng, "tax", words.tax, sale.tax, sale.tax_rate)
    charges = [
        _charge(rng, "discount", words.discount, -sale.discount, sale.discount_rate),
        _charge(rng, "service", words.service, sale.service, sale.service_rate),
        () if sale.place.tax_included else tax,
        _charge(rng, "", words.rounding, sale.rounding, 0),
    ]
    printed = [charge for charge in charges if charge]
    subtotal = [("subtotal", rng.choice(words.subtotal), sale.subtotal)] if printed or rng.random() < 0.5 else []
    due = [*subtotal, *printed, ("total", rng.choice(words.total), sale.total)]
    included = [tax] if tax and sale.place.tax_included else []
    entries = [*due, *_payment(rng, sale, words), *included]
    return [Line(field, label, money.write(amount, of_totals=True)) for field, label, amount in entries]


def _charge(
    rng: random.Random, field: str, labels: tuple[str, ...], amount: int, rate: float
) -> tuple[str, str, int] | tuple[()]:
    label = rng.choice(labels).format(rate=f"{rate:g}%")
    return (field, label, amount) if amount else ()


def _payment(rng: random.Random, sale: Sale, words: Words) -> list[tuple[str, str, int]]:
    if sale.by_card:
        return [("card", rng.choice(words.card), sale.total)]
    return [
        ("cash", rng.choice(words.cash), sale.cash),
        ("change", rng.choice(words.change), sale.cash - sale.total),
    ]
