from decimal import Decimal

import pytest

from ocrlty_pipeline.backends.ocr.amounts import find_amounts, repair_point, value_of


@pytest.mark.parametrize(
    ("text", "raw", "value"),
    [
        ("Total 75,000", "75,000", "75000"),
        ("1.591.600", "1.591.600", "1591600"),
        ("Bayar Rp 75.000", "Rp 75.000", "75000"),
        ("RM8.20", "RM8.20", "8.20"),
        ("$ 8.20", "$ 8.20", "8.20"),
        ("-16,000", "-16,000", "-16000"),
        ("Change (16,000)", "(16,000)", "-16000"),
        ("40,000.", "40,000.", "40000"),
        ("1, 234.50", "1,234.50", "1234.50"),
        ("Rp. 1O.000", "Rp. 10.000", "10000"),
        ("181,500.00", "181,500.00", "181500.00"),
        ("4.40ZRL", "4.40", "4.40"),
        ("25.70*", "25.70", "25.70"),
        ("PD -.80", "-.80", "-0.80"),
        ("Service 5% 12.870", "12.870", "12870"),
        ("Nasi ........ 25.000", "25.000", "25000"),
    ],
)
def test_an_amount_is_kept_as_printed_and_read_by_its_separators(text, raw, value):
    (amount,) = find_amounts(text)
    assert (amount.raw, amount.value) == (raw, Decimal(value))


@pytest.mark.parametrize(
    "text",
    [
        "14/05/2018 12:14:08",
        "TEL:03-40210276",
        "GST 6%",
        "CS00012626",
        "000750673920",
        "PB1",
        "100MG",
        "Table B4",
        "#7259",
    ],
)
def test_dates_times_percentages_telephones_and_codes_are_no_amounts(text):
    assert find_amounts(text) == []


def test_a_multiplication_gives_both_factors_and_the_product():
    assert [amount.raw for amount in find_amounts("3x8.00  24.00 S")] == ["3", "8.00", "24.00"]


def test_an_amount_knows_its_place_in_the_text():
    text = "Item 4  SubTotal  30.00"
    assert [text[amount.start : amount.end] for amount in find_amounts(text)] == ["4", "30.00"]


@pytest.mark.parametrize(
    ("text", "repaired"), [("19-80", "19.80"), ("28:90", "28.90"), ("10 00", "10.00"), ("00°0", "0.00")]
)
def test_a_broken_decimal_point_is_restored(text, repaired):
    assert repair_point(text) == repaired


@pytest.mark.parametrize(
    ("number", "value"), [("43.636", "43636"), ("43.63", "43.63"), ("1.234,5", "1234.5"), (".05", "0.05")]
)
def test_the_last_separator_is_decimal_when_at_most_two_digits_follow(number, value):
    assert value_of(number) == Decimal(value)
