"""Find the day a receipt was issued, as printed, without the time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_MONTHS = (
    r"(?:JAN(?:UARY|UARI)?|FEB(?:RUARY|RUARI)?|MAR(?:CH|ET)?|MAC|APR(?:IL)?|MAY|MEI|JUNE?|JUNI|JULY?|JULI|AUG(?:UST)?|AGU(?:STUS)?"
    r"|AGT|OGOS|OGO|SEPT?(?:EMBER)?|O[CK]T(?:OBER)?|NOV(?:EMBER)?|DE[CS](?:EMBER)?|DIS(?:EMBER)?)"
)
_YEAR = r"(?:(?:19|20)\d{2}|\d{2}(?!\d))"
# A four-digit year may have the time glued to it, which is why no word boundary follows it.
_FORMS = (
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d{2})\s?(?P<s>[-/.])\s?(?P<a>\d{1,2})\s?(?P=s)\s?(?P<b>\d{2}|\d(?!\d))"),
    re.compile(rf"(?<![\d.])(?P<a>\d{{1,2}})\s?(?P<s>[-/.])\s?(?P<b>\d{{1,2}})\s?(?P=s)\s?(?P<y>{_YEAR})"),
    re.compile(rf"(?<!\d)(?P<a>\d{{1,2}})(?:ST|ND|RD|TH)?[\s\-/.,']*{_MONTHS}[\s\-/.,']*(?P<y>{_YEAR})", re.IGNORECASE),
    re.compile(rf"\b{_MONTHS}\.?\s?(?P<a>\d{{1,2}})(?:ST|ND|RD|TH)?\s?,\s?(?P<y>{_YEAR})", re.IGNORECASE),
)
_LABEL = re.compile(r"\b(?:DATE|DATED|DT|TARIKH|TANGGAL|TGL|TKH|TG1)\b", re.IGNORECASE)
_TIME = re.compile(r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?\s?(?:[AP]M)?", re.IGNORECASE)
# Days that are not the receipt's: of expiry, of delivery, of a law.
_OTHER_DAY = re.compile(r"\b(?:EXP\w*|VALID\w*|UNTIL|BEFORE|ACT|DUE|BIRTH|PRINTED|BERLAKU|SAMPAI)\b", re.IGNORECASE)


def find_date(lines: Sequence[str]) -> str | None:
    """The likeliest date: with a label or a time beside it, else the first printed."""
    found = ((row, text, match) for row, text in enumerate(lines) for match in _dates(text))
    ranked = [(_rank(text, match), -row, match.group().strip()) for row, text, match in found]
    return max(ranked)[2] if ranked else None


def _dates(text: str) -> Iterator[re.Match[str]]:
    for form in _FORMS:
        for match in form.finditer(text):
            if _is_day(match):
                yield match


def _is_day(match: re.Match[str]) -> bool:
    groups = match.groupdict()
    numbers = [int(groups[name]) for name in ("a", "b") if groups.get(name)]
    if not all(1 <= number <= 31 for number in numbers):
        return False
    return len(numbers) == 1 or min(numbers) <= 12


def _rank(text: str, match: re.Match[str]) -> int:
    before, after = text[: match.start()], text[match.end() :]
    rank = 2 * bool(_LABEL.search(before)) + bool(_TIME.search(after) or _TIME.search(before))
    return rank - 4 * bool(_OTHER_DAY.search(before))
