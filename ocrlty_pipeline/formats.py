"""The schema formats `x-money`, `x-count` and `x-date`: what a printed value may look like, and its canonical form.

Belongs here: reading one printed value. Does not: finding it on a receipt (`backends`), comparing two of them
(`evaluation`).

    format    printed                                     canonical form
    x-money   "Rp. 75.000,-"  "(16,000)"  "$8.20"         Decimal: 75000, -16000, 8.20; the currency is dropped
    x-count   "1 x"  "x1"  "2 pcs"  "0.545 kg"            Decimal: 1, 1, 2, 0.545; the unit is dropped
    x-date    "14 MAR 2018"  "18/03/18 20:15"             date: 2018-03-14, 2018-03-18; the time is dropped
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal

from jsonschema import FormatChecker

MONEY: Final = "x-money"
COUNT: Final = "x-count"
DATE: Final = "x-date"

DecimalMark = Literal["auto", ".", ","]

MAX_LENGTH = 80  # No printed amount, count or date is longer; a model that repeats itself is.


class CanonicalFormError(ValueError):
    """A value cannot be read as its format says."""


# --- x-money

_CURRENCY = (
    r"(?:(?:us|au|nz|hk|nt|ca|[acsr])?\$|[€£¥₩₫₹฿₱₽₺₴₪₦¢]|rp|rm|rs|fr|kr|zł|idr|myr|usd|sgd|eur|gbp|jpy|cny|rmb|thb|php|vnd|inr"
    r"|aud|nzd|cad|hkd|twd|krw|chf|brl|aed|sek|nok|dkk|pln|bnd)\.?"
)
_AMOUNT = re.compile(
    rf"""
    (?P<open>\()?
    (?P<sign>[-+])?
    (?:{_CURRENCY}[:=]?)? [@=]* (?P<inner_sign>[-+])?
    (?P<body>[0-9.,][0-9.,'\ ]*)
    (?P<no_cents>(?<=[.,])-+ | /-)?          # "75.000,-" says that there are no cents, not that the amount is negative
    (?P<end_sign>[-+])?
    (?:{_CURRENCY})?
    (?P<close>\))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TRANSLATE = str.maketrans(dict.fromkeys("−–—‐‑﹣", "-") | dict.fromkeys("’‘`´", "'"))
_NO_SEPARATORS = str.maketrans("", "", ".,' ")
_LOOSE_SPACE = re.compile(r"(?<![0-9])\s+|\s+(?![0-9])")
# Thousands, and the Indian 1,00,000; a group never starts with 0, so that "0.500" is one half.
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:([.,' ])[0-9]{3})(?:\1[0-9]{3})*|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}")


def canonical_money(value: str | float, decimal: DecimalMark = "auto") -> Decimal:
    """The amount that a printed string or a JSON number states: the first of `money_readings`.

    Raises:
        CanonicalFormError: no amount can be read.
    """
    return money_readings(value, decimal)[0]


def money_readings(value: str | float, decimal: DecimalMark = "auto") -> tuple[Decimal, ...]:
    """All amounts that a printed string may mean, the most likely first; a JSON number has one.

    A single separator before exactly three digits is ambiguous: "48.000" is 48000 or 48. `auto` puts thousands first,
    as on Indonesian receipts; a `decimal` that names this separator puts the fraction first. Nothing else depends on
    the setting: in "1.591.600", "181,500.00" and "8,20" the digits themselves tell which separator is which.

    Raises:
        CanonicalFormError: no amount can be read.
    """
    if isinstance(value, str):
        return _printed_money(value, decimal)
    return (_number(value),)


def _printed_money(text: str, decimal: DecimalMark) -> tuple[Decimal, ...]:
    match = _AMOUNT.fullmatch(_LOOSE_SPACE.sub("", _plain(text)))
    if match is None or bool(match["open"]) != bool(match["close"]):
        raise CanonicalFormError(f"{text!r} is not an amount of money.")
    readings = _body_readings(match["body"].rstrip(".,"), decimal)
    if not readings:
        raise CanonicalFormError(f"{text!r} is not an amount of money: its separators form no number.")
    if match["open"] or "-" in (match["sign"], match["inner_sign"], match["end_sign"]):
        readings = [amount.copy_negate() for amount in readings]
    return tuple(readings)


def _body_readings(body: str, decimal: DecimalMark) -> list[Decimal]:
    """The digits without and with a fraction; both exist only where one separator stands before three digits."""
    amounts = (_without_fraction(body), _with_fraction(body, "."), _with_fraction(body, ","))
    readings = [amount for amount in amounts if amount is not None]
    return readings[::-1] if decimal in body else readings


def _without_fraction(body: str) -> Decimal | None:
    integer = _integer(body)
    return None if integer is None else Decimal(integer)


def _integer(digits: str) -> str | None:
    """The digits without thousands separators; None when the separators do not part thousands."""
    if digits.isdecimal():
        return digits
    return digits.translate(_NO_SEPARATORS) if _GROUPED.fullmatch(digits) else None


def _with_fraction(body: str, mark: str) -> Decimal | None:
    whole, found, fraction = body.partition(mark)
    if not found or not fraction.isdecimal():
        return None
    integer = _integer(whole) if whole else "0"
    return None if integer is None else Decimal(f"{integer}.{fraction}")


def _number(value: object) -> Decimal:
    """A JSON number as the decimal that its shortest notation states: 43.636 is 43.636."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CanonicalFormError(f"{value!r} is not a number.")
    return Decimal(repr(value))


def _plain(text: str) -> str:
    """ASCII digits, signs and spaces for their typographic variants.

    Raises:
        CanonicalFormError: empty or over `MAX_LENGTH` characters.
    """
    if len(text) > MAX_LENGTH:
        raise CanonicalFormError(f"A text of {len(text)} characters is too long for an amount, a count or a date.")
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_TRANSLATE))
    plain = plain.strip()
    if not plain:
        raise CanonicalFormError("The text is empty.")
    return plain


# --- x-count

_UNITS = (
    "x|×|pcs?|pieces?|ea|each|qty|units?|items?|kgs?|gr?|grams?|lbs?|oz|l|lt|ltr|litre|liter|ml|m|cm|pax|box|set|sets|pair|"
    "btl|bottles?|cups?|cans?|packs?|pkt|pck|pak|pcks|bks|bungkus|buah|bh|biji|bj|porsi|por|prs|ptg|potong|lbr|lembar|"
    "gls|gelas|krg|dus|ctn|roll|dozen|dz|plates?|glass|tub|sachet|unit/s|nos?"
)
_COUNT = re.compile(
    rf"""
    \(? (?:(?:qty|jml|jumlah|kuantiti)\.?\s*:?\s*)? (?:[x×*@]\s*)?
    (?P<number>[-+]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+))
    (?:\s*[x×*@])? (?:\s*(?:{_UNITS})\.?)? \)?
    """,
    re.VERBOSE | re.IGNORECASE,
)


def canonical_count(value: str | float) -> Decimal:
    """The quantity that a printed string or a JSON number states.

    A separator is always the decimal mark: "1.000" is one (a weighed quantity), never a thousand.

    Raises:
        CanonicalFormError: no count can be read.
    """
    return _printed_count(value) if isinstance(value, str) else _number(value)


def _printed_count(text: str) -> Decimal:
    match = _COUNT.fullmatch(_plain(text))
    if match is None:
        raise CanonicalFormError(f"{text!r} is not a count.")
    return Decimal(match["number"].replace(",", "."))


# --- x-date

# English, Indonesian and Malay.
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january", "januari"),
            ("feb", "february", "februari", "pebruari"),
            ("mar", "march", "maret", "mac"),
            ("apr", "april"),
            ("may", "mei", "mai"),
            ("jun", "june", "juni"),
            ("jul", "july", "juli", "julai"),
            ("aug", "august", "agu", "agt", "ags", "agust", "agustus", "ogo", "ogs", "ogos"),
            ("sep", "sept", "september"),
            ("oct", "october", "okt", "oktober"),
            ("nov", "november", "nop", "nopember"),
            ("dec", "december", "des", "desember", "dis", "disember"),
        ),
        start=1,
    )
    for name in names
}
_WEEKDAY = (
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
    r"|senin|isnin|selasa|rabu|kamis|khamis|jumat|jum'at|jumaat|sabtu|minggu|ahad"
)
_SEP = r"\s*[-/.,'\ ]?\s*"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_YEAR = r"(?P<year>[0-9]{4}|[0-9]{2})(?![0-9])"
_CLOCK = (
    r"(?:t|at|pukul|jam)?\s*[0-9]{1,2}[:.][0-9]{2}(?:[:.][0-9]{2})?(?:[.,][0-9]+)?\s*(?:[ap]\.?m\.?)?"
    r"\s*(?:z|wib|wita|wit|myt|utc|gmt|[-+][0-9]{2}:?[0-9]{2})?"
)
_HEAD = re.compile(rf"(?:(?:date|tgl|tanggal|tarikh)\.?\s*:?\s*)?(?:(?:{_WEEKDAY})[.,]?\s*)?")
_TAIL = re.compile(rf"[\s,;(|-]*(?:(?:{_WEEKDAY})[\s,.)]*)?(?:{_CLOCK})?[\s)]*")
_NUMERIC = re.compile(r"([0-9]{1,4})\s*([-/.\ '])\s*([0-9]{1,2})\s*[-/.\ ']\s*([0-9]{4}|[0-9]{1,2})(?![0-9])")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?![0-9])")
_NAMED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_DAY}{_SEP}(?:of\s+)?{_MONTH}{_SEP}{_YEAR}",
        rf"{_MONTH}{_SEP}{_DAY}(?:\s*,\s*|\s+|-|/){_YEAR}",
        rf"(?P<year>[0-9]{{4}}){_SEP}{_MONTH}{_SEP}{_DAY}(?![0-9])",
    )
)
_YEARS = range(1900, 2200)


def canonical_date(value: str) -> date:
    """The day that a printed string states; a weekday before it and a time after it are tolerated.

    Conventions where a print is ambiguous: the day comes first ("03/04/2018" is 3 April) unless that is no date
    ("12/13/2016" is 13 December); a year of four digits in front comes first; of three two-digit numbers the year is
    the last ("18/03/14" is 18 March 2014) unless that is no date. Two-digit years are 1969 to 2068, as in POSIX. Month
    names are English, Indonesian or Malay.

    Raises:
        CanonicalFormError: no date can be read, or there is no such day.
    """
    if not isinstance(value, str):
        raise CanonicalFormError(f"{value!r} is not a date.")
    return _printed_date(value)


def _printed_date(text: str) -> date:
    plain = _plain(text).lower()
    head = _HEAD.match(plain)
    start = head.end() if head else 0
    for end, candidates in _date_candidates(plain, start):
        if _TAIL.fullmatch(plain, end):
            for year, month, day in candidates:
                if (found := _day(year, month, day)) is not None:
                    return found
    raise CanonicalFormError(f"{text!r} is not a date.")


Ymd = tuple[int, int, int]


def _date_candidates(text: str, start: int) -> Iterator[tuple[int, list[Ymd]]]:
    """Where a date that begins at `start` ends, and the days it may mean, the most likely first."""
    if match := _NUMERIC.match(text, start):
        first, _, second, third = match.groups()
        yield match.end(), _numeric_orders(first, second, third)
    if match := _COMPACT.match(text, start):
        yield match.end(), [(int(match[1]), int(match[2]), int(match[3]))]
    for pattern in _NAMED:
        match = pattern.match(text, start)
        if match and (month := _MONTHS.get(match["month"])):
            yield match.end(), [(_full_year(match["year"]), month, int(match["day"]))]


def _numeric_orders(first: str, second: str, third: str) -> list[Ymd]:
    a, b, c = int(first), int(second), int(third)
    year_first = [(_full_year(first), b, c), (_full_year(first), c, b)]
    if len(first) > 2:
        return year_first
    year_last = [(_full_year(third), b, a), (_full_year(third), a, b)]
    return year_last if len(third) == 4 else [*year_last, year_first[0]]


def _full_year(digits: str) -> int:
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (2000 if year < 69 else 1900)


def _day(year: int, month: int, day: int) -> date | None:
    if year not in _YEARS:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


# --- jsonschema


def format_checker() -> FormatChecker:
    """A checker for validating answers: our formats, and the standard `date`.

    Only strings and numbers are judged: null, booleans and containers are the `type` keyword's business.
    """
    checker = FormatChecker(formats=("date",))
    for name, read in ((MONEY, canonical_money), (COUNT, canonical_count), (DATE, canonical_date)):
        checker.checks(name, raises=CanonicalFormError)(_reads(read))
    return checker


def _reads(read: Callable[[Any], object]) -> Callable[[object], bool]:
    def check(instance: object) -> bool:
        if isinstance(instance, str | int | float) and not isinstance(instance, bool):
            read(instance)
        return True

    return check
