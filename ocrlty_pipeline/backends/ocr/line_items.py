"""Rules of `items_light_v1`: the priced lines between a receipt's header and its totals."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ocrlty_pipeline.backends.ocr.amounts import find_amounts
from ocrlty_pipeline.backends.ocr.item_rows import ItemRow, item_row, price_edge
from ocrlty_pipeline.backends.ocr.labels import Kind, label_of
from ocrlty_pipeline.backends.ocr.layout import Line
from ocrlty_pipeline.backends.ocr.totals import first_total_row, read_entries

_TABLE_HEAD_WORD = re.compile(
    r"\b(?:QTY|QUANTITY|JML|BANYAK|DESCRIPTION|DESC|ITEMS?|ITEN|PRICE|HARGA|AMOUNT|AMT|U/P|U\.P|U\.?PRICE|S/PRICE"
    r"|TOTAL|NAMA|DISC|SALE|TAX|RM)\b",
    re.IGNORECASE,
)
_NO_ITEM = re.compile(
    r"\b(?:DATE|TIME|TEL|FAX|INVOICE|RECEIPT|CASHIER|TABLE|MEJA|ORDER|GUEST|CHK|BILL|PAX|SERVER|KASIR|TANGGAL|TGL"
    r"|MEMBER|GST (?:ID|NO)|REG|AUTHORI[SZ]E|SALES ?PERSON|COVERS?|DINE ?IN|EAT ?IN|TAKE ?AWAY|TAKE ?OUT)\b|^\W*$",
    re.IGNORECASE,
)
_ADDITION = re.compile(r"^[+>*=~-]\s?\S")
# Indents in heights of a line. A name broken over two lines goes on right below where it began; an addition is
# indented, and one with a price of its own more clearly so, or it would be an item.
CONTINUED_NAME = 0.25
PRICED_ADDITION = 0.35


@dataclass
class _Item:
    """An item while its rows are read."""

    first: ItemRow
    nm: str | None
    cnt: str | None
    unitprice: str | None
    price: str | None
    discountprice: str | None
    num: str | None
    sub: list[dict[str, str | None]] = field(default_factory=list)

    @classmethod
    def of(cls, row: ItemRow) -> _Item:
        return cls(row, row.nm or None, row.cnt, row.unitprice, row.price, row.discountprice, row.num)

    def take(self, row: ItemRow) -> None:
        """Fill what is still open from another row of the same item."""
        self.nm = self.nm or row.nm or None
        self.cnt = self.cnt or row.cnt
        self.unitprice = self.unitprice or row.unitprice
        self.price = self.price or row.price
        self.discountprice = self.discountprice or row.discountprice
        self.num = self.num or row.num

    def as_json(self) -> dict[str, Any]:
        names = ("nm", "cnt", "unitprice", "price", "discountprice", "num")
        return {name: getattr(self, name) for name in names} | {"sub": self.sub or None}


def line_items(lines: Sequence[Line]) -> dict[str, Any]:
    """The field of the task: items in printed order, with their additions."""
    zone = item_lines(lines)
    edge = price_edge(zone)
    rows = [item_row(line, edge) for line in zone if not _is_noise(line)]
    return {"menu": [item.as_json() for item in _items(rows) if item.price or item.unitprice]}


def item_lines(lines: Sequence[Line]) -> Sequence[Line]:
    """The lines between the head of the table, or the header, and the totals."""
    end = first_total_row(list(read_entries(lines)))
    above = lines[:end]
    heads = [row for row, line in enumerate(above) if _is_table_head(line)]
    if heads:
        return above[heads[-1] + 1 :]
    start = next((row for row, line in enumerate(above) if _is_priced(line)), None)
    if start is None:
        return ()
    names_above = start > 0 and not item_row(above[start], None).nm and not _is_noise(above[start - 1])
    return above[start - names_above :]


def _is_table_head(line: Line) -> bool:
    priced = any(amount.is_price_like for amount in find_amounts(line.columns))
    return len(set(_TABLE_HEAD_WORD.findall(line.text.upper()))) >= 2 and not priced


def _is_priced(line: Line) -> bool:
    found = find_amounts(line.columns)
    return bool(found) and found[-1].is_price_like and not _NO_ITEM.search(line.text)


def _is_noise(line: Line) -> bool:
    if any(amount.is_price_like for amount in find_amounts(line.columns)):
        return False
    label = label_of(line.text)
    return bool(_NO_ITEM.search(line.text)) or (label is not None and label.kind in (Kind.OTHER, Kind.COUNT))


def _items(rows: Sequence[ItemRow]) -> list[_Item]:
    """Group rows into items.

    An item is one row with name and price; or a row of numbers with its name above or below it, as the list begins.
    """
    numbers_first = bool(rows) and not rows[0].nm
    items: list[_Item] = []
    for row, following in itertools.zip_longest(rows, rows[1:]):
        current = items[-1] if items else None
        if current is not None and _belongs(row, current, following, numbers_first=numbers_first):
            _add(row, current)
        else:
            items.append(_Item.of(row))
    return items


def _belongs(row: ItemRow, item: _Item, following: ItemRow | None, *, numbers_first: bool) -> bool:
    """Whether a row continues an item instead of opening one."""
    if row.discountprice and not row.price:
        return True
    if not row.nm and not row.has_numbers:
        return True
    if not row.nm:
        return item.nm is not None and (item.price is None or (row.price in (None, item.price) and item.cnt is None))
    if row.has_numbers:
        is_addition = _ADDITION.match(row.nm) or _indent(row, item.first) > PRICED_ADDITION
        return item.price is not None and row.cnt is None and bool(is_addition)
    if item.nm is None:
        return True
    names_next = not numbers_first and following is not None and not following.nm and following.price is not None
    return item.price is not None and not (names_next and _indent(row, item.first) <= CONTINUED_NAME)


def _add(row: ItemRow, item: _Item) -> None:
    if not row.nm or item.nm is None or row.discountprice:
        item.take(row)
    elif _continues_name(row, item):
        item.nm = f"{item.nm} {row.nm}"
    else:
        item.sub.append({"nm": row.nm, "cnt": row.cnt, "price": row.price})


def _continues_name(row: ItemRow, item: _Item) -> bool:
    """Whether a row without numbers goes on with the name above it; below a row of numbers, it is an addition."""
    if row.has_numbers or _ADDITION.match(row.nm) or not (item.first.has_numbers or item.price is None):
        return False
    return _indent(row, item.first) <= CONTINUED_NAME


def _indent(row: ItemRow, first: ItemRow) -> float:
    """How far right of an item's name a row's name begins, in heights of a line."""
    return (row.name_left - first.name_left) / first.height
