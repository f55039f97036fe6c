"""Days and currencies that may stand on one receipt, found where the schema says that they are."""

from datetime import date

import pytest

from ocrlty_pipeline.plausibility.checks import CHECKS, findings

TODAY = date(2026, 11, 24)
MONEY = {"type": ["string", "null"], "format": "x-money"}
SCHEMA = {
    "type": "object",
    "properties": {
        "date": {"type": "string", "format": "x-date"},
        "total": MONEY,
        "tax": MONEY,
        "menu": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "$defs": {"item": {"type": "object", "properties": {"price": MONEY, "sub": {"$ref": "#/$defs/item"}}}},
}


def problems(document, schema=SCHEMA):
    found = findings(document, schema, TODAY)
    assert {finding.check for finding in found} <= set(CHECKS)
    return [finding.problem for finding in found if finding.check in {"date_possible", "one_currency"}]


@pytest.mark.parametrize("day", ["14 MAR 2018", "25/11/26", "01.01.1980"])
def test_a_day_until_tomorrow_is_possible(day):
    assert problems({"date": day}) == [None]


@pytest.mark.parametrize("day", ["26/11/2026", "14/03/2108", "31/12/1979"])
def test_a_day_to_come_or_long_gone_is_told(day):
    [problem] = problems({"date": day})
    assert problem.startswith(f"date {day!r} is ")


@pytest.mark.parametrize("day", ["", "soon", None, 20260101])
def test_what_is_no_date_is_the_schemas_to_complain_of(day):
    assert problems({"date": day}) == []


@pytest.mark.parametrize(
    ("document", "right"),
    [
        ({"total": "RM 5.00", "tax": "MYR0.30"}, True),
        ({"total": "Rp. 75.000", "menu": [{"price": "75.000"}]}, True),
        ({"total": "US$5", "tax": "$0.30", "menu": [{"price": "USD 5"}]}, True),
        ({"total": "¥500", "tax": "50 JPY"}, True),
        ({"total": "RM 5.00", "menu": [{"price": "4.70", "sub": {"price": "Rp 300"}}]}, False),
        ({"total": "$5", "tax": "€1"}, False),
        ({"total": "$5", "tax": "¥1"}, False),
    ],
)
def test_a_receipt_has_one_currency(document, right):
    [problem] = problems(document)
    assert (problem is None) is right


@pytest.mark.parametrize(
    "document", [{"total": "5.00"}, {"total": "five ringgit"}, {"note": "RM 5, Rp 6"}, [], None, 5]
)
def test_nothing_is_said_without_a_currency(document):
    assert problems(document) == []


def test_a_document_as_deep_as_its_schema_refers_to_itself_ends():
    deep = {"price": "RM 1"}
    for _ in range(500):
        deep = {"sub": deep}
    assert problems({"menu": [deep], "total": "RM 1"}) == [None]
