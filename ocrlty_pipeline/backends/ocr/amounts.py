"""Find amounts of money and counts in a printed line, and read their value.

Belongs here: what a number looks like, and the confusions of OCR inside numbers. Does not: what an amount means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

CURRENCY = r"(?:US\$|S\$|RM|Rp\.?|MYR|IDR|SGD|USD|EUR|PHP|THB|[$€£¥₱฿])"
# Grouped by thousands, or with one or two decimals, or a decimal part alone (".80"), or a bare integer. A space after a
# separator is the engine's, not the printer's.
_NUMBER = r"(?:\d{1,3}(?:[.,] ?\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+[.,] ?\d{1,2}(?!\d)|[.,]\d{2}(?!\d)|\d+)"
_AMOUNT = re.compile(
    rf"(?P<open>\(\s?)?(?P<sign>[-–—]\s?)?(?P<currency>(?<![A-Za-z]){CURRENCY}\s?)?(?P<inner_sign>[-–—])?"
    rf"(?P<number>{_NUMBER})(?P<dot>(?<=[.,]\d{{3}})\.(?![\w.]))?(?P<end_sign>-(?!\w))?(?P<close>\s?\))?",
    re.IGNORECASE,
)
# Dates, times, telephone and article numbers: digits that are no amounts.
_NOT_AMOUNTS = re.compile(
    r"\d{1,4}([/-])\d{1,2}\1\d{2,4}|(?<![\d.,])\d{1,2}:\d{2}(?::\d{2})?(?!\d)|(?<![\d.,])\d{2,}-\d{3,}(?:-?\d+)*|\d{10,}"
)
_WORD = re.compile(r"\S+")
# The dots or dashes that lead the eye from a name to its price.
LEADERS = re.compile(r"(?:[.·_…-] ?){3,}|\.{2}(?=[\s\d])|…")
_PERCENT = re.compile(r"\s?%")
# `O` for 0 and `l` for 1 count as digits only in a word that is a number once they are read so.
_CONFUSED = str.maketrans({"O": "0", "o": "0", "Q": "0", "l": "1", "I": "1", "|": "1"})
_CONFUSED_WORD = re.compile(rf"{CURRENCY}?-?[\dOoQlI|]*\d[\dOoQlI|]*[.,][\dOoQlI|.,]*[\dOoQlI|]\)?", re.IGNORECASE)
# The engine turns a short text upside down at times: `0.00` comes as `00°0`.
_TURNED_ZERO = re.compile(r"(?<!\S)0{1,2}[°\"'˙]0(?!\S)")
_BROKEN_POINT = re.compile(r"(?<![\d.,:/-])(\d{1,6})\s?[:°·'\- ]\s?(\d{2})(?![\d:/%.,-])")
# What glues an integer into a word or a code. `x` is a multiplication sign; `S` and `T` behind decimals are tax codes.
_IN_WORD_BEFORE = re.compile(r"(?:[^\W_xX×]|[#./:])$")
_IN_WORD_AFTER = re.compile(r"[^\W\d_xX×]|[#/]")
_LETTER_BEFORE = re.compile(r"[^\W\d_xX×]$")
MAX_BARE_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Amount:
    """A number in a line.

    Attributes:
        raw: as printed, with sign, currency mark and separators.
        value: read by its separators: the last one is decimal when one or two digits follow it.
        start, end: its place in the text it was found in.
    """

    raw: str
    value: Decimal
    start: int
    end: int

    @property
    def is_price_like(self) -> bool:
        """Whether it has separators, a sign or a currency mark, which a count or a code rarely has."""
        return not self.raw.isdigit()


def find_amounts(text: str) -> list[Amount]:
    """All amounts of a line, left to right; percentages, dates, times and codes are passed over."""
    text = repair_digits(text)
    masked = _NOT_AMOUNTS.sub(lambda match: "#" * len(match.group()), text)
    return [amount for match in _AMOUNT.finditer(masked) if (amount := _amount(match, masked)) is not None]


def repair_digits(text: str) -> str:
    """Read letters inside a number as the digits they stand for, and blank leaders; the text keeps its length."""
    text = LEADERS.sub(lambda leader: " " * len(leader.group()), text)
    return _WORD.sub(lambda word: _repaired(word.group()), text)


def _repaired(word: str) -> str:
    return word.translate(_CONFUSED) if _CONFUSED_WORD.fullmatch(word) else word


def repair_point(text: str) -> str:
    """Restore a decimal point read as a colon, dash, degree sign or space (`19-80`, `28:90`, `10 00`).

    Only for text after a label of money: elsewhere these are times, ranges and counts.
    """
    return _BROKEN_POINT.sub(r"\1.\2", _TURNED_ZERO.sub("0.00", text))


def value_of(number: str) -> Decimal:
    """The value of digits with separators, without sign or currency mark."""
    digits = number.replace(" ", "").rstrip(".,")
    point = max(digits.rfind("."), digits.rfind(","))
    if point < 0 or len(digits) - point - 1 > 2:
        return Decimal(re.sub(r"[.,]", "", digits))
    whole = re.sub(r"[.,]", "", digits[:point])
    return Decimal(f"{whole or '0'}.{digits[point + 1 :]}")


def _amount(match: re.Match[str], text: str) -> Amount | None:
    if not _stands_alone(match, text):
        return None
    is_price = match["currency"] is not None or not match["number"].isdigit()
    # `(16,000)` is a negative amount, while the parentheses of `(4)` or of `(GST: 8.70)` are no part of theirs.
    in_parentheses = is_price and match["open"] is not None and match["close"] is not None
    start = match.start() if in_parentheses or not match["open"] else match.end("open")
    end = match.end() if in_parentheses or not match["close"] else match.start("close")
    raw = re.sub(r"(?<=\d[.,]) ", "", text[start:end].strip())
    value = value_of(match["number"])
    negative = in_parentheses or match["sign"] or match["inner_sign"] or match["end_sign"]
    return Amount(raw, -value if negative else value, start, end)


def _stands_alone(match: re.Match[str], text: str) -> bool:
    """Whether the number is no part of a word, a code or a percentage."""
    if _PERCENT.match(text, match.end("number")):
        return False
    number = match["number"]
    before = text[: match.start("currency" if match["currency"] else "number")].rstrip("-–—(")
    after = text[match.end("number") :]
    if number.isdigit():
        return not _IN_WORD_BEFORE.search(before) and not _IN_WORD_AFTER.match(after) and len(number) <= MAX_BARE_DIGITS
    return not _LETTER_BEFORE.search(before) and not after.startswith("#")
