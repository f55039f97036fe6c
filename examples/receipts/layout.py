"""A receipt's strings arranged in rows, as a till's printer would.

Rows know columns and emphasis, not fonts or pixels (see `drawing`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from examples.receipts.wording import Line, PrintedItem, Wording

Align = Literal["left", "center", "right"]
Emphasis = Literal["plain", "bold", "tall", "big"]


@dataclass(frozen=True)
class Row:
    """One printed row.

    Attributes:
        left: text at the left edge, or centred, or up against the right-hand columns, by `align`.
        right: texts of the right-hand columns; the last ends at the right edge.
        fill: a character that fills what is free between `left` and `right`; alone, the whole row.
    """

    left: str = ""
    right: tuple[str, ...] = ()
    align: Align = "left"
    emphasis: Emphasis = "plain"
    fill: str = ""


@dataclass(frozen=True)
class _Style:
    header: Align
    rule: str
    leader: str
    headings: bool
    labels: Align
    total: Emphasis


def lay_out(rng: random.Random, wording: Wording) -> list[Row]:
    """Arrange the wording in rows, in a style of its own."""
    style = _Style(
        header=rng.choice(("center", "center", "left")),
        rule=rng.choice(("-", "-", "=", "_")),
        leader=rng.choice(("", "", "", ".")),
        headings=rng.random() < 0.6,
        labels=rng.choice(("left", "left", "right")),
        total=rng.choice(("bold", "tall", "big")),
    )
    rule = Row(fill=style.rule)
    return [
        *_header(rng, wording, style),
        rule,
        *_items(wording, style),
        rule,
        *_lines(wording, style),
        rule,
        *_footer(rng, wording, style),
    ]


def _header(rng: random.Random, wording: Wording, style: _Style) -> Iterator[Row]:
    yield Row(wording.company, align=style.header, emphasis=rng.choice(("bold", "tall")))
    for line in wording.address:
        yield Row(line, align=style.header)
    if rng.random() < 0.6:
        yield Row(f"Tel: {rng.randrange(10**8, 10**9)}", align=style.header)
    yield Row()
    yield Row(f"No: {rng.randrange(10**5, 10**6)}", (f"Pos {rng.randint(1, 9)}",))
    if rng.random() < 0.5:
        yield Row(f"{wording.date_label} {wording.date} {wording.time}".strip())
    else:
        yield Row(f"{wording.date_label} {wording.date}".strip(), (wording.time,))


def _items(wording: Wording, style: _Style) -> Iterator[Row]:
    name, count, unit, price = wording.words.items
    if wording.item_style == "table":
        yield Row(name, (count, unit, price))
        yield Row(fill=style.rule)
    elif style.headings:
        yield Row(f"{count} {name}" if wording.item_style == "count_first" else name, (price,))
        yield Row(fill=style.rule)
    for item in wording.items:
        yield from _item(item, wording, style)


def _item(item: PrintedItem, wording: Wording, style: _Style) -> Iterator[Row]:
    if wording.item_style == "count_first":
        yield Row(f"{item.cnt} {item.nm}", (item.price,), fill=style.leader)
    elif wording.item_style == "table":
        yield Row(item.nm, (str(item.cnt), str(item.unitprice), item.price))
    elif item.unitprice:
        yield Row(item.nm)
        yield Row(f"  {item.cnt} x {item.unitprice}", (item.price,), fill=style.leader)
    else:
        yield Row(item.nm, (item.price,), fill=style.leader)
    if item.num:
        yield Row(f"  {item.num}")
    for extra in item.sub or ():
        yield Row(f"   {extra.nm}", (extra.price,) if extra.price else ())
    if item.discountprice:
        yield Row("   Disc 10%", (item.discountprice,))


def _lines(wording: Wording, style: _Style) -> Iterator[Row]:
    for line in wording.lines:
        yield _line(line, style)


def _line(line: Line, style: _Style) -> Row:
    emphasis: Emphasis = style.total if line.field == "total" else "plain"
    return Row(line.label, (line.amount,), style.labels, emphasis, style.leader if style.labels == "left" else "")


def _footer(rng: random.Random, wording: Wording, style: _Style) -> Iterator[Row]:
    if rng.random() < 0.4:
        yield Row(f"{wording.words.count}: {sum(int(item.cnt or 1) for item in wording.items)}")
    yield Row()
    yield Row(rng.choice(wording.words.thanks), align=style.header)
