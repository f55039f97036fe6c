"""Where on the image an extracted value is printed.

Belongs here: finding values in a page's text. Does not: reading the page (`backends.ocr`), or judging the value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from rapidfuzz import fuzz

from ocrlty_pipeline.formats import MONEY, CanonicalFormError, money_readings
from ocrlty_pipeline.plausibility.findings import Finding
from ocrlty_pipeline.plausibility.leaves import Leaf
from ocrlty_pipeline.plausibility.page import Box, Page, PrintedText

# An engine misreads a letter in twenty; a value with more differences than this is another one.
MIN_LIKENESS = 0.85
# Of fewer letters, one misread already makes another value.
MIN_FUZZY_LETTERS = 8
# No printed value is longer, and the search takes time with the product of both lengths.
MAX_LETTERS = 400
_AMOUNT = re.compile(r"[0-9][0-9.,' ]*")


class PageText:
    """A page's letters without spaces, each knowing its piece of print and its word."""

    def __init__(self, page: Page) -> None:
        self._page = page
        words = [(number, _letters(word)) for number, piece in enumerate(page) for word in piece.text.split()]
        self._letters = "".join(letters for _, letters in words)
        self._piece_of = [number for number, letters in words for _ in letters]
        self._word_of = [word for word, (_, letters) in enumerate(words) for _ in letters]

    def find(self, leaf: Leaf) -> dict[str, Any]:
        """The entry of `meta.grounding` for one value.

        Returns:
            `found`; and where it is, `box` (fractions of the image), `score` (the engine's lowest confidence there)
            and `likeness` (1 for the same letters).
        """
        span = self._exact(leaf) or self._alike(leaf)
        if span is None:
            return {"found": False}
        pieces, likeness = span
        return {
            "found": True,
            "box": [round(side, 4) for side in _around(pieces)],
            "score": round(min(piece.score for piece in pieces), 3),
            "likeness": round(likeness, 3),
        }

    def _exact(self, leaf: Leaf) -> tuple[list[PrintedText], float] | None:
        needle = _letters(leaf.value)
        if not needle:
            return None
        for start in _occurrences(needle, self._letters):
            if self._stands_alone(start, start + len(needle)):
                return self._pieces(start, start + len(needle)), 1.0
        return None

    def _alike(self, leaf: Leaf) -> tuple[list[PrintedText], float] | None:
        if leaf.format == MONEY:
            return self._same_amount(leaf.value)
        needle = _letters(leaf.value)[:MAX_LETTERS]
        if len(needle) < MIN_FUZZY_LETTERS:
            return None
        found = fuzz.partial_ratio_alignment(needle, self._letters, score_cutoff=100 * MIN_LIKENESS)
        if found is None or found.dest_end == found.dest_start:
            return None
        if _digits(needle) != _digits(self._letters[found.dest_start : found.dest_end]):
            return None
        return self._pieces(found.dest_start, found.dest_end), found.score / 100

    def _same_amount(self, value: Any) -> tuple[list[PrintedText], float] | None:
        """An amount printed with other separators or another currency mark is the same amount."""
        wanted = _amounts(value)
        for piece in self._page:
            if any(wanted & _amounts(printed) for printed in _AMOUNT.findall(piece.text)):
                return [piece], 1.0
        return None

    def _stands_alone(self, start: int, end: int) -> bool:
        """`5` is not printed where `15` is, nor `20` where `1.20` is: a number must not go on within its word."""
        return not (self._goes_on(start, -1) or self._goes_on(end - 1, +1))

    def _goes_on(self, at: int, step: int) -> bool:
        if not self._letters[at].isdecimal():
            return False
        rest = [self._letters[i] for i in (at + step, at + 2 * step) if self._in_word(i, at)]
        if len(rest) > 1 and rest[0] in ".,":
            del rest[0]
        return bool(rest) and rest[0].isdecimal()

    def _in_word(self, position: int, at: int) -> bool:
        return 0 <= position < len(self._letters) and self._word_of[position] == self._word_of[at]

    def _pieces(self, start: int, end: int) -> list[PrintedText]:
        return [self._page[number] for number in dict.fromkeys(self._piece_of[start:end])]


def grounding(found: Sequence[Leaf], page: Page) -> dict[str, dict[str, Any]]:
    """`meta.grounding` of an extract record: for each text or number of the answer, whether and where it is printed.

    Keys are the values' paths, `menu[2].price`. What is true or false is printed nowhere and left out.
    """
    text = PageText(page)
    return {leaf.path: text.find(leaf) for leaf in found if not isinstance(leaf.value, bool)}


def grounding_findings(entries: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    """`printed`: every value of the answer stands somewhere on the image."""
    missing = [path for path, entry in entries.items() if not entry["found"]]
    if entries:
        problem = f"Not found in the printed text: {', '.join(missing)}." if missing else None
        yield Finding("printed", problem, tuple(missing or entries))


def _letters(value: Any) -> str:
    """Without spaces, in one case and one width: what OCR engines and models take liberties with."""
    return "".join(unicodedata.normalize("NFKC", str(value)).casefold().split())


def _digits(letters: str) -> list[str]:
    """A misread letter leaves a name recognizable; another digit makes another number, day or house."""
    return [letter for letter in letters if letter.isdecimal()]


def _occurrences(needle: str, text: str) -> Iterator[int]:
    start = text.find(needle)
    while start >= 0:
        yield start
        start = text.find(needle, start + 1)


def _amounts(value: Any) -> set[Decimal]:
    try:
        return {abs(reading) for reading in money_readings(value)}
    except CanonicalFormError:
        return set()


def _around(pieces: Sequence[PrintedText]) -> Box:
    lefts, tops, rights, bottoms = zip(*(piece.box for piece in pieces), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
