"""What a person may choose about how values compare."""

from __future__ import annotations

from typing import Literal

from ocrlty_pipeline.formats import DecimalMark
from ocrlty_pipeline.records import Document

StringMode = Literal["exact", "strip", "strip_collapse"]


class EvaluationOptions(Document):
    """How leaves compare.

    Attributes:
        string_mode: `exact` compares strings as they are, `strip` without the white space around them, `strip_collapse`
            also with every run of white space inside as one space.
        decimal: the mark of a printed amount that is ambiguous, "48.000": `auto` reads thousands. A number in the
            ground truth equals either reading, whatever is set.
        ignore_case: whether "Nasi Goreng" equals "NASI GORENG"; by default it does not, as in the published SROIE and
            CORD figures.
    """

    string_mode: StringMode = "strip_collapse"
    decimal: DecimalMark = "auto"
    ignore_case: bool = False

    def normalized(self, text: str) -> str:
        """A string as it enters the comparison."""
        if self.string_mode == "strip":
            text = text.strip()
        elif self.string_mode == "strip_collapse":
            text = " ".join(text.split())
        return text.casefold() if self.ignore_case else text
