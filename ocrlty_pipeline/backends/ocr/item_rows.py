"""One printed line of the item list, taken apart: name, count, prices, article number.

Belongs here: what a single line says. Does not: which lines make up an item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ocrlty_pipeline.backends.ocr.amounts import CURRENCY, Amount, find_amounts, repair_digits
from ocrlty_pipeline.backends.ocr.layout import Line, Span

_TIMES = "[xX×*]"
_COUNT_MARK = re.compile(rf"\d{{1,3}}\s?{_TIMES}|{_TIMES}\s?\d{{1,3}}")
# A count before a name: `4 HAKAU`, `1 x Nasi`, `2x Teh`.
_LEADING_COUNT = re.compile(rf"(?P<cnt>\d{{1,3}}\s?{_TIMES}|{_TIMES}\s?\d{{1,3}}|\d{{1,2}})\s+(?=\D*[^\W\d_]|\d/\d)")
_LONE_ONE = re.compile(r"[lI|]\s{2,}")
_LONE_TIMES = re.compile(rf"{_TIMES}\s{{2,}}")
_ARTICLE = re.compile(r"(?:\d{1,2}\))?(?P<num>\d{5,14}[A-Z]?)(?=\s|$)\s*")
# Units and tax codes that stand in columns of their own.
_COLUMN_WORD = re.compile(
    r"(?:PCS?|UNITS?|EA|PKT|BTL|KG|NOS|U|SR|ZRL?|ZRI|OS|S|Z|T|TX|E|[*=√≤]|\(S\)|\(Z\))", re.IGNORECASE
)
_BARE = re.compile(r"\d+[A-Za-z]?")
_NUMERIC_WORD = re.compile(
    rf"(?:@|{_TIMES})?\(?-?{CURRENCY}?-?[\d.,]*\d[.,]?\)?-?(?:{_TIMES}(?:[\d.,]*\d)?)?(?:SR|ZRL|ZR|S|Z|T|\*)?|{_TIMES}\d*|[@=]|-?{CURRENCY}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """What one line says of an item; None and empty where it does not say.

    Attributes:
        name_left: where the name begins, in pixels.
        height: of the line, in pixels.
    """

    nm: str
    cnt: str | None
    unitprice: str | None
    price: str | None
    discountprice: str | None
    num: str | None
    name_left: float
    height: float

    @property
    def has_numbers(self) -> bool:
        return any((self.unitprice, self.price, self.discountprice))


def item_row(line: Line, price_edge: float | None) -> ItemRow:
    """Take a line apart.

    Args:
        line: a line of the item list.
        price_edge: the right edge of the receipt's price column, in pixels: there a bare integer is a price.
    """
    text = repair_digits(line.columns)
    num, rest = _split_article(text)
    name_end = _name_end(line, rest, price_edge)
    name, tail = rest[:name_end], rest[name_end:]
    cnt, nm = _split_count(name, alone=not tail)
    if _COLUMN_WORD.fullmatch(nm):
        nm = ""
    tail_cnt, unitprice, price, discountprice = _prices(tail)
    name_left = _left_at(line, len(text) - len(rest) + name.find(nm)) if nm else line.left
    return ItemRow(" ".join(nm.split()), cnt or tail_cnt, unitprice, price, discountprice, num, name_left, line.height)


def price_edge(lines: Sequence[Line]) -> float | None:
    """Right edge of the price column: the median over the lines that end in a price."""
    edges = sorted(line.right for line in lines if (found := find_amounts(line.columns)) and found[-1].is_price_like)
    return edges[len(edges) // 2] if edges else None


def _name_end(line: Line, text: str, edge: float | None) -> int:
    """Where the name ends and the numbers at the end of the line begin."""
    words = list(re.finditer(r"\S+", text))
    start = len(words)
    while start > 0 and (
        _NUMERIC_WORD.fullmatch(words[start - 1].group()) or _COLUMN_WORD.fullmatch(words[start - 1].group())
    ):
        start -= 1
    # `Paper A4 500` ends in a number, while a count stands in a column of its own.
    while 0 < start < len(words) and words[start].group()[:1].isdigit() and _is_of_name(words[start], text):
        start += 1
    end = words[start].start() if start < len(words) else len(text)
    return end if _holds_price(line, text[end:], edge) else len(text)


def _is_of_name(word: re.Match[str], text: str) -> bool:
    return _BARE.fullmatch(word.group()) is not None and not text[: word.start()].endswith("  ")


def _holds_price(line: Line, tail: str, edge: float | None) -> bool:
    found = find_amounts(tail)
    if any(amount.is_price_like for amount in found):
        return True
    last = line.spans[-1]
    return bool(found) and len(line.spans) > 1 and edge is not None and abs(last.right - edge) < 1.5 * last.height


def _split_article(text: str) -> tuple[str | None, str]:
    match = _ARTICLE.match(text)
    return (match["num"], text[match.end() :]) if match else (None, text)


def _split_count(name: str, *, alone: bool) -> tuple[str | None, str]:
    """A count before the name and the name; a count in a line without prices is part of the name unless marked."""
    if _LONE_ONE.match(name):
        return "1", name[1:].strip()
    name = _LONE_TIMES.sub("", name, count=1) if _LONE_TIMES.match(name) else name
    match = _LEADING_COUNT.match(name)
    if match is None or (alone and match["cnt"].isdigit() and "  " not in match.group()):
        return None, name.strip()
    return match["cnt"], name[match.end() :].strip()


def _prices(tail: str) -> tuple[str | None, str | None, str | None, str | None]:
    """Count, unit price, price and discount out of the numbers at the end of a line."""
    numbers = find_amounts(tail)
    discount = next((n.raw for n in numbers if n.value < 0), None)
    positive = [n for n in numbers if n.value >= 0]
    if not positive:
        return None, None, None, discount
    *others, last = positive
    if _is_unit(last, tail) and (last.start == 0 or not others or _COUNT_MARK.search(tail)):
        return _count_raw(others[0], tail) if others else None, _unit_raw(last, tail), None, discount
    count, unit = _count_and_unit(others, last)
    return _count_raw(count, tail) if count else None, _unit_raw(unit, tail) if unit else None, last.raw, discount


def _count_and_unit(numbers: Sequence[Amount], price: Amount) -> tuple[Amount | None, Amount | None]:
    """The pair whose product is the price; else the first short integer, and the first price that is not it."""
    pairs = ((count, unit) for count in numbers for unit in numbers if count is not unit)
    proved = next(((c, u) for c, u in pairs if c.value * u.value == price.value and _is_count(c)), None)
    if proved is not None:
        return proved
    count = next((n for n in numbers if _is_count(n)), None)
    return count, next((n for n in numbers if n.is_price_like and n is not count and n.value), None)


def _is_count(number: Amount) -> bool:
    return 0 < number.value < 1000 and (not number.is_price_like or number.value == number.value.to_integral())


def _is_unit(number: Amount, tail: str) -> bool:
    """`@20.000`, or `2 x 20.000` with nothing behind it."""
    return bool(re.search(rf"(?:@|{_TIMES})\s*$", tail[: number.start]))


def _unit_raw(number: Amount, tail: str) -> str:
    return f"@{number.raw}" if tail[: number.start].endswith("@") else number.raw


def _count_raw(number: Amount, tail: str) -> str:
    """The count with its multiplication mark, as printed."""
    before = re.search(rf"{_TIMES}\s?$", tail[: number.start])
    after = re.match(rf"\s?{_TIMES}(?![A-Za-z])", tail[number.end :])
    return (before.group() if before else "") + number.raw + (after.group() if after and not before else "")


def _left_at(line: Line, offset: int) -> float:
    """Where the character at an offset of `line.columns` begins, by even widths within its span."""
    for span in line.spans:
        if offset < len(span.text):
            return _left_in(span, max(0, offset))
        offset -= len(span.text) + 2
    return line.left


def _left_in(span: Span, offset: int) -> float:
    return span.left + (span.right - span.left) * offset / len(span.text)
