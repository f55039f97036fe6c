"""A model's text to a value, and the value against the schema."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_pipeline.answers import MAX_VIOLATIONS, parse_answer, schema_violations
from ocrlty_pipeline.errors import OutputError
from ocrlty_pipeline.tasks.registry import load_tasks

RECEIPT = load_tasks()["receipt_fields_v1"]
ITEMS = load_tasks()["items_light_v1"]
EMPTY_RECEIPT = dict.fromkeys(RECEIPT.schema["properties"])


@pytest.mark.parametrize(
    ("text", "value", "notes"),
    [
        ('{"total": "1"}', {"total": "1"}, []),
        ('```json\n{"total": "1"}\n```', {"total": "1"}, ["code_fence"]),
        ('Here you are:\n```\n{"total": "1"}\n```\nAnything else?', {"total": "1"}, ["code_fence"]),
        ('Sure! {"total": "1"}', {"total": "1"}, ["leading_text"]),
        ('{"total": "1"} I hope this helps.', {"total": "1"}, ["trailing_text"]),
        ('The {total} is [this]: {"total": "1"}.', {"total": "1"}, ["leading_text", "trailing_text"]),
        ("[1, 2]", [1, 2], []),
    ],
)
def test_json_is_found_and_what_stood_around_it_is_told(text, value, notes):
    assert parse_answer(text) == (value, notes)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "I cannot read this.", '{"total": "1"', '{"total": NaN}', "{'total': 1}", "x [1e999]", 'x ["\\ud800"]'],
)
def test_text_without_a_json_value_is_an_error_that_shows_its_beginning(text):
    with pytest.raises(OutputError, match="holds no JSON value") as caught:
        parse_answer(text)
    assert repr(text[:80]) in caught.value.message


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()))
def test_every_json_object_survives_a_fence(value):
    assert parse_answer(f"```json\n{json.dumps(value)}\n```")[0] == value


def test_an_answer_that_follows_the_schema_has_no_violations():
    assert schema_violations(RECEIPT, {**EMPTY_RECEIPT, "total": "Rp 75.000", "change": "(16,000)"}) == []


def test_formats_are_part_of_the_schema():
    violations = schema_violations(RECEIPT, {**EMPTY_RECEIPT, "total": "see below"})
    assert [violation.path for violation in violations] == ["$.total"]


def test_violations_name_the_place_inside_arrays():
    item = dict.fromkeys(ITEMS.schema["properties"]["menu"]["items"]["properties"])
    violations = schema_violations(ITEMS, {"menu": [item, {**item, "price": 3}]})
    assert [violation.path for violation in violations] == ["$.menu[1].price"]


def test_a_flood_of_violations_is_cut():
    assert len(schema_violations(ITEMS, {"menu": [{}] * 100})) == MAX_VIOLATIONS
