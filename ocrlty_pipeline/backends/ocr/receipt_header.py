"""Rules of `receipt_header_v1`: who issued the receipt, when, where, and the amount to pay."""

from __future__ import annotations

from collections.abc import Sequence

from ocrlty_pipeline.backends.ocr.company import find_address, find_company
from ocrlty_pipeline.backends.ocr.dates import find_date
from ocrlty_pipeline.backends.ocr.layout import Line
from ocrlty_pipeline.backends.ocr.totals import choose_total, read_totals

# How many lines from the top may belong to the header.
HEADER_LINES = 16


def receipt_header(lines: Sequence[Line]) -> dict[str, str | None]:
    """The fields of the task, each as printed; None where not printed."""
    header = [line.text for line in lines[:HEADER_LINES]]
    total = choose_total(read_totals(lines), labelled_only=False)
    name_row, company = find_company(header)
    return {
        "company": company,
        "date": find_date([line.text for line in lines]),
        "address": find_address(header[name_row + 1 :]),
        "total": total.amount.raw if total else None,
    }
