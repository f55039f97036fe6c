"""Reading printed amounts, counts and dates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ocrlty_pipeline.formats import (
    CanonicalFormError,
    canonical_count,
    canonical_date,
    canonical_money,
    format_checker,
    money_readings,
)


@pytest.mark.parametrize(
    ("printed", "amount"),
    [
        ("1,591,600", "1591600"),
        ("1.591.600", "1591600"),
        ("1 591 600", "1591600"),
        ("1'591'600", "1591600"),
        ("1’591’600", "1591600"),
        ("1, 591,600", "1591600"),
        ("1,00,000.00", "100000"),
        ("181,500.00", "181500"),
        ("1.346.000,00", "1346000"),
        ("1 234,50", "1234.5"),
        ("1,234,567.891", "1234567.891"),
        ("8.20", "8.2"),
        ("5,20", "5.2"),
        (".50", "0.5"),
        ("0.500", "0.5"),
        ("25000", "25000"),
        ("0", "0"),
        ("0.000", "0"),
        ("40,000.", "40000"),
        ("５．００", "5"),
    ],
)
def test_the_digits_tell_which_separator_is_which(printed: str, amount: str) -> None:
    assert canonical_money(printed) == Decimal(amount)


@pytest.mark.parametrize(
    ("printed", "amount"),
    [
        ("Rp. 75.000,-", "75000"),
        ("Rp 75.000 ,-", "75000"),
        ("Rp 75.000,--", "75000"),
        ("IDR 5.000.-", "5000"),
        ("Rp0.000", "0"),
        ("rp:5000", "5000"),
        ("RM 8.20", "8.20"),
        ("RM8.20", "8.20"),
        ("MYR8.20", "8.20"),
        ("$8.20", "8.20"),
        ("US$ 5", "5"),
        ("S$5.20", "5.20"),
        ("5,20 €", "5.20"),
        ("€ 5", "5"),
        ("£5.99", "5.99"),
        ("¥1,200", "1200"),
        ("20,000 IDR", "20000"),
        ("@20.000", "20000"),
        ("5/-", "5"),
    ],
)
def test_currency_marks_and_what_stands_for_no_cents_are_dropped(printed: str, amount: str) -> None:
    assert canonical_money(printed) == Decimal(amount)


@pytest.mark.parametrize(
    "printed", ["-16,000", "−16,000", "(16,000)", "16,000-", "-Rp 16.000", "Rp -16.000", "Rp-16.000", "(Rp 16.000)"]
)
def test_a_negative_amount_is_read_however_it_is_marked(printed: str) -> None:
    assert canonical_money(printed) == -16000


@pytest.mark.parametrize(
    "printed",
    ["", "  ", "abc", "Rp", ",", ",-", "1.591.60", "12 34", "10%", "1e5", "1.2.3", "(5", "5)", "2 x 5", "1" * 1000],
)
def test_what_is_no_amount_is_refused(printed: str) -> None:
    with pytest.raises(CanonicalFormError):
        canonical_money(printed)


@pytest.mark.parametrize(
    ("printed", "decimal", "readings"),
    [
        ("48.000", "auto", (48000, 48)),
        ("48.000", ".", (48, 48000)),
        ("48.000", ",", (48000, 48)),
        ("75,000", "auto", (75000, 75)),
        ("75,000", ",", (75, 75000)),
        ("-43.636", "auto", (-43636, Decimal("-43.636"))),
        ("1.591.600", ".", (1591600,)),
        ("8.20", ",", (Decimal("8.2"),)),
        (43.636, "auto", (Decimal("43.636"),)),
        (1591600.0, ".", (1591600,)),
        (7, ",", (7,)),
    ],
)
def test_only_one_separator_before_three_digits_has_two_readings(
    printed: str | float, decimal: str, readings: tuple[Decimal, ...]
) -> None:
    assert money_readings(printed, decimal) == readings


@pytest.mark.parametrize("value", [True, float("nan"), float("inf")])
def test_what_is_no_json_number_is_no_amount(value: float) -> None:
    with pytest.raises(CanonicalFormError):
        canonical_money(value)


@given(st.integers(0, 10**12), st.sampled_from([",", ".", " ", "'"]))
def test_an_integer_with_thousands_separators_reads_as_itself(number: int, separator: str) -> None:
    assert canonical_money(f"{number:,}".replace(",", separator)) == number


@given(st.decimals(0, 10**9, places=2), st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", ".")]))
def test_an_amount_with_cents_reads_as_itself_in_every_convention(amount: Decimal, marks: tuple[str, str]) -> None:
    thousands, decimal = marks
    printed = f"{amount:,.2f}".translate(str.maketrans({",": thousands, ".": decimal}))
    assert money_readings(printed) == (amount,)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_the_one_way(text: str) -> None:
    for read in (canonical_money, canonical_count, canonical_date):
        try:
            read(text)
        except CanonicalFormError:
            continue


@pytest.mark.parametrize(
    ("printed", "count"),
    [
        ("1 x", "1"),
        ("1X", "1"),
        ("x1", "1"),
        ("3x", "3"),
        ("2", "2"),
        ("1.0", "1"),
        ("1,", "1"),
        ("2 pcs", "2"),
        ("2.00PCS", "2"),
        ("1.00xITEMs", "1"),
        ("0.545 kg", "0.545"),
        ("0,545", "0.545"),
        ("1.000", "1"),
        ("(2)", "2"),
        ("Qty: 2", "2"),
        ("-1", "-1"),
        (2, "2"),
        (2.0, "2"),
    ],
)
def test_a_count_is_read_with_its_marks_and_units(printed: str | float, count: str) -> None:
    assert canonical_count(printed) == Decimal(count)


@pytest.mark.parametrize("printed", ["", "x", "abc", "2x15,000", "1 000", "2 3"])
def test_what_is_no_count_is_refused(printed: str) -> None:
    with pytest.raises(CanonicalFormError):
        canonical_count(printed)


@pytest.mark.parametrize(
    "printed",
    [
        "14 MAR 2018",
        "14/03/2018",
        "14/03/18",
        "14.03.2018",
        "14-3-2018",
        "2018-03-14",
        "2018/03/14",
        "20180314",
        "14-Mar-2018",
        "14MAR2018",
        "14 Mar'18",
        "14th of March 2018",
        "March 14, 2018",
        "2018 Mar 14",
        "14 Maret 2018",
        "14 Mac 2018",
        "Sabtu, 14 Maret 2018",
        "Wed 14 Mar 2018",
        "date: 14/03/2018",
        "14/03/2018 20:15",
        "14.03.2018 12.30",
        "14/03/18 8:15:02 PM",
        "14/03/2018 (Wed)",
        "2018-03-14T10:00:00Z",
        "2018-03-14 10:00:00.123+08:00",
    ],
)
def test_a_date_is_read_in_every_common_print(printed: str) -> None:
    assert canonical_date(printed) == date(2018, 3, 14)


@pytest.mark.parametrize(
    ("printed", "day"),
    [
        ("03/04/2018", date(2018, 4, 3)),  # the day first ...
        ("12/13/2016", date(2016, 12, 13)),  # ... unless that is no date
        ("18/03/14", date(2014, 3, 18)),  # the year last ...
        ("99/03/14", date(1999, 3, 14)),  # ... unless that is no date
        ("01/01/68", date(2068, 1, 1)),  # POSIX's window of two-digit years
        ("01/01/69", date(1969, 1, 1)),
        ("17 Agustus 2019", date(2019, 8, 17)),
        ("1 Ogos 2018", date(2018, 8, 1)),
        ("05-Mei-2019", date(2019, 5, 5)),
        ("25 Des 2018", date(2018, 12, 25)),
        ("25 Disember 2018", date(2018, 12, 25)),
        ("1 Okt 2018", date(2018, 10, 1)),
    ],
)
def test_ambiguous_and_local_dates_follow_the_conventions(printed: str, day: date) -> None:
    assert canonical_date(printed) == day


@pytest.mark.parametrize(
    "printed",
    ["", "31/02/2018", "14-03", "12:30", "Marble 14 2018", "14 Foo 2018", "14/03/0218", "14/03/2018 TOTAL 8.20", "abc"],
)
def test_what_is_no_date_is_refused(printed: str) -> None:
    with pytest.raises(CanonicalFormError):
        canonical_date(printed)


@given(
    st.dates(date(1970, 1, 1), date(2068, 12, 31)), st.sampled_from(["%d/%m/%Y", "%Y-%m-%d", "%d %b %Y", "%d-%m-%Y"])
)
def test_a_date_in_a_common_print_reads_as_itself(day: date, print_format: str) -> None:
    assert canonical_date(day.strftime(print_format)) == day


@pytest.mark.parametrize(
    ("schema_format", "good", "bad"),
    [
        ("x-money", "RM 8.20", "RM"),
        ("x-count", "2 pcs", "pcs"),
        ("x-date", "14 MAR 2018", "MAR"),
        ("date", "2018-03-14", "MAR"),
    ],
)
def test_validation_refuses_what_the_format_cannot_be_read_from(schema_format: str, good: str, bad: str) -> None:
    schema = {"type": ["string", "null"], "format": schema_format}
    validator = Draft202012Validator(schema, format_checker=format_checker())
    assert validator.is_valid(good)
    assert validator.is_valid(None)
    [error] = validator.iter_errors(bad)
    assert error.validator == "format"


def test_a_format_leaves_other_types_to_the_type_keyword() -> None:
    validator = Draft202012Validator({"format": "x-money"}, format_checker=format_checker())
    assert all(validator.is_valid(value) for value in (True, [], {}, 8.2))
