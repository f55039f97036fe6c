"""The labelled amounts at a receipt's foot, and which of them is the amount to pay.

Belongs here: pairing labels with amounts, and the arithmetic that ties totals, taxes and payments together. Does not: a
task's fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from ocrlty_pipeline.backends.ocr.amounts import Amount, find_amounts, repair_point
from ocrlty_pipeline.backends.ocr.labels import Kind, Label, label_of, opens_tax_summary
from ocrlty_pipeline.backends.ocr.layout import Line

MONEY = frozenset(Kind) - {Kind.COUNT, Kind.OTHER}
# What may stand between the items and the first total. Above a subtotal, a discount is the last item's.
ABOVE_SUBTOTAL = frozenset({Kind.COUNT, Kind.OTHER})
ABOVE_TOTAL = ABOVE_SUBTOTAL | {Kind.DISCOUNT, Kind.TAX, Kind.SERVICE, Kind.ROUNDING}
# Sums of printed amounts are off by the rounding of each.
TOLERANCE = Decimal("0.02")


@dataclass(frozen=True, slots=True)
class Entry:
    """An amount and the label it stands beside.

    Attributes:
        label: None where the words beside the amount are no known label.
        row: index of the amount's line.
        tall: whether it is set clearly larger than the rest of the receipt.
    """

    label: Label | None
    amount: Amount
    row: int
    tall: bool = False

    @property
    def kind(self) -> Kind | None:
        return self.label.kind if self.label else None

    @property
    def value(self) -> Decimal:
        return self.amount.value


@dataclass(frozen=True, slots=True)
class Totals:
    """The entries from a receipt's first total on, without the table of tax per rate."""

    entries: tuple[Entry, ...]

    def of(self, *kinds: Kind) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]

    def values(self, *kinds: Kind) -> set[Decimal]:
        return {abs(entry.value) for entry in self.of(*kinds)}


def read_totals(lines: Sequence[Line]) -> Totals:
    entries = list(read_entries(lines))
    start = first_total_row(entries) or 0
    return Totals(tuple(entry for entry in entries if entry.row >= start))


def first_total_row(entries: Sequence[Entry]) -> int | None:
    """The line where the items end: that of the first total, or of discounts, taxes and counts right above it.

    None where no line has a label of money.
    """
    first = next((e for e in entries if _opens_totals(e)), None)
    if first is None:
        return min((e.row for e in entries if e.kind in MONEY), default=None)
    above = ABOVE_TOTAL if first.kind is Kind.TOTAL else ABOVE_SUBTOTAL
    row = first.row
    while any(e.row == row - 1 and e.kind in above for e in entries):
        row -= 1
    return row


def _opens_totals(entry: Entry) -> bool:
    return entry.kind in (Kind.SUBTOTAL, Kind.TOTAL) and entry.label is not None and entry.label.strength != 2


def read_entries(lines: Sequence[Line]) -> Iterator[Entry]:
    height = median(line.height for line in lines) if lines else 0.0
    in_tax_summary = False
    for row, line in enumerate(lines):
        found = _line_entries(line, row, tall=line.height >= 1.3 * height)
        if opens_tax_summary(line.text) and not any(entry.amount.is_price_like for entry in found):
            in_tax_summary = True
        elif in_tax_summary and _is_payment_line(found):
            in_tax_summary = False
        if in_tax_summary:
            continue
        below = lines[row + 1] if row + 1 < len(lines) else None
        yield from found or _entry_from_below(line, below, row)


def _is_payment_line(entries: Iterable[Entry]) -> bool:
    """What ends a tax table: a payment, or a total that is more than the table's own."""
    return any(
        entry.kind in (Kind.CASH, Kind.CHANGE, Kind.ROUNDING) or (entry.label == Label(Kind.TOTAL, 4))
        for entry in entries
    )


def _line_entries(line: Line, row: int, *, tall: bool) -> list[Entry]:
    """One entry per label of the line, with the last amount before the next label."""
    text = line.columns
    amounts = find_amounts(text)
    label = label_of(text)
    if label is not None and label.kind in MONEY and not any(a.is_price_like for a in amounts):
        text = repair_point(text)
        amounts = find_amounts(text)
    entries: list[Entry] = []
    end = 0
    for amount in amounts:
        words, end = text[end : amount.start], amount.end
        label = label_of(words)
        if label is not None or not entries or _has_words(words):
            entries.append(Entry(label, amount, row, tall))
        elif amount.is_price_like or not entries[-1].amount.is_price_like:
            entries[-1] = Entry(_label_across(entries[-1]), amount, row, tall)
    return entries


def _label_across(entry: Entry) -> Label | None:
    """A label's own in the next column, save for a discount: with a price beside it, it is an item's."""
    return None if entry.kind is Kind.DISCOUNT and entry.amount.is_price_like else entry.label


def _has_words(text: str) -> bool:
    return sum(char.isalpha() for char in text) > 3


def _entry_from_below(line: Line, below: Line | None, row: int) -> Iterator[Entry]:
    """A label alone on its line takes the amount that stands alone on the next."""
    label = label_of(line.text)
    if below is None or label is None or label.kind not in MONEY:
        return
    amounts = find_amounts(below.text)
    if len(amounts) == 1 and amounts[0].is_price_like and len(amounts[0].raw) >= len(below.text.strip()) - 2:
        yield Entry(label, amounts[0], row)


def choose_total(totals: Totals, *, labelled_only: bool) -> Entry | None:
    """The amount to pay: the best sum of label and arithmetic.

    Args:
        totals: the receipt's foot.
        labelled_only: whether the total must be printed as such, or without a label but proved by the payment; else an
            amount under another label may stand in.
    """
    candidates = [
        entry
        for entry in totals.entries
        if entry.value > 0 and _may_be_total(entry, totals, labelled_only=labelled_only)
    ]
    ranked = [(_score(entry, totals) + 0.1 * place, entry) for place, entry in enumerate(candidates)]
    best = max(ranked, key=lambda pair: pair[0], default=None)
    return best[1] if best else None


def _may_be_total(entry: Entry, totals: Totals, *, labelled_only: bool) -> bool:
    if entry.kind is Kind.TOTAL:
        return True
    if not entry.amount.is_price_like:
        return False
    if entry.kind is None:
        return _payment_evidence(entry.value, totals) >= 2
    return not labelled_only and entry.kind in (Kind.SUBTOTAL, Kind.CASH, Kind.CARD, Kind.COUNT)


def _score(entry: Entry, totals: Totals) -> float:
    if entry.kind is Kind.TOTAL and entry.label is not None:
        score = float(entry.label.strength)
    else:
        score = {Kind.SUBTOTAL: 0.5, Kind.CARD: 0.4, Kind.CASH: 0.2}.get(entry.kind or Kind.OTHER, 0.0)
    same = sum(other.value == entry.value for other in totals.entries) - 1
    score += min(0.6, 0.3 * same) + 0.5 * entry.tall
    score += _payment_evidence(entry.value, totals) + sum_evidence(entry.value, totals)
    return score if entry.amount.is_price_like else score - 1.5


def _payment_evidence(value: Decimal, totals: Totals) -> float:
    """How well the payment proves the amount; less than nothing when the cash does not suffice."""
    cash, card, change = (totals.values(kind) for kind in (Kind.CASH, Kind.CARD, Kind.CHANGE))
    if any(paid - back == value for paid in cash for back in change):
        return 3.0
    if value in card:
        return 2.0
    if value in cash and not change - {Decimal(0)}:
        return 1.5
    return -1.5 if cash and not card and max(cash) < value else 0.0


def sum_evidence(value: Decimal, totals: Totals) -> float:
    """How well the other amounts add up to this one."""
    if any(
        abs(abs(other.value + sign * rounding) - value) < Decimal("0.001")
        for other in totals.of(Kind.TOTAL, Kind.SUBTOTAL)
        for rounding in totals.values(Kind.ROUNDING) - {Decimal(0)}
        for sign in (1, -1)
    ):
        return 2.0
    parts = [totals.values(kind) - {Decimal(0)} for kind in (Kind.TAX, Kind.SERVICE)]
    cuts = totals.values(Kind.DISCOUNT) - {Decimal(0)}
    adders = [{Decimal(0), *part} for part in parts]
    for base, tax, service, cut in itertools.product(totals.values(Kind.SUBTOTAL), *adders, {Decimal(0), *cuts}):
        if (tax or service or cut) and abs(base + tax + service - cut - value) <= TOLERANCE:
            return 1.5
    return 0.0
