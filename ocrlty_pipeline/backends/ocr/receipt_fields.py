"""Rules of `receipt_fields_v1`: the amounts at a receipt's foot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from ocrlty_pipeline.backends.ocr.labels import Kind
from ocrlty_pipeline.backends.ocr.layout import Line
from ocrlty_pipeline.backends.ocr.totals import Entry, Totals, choose_total, read_totals


def receipt_fields(lines: Sequence[Line]) -> dict[str, str | None]:
    """The fields of the task, each as printed; None where not printed."""
    totals = read_totals(lines)
    total = choose_total(totals, labelled_only=True)
    to_pay = total.value if total else None
    change = _best(totals.of(Kind.CHANGE))
    fields = {
        "total": total,
        "subtotal": _best(totals.of(Kind.SUBTOTAL)) or _total_before_charges(totals, total),
        "tax": _best(totals.of(Kind.TAX)),
        "service": _best(totals.of(Kind.SERVICE)),
        "discount": _best(totals.of(Kind.DISCOUNT)),
        "cash": _best(totals.of(Kind.CASH), _settles(to_pay, change)),
        "card": _best(totals.of(Kind.CARD), lambda value: value == to_pay),
        "change": change,
    }
    return {name: entry.amount.raw if entry else None for name, entry in fields.items()}


def _best(entries: Sequence[Entry], fits: Callable[[Decimal], bool] = lambda _: False) -> Entry | None:
    """The entry that fits the others; else a price rather than a bare number, the surer label, the first printed."""
    return max(
        entries,
        key=lambda e: (fits(abs(e.value)), e.amount.is_price_like, e.label.strength if e.label else 0, -e.row),
        default=None,
    )


def _settles(to_pay: Decimal | None, change: Entry | None) -> Callable[[Decimal], bool]:
    back = abs(change.value) if change else Decimal(0)
    return lambda cash: to_pay is not None and cash - back == to_pay


def _total_before_charges(totals: Totals, total: Entry | None) -> Entry | None:
    """Where the sum of the items is called `Total` and the amount to pay `Grand Total`, the former is the subtotal."""
    if total is None:
        return None
    charges = [e.row for e in totals.of(Kind.TAX, Kind.SERVICE, Kind.DISCOUNT) if e.row < total.row]
    earlier = [e for e in totals.of(Kind.TOTAL) if charges and e.row < min(charges) and e.value != total.value]
    return earlier[0] if earlier else None
