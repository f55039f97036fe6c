"""How one leaf compares, by the kind that the schema declares."""

from __future__ import annotations

from typing import Any

import pytest

from ocrlty_pipeline.evaluation.nodes import Side
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.outcomes import Mismatch, Outcome, Tally
from ocrlty_pipeline.evaluation.plan import Plan

MONEY = {"type": ["string", "null"], "format": "x-money"}
COUNT = {"type": ["string", "null"], "format": "x-count"}
DATE = {"type": ["string", "null"], "format": "x-date"}
STRING = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
INTEGER = {"type": "integer"}
BOOLEAN = {"type": "boolean"}
ANYTHING: dict[str, Any] = {}


def outcome(schema: dict[str, Any], predicted: Any, expected: Any, **options: Any) -> str:
    plan = Plan({"type": "object", "properties": {"f": schema}}, EvaluationOptions(**options))
    tally = Tally(1)
    trees = (
        plan.root.read({"f": predicted}, Side(is_prediction=True)),
        plan.root.read({"f": expected}, Side(is_prediction=False)),
    )
    plan.root.compare(*trees, (), tally)
    [found] = [outcome for outcome in Outcome if tally.counts[outcome]]
    return found.name.lower()


@pytest.mark.parametrize("decimal", ["auto", ".", ","])
@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ("1,591,600", 1591600.0),
        ("Rp 1.591.600", 1591600),
        ("43.636", 43.636),
        ("43,636", 43.636),
        ("48.000", 48.0),
        ("48.000", 48000),
        ("-16,000", -16000.0),
        ("(16,000)", -16000.0),
        ("26.550", 26.55),
        ("0.000", 0.0),
    ],
)
def test_a_number_in_the_ground_truth_equals_its_print_whatever_the_decimal_setting(
    predicted: str, expected: float, decimal: str
) -> None:
    assert outcome(MONEY, predicted, expected, decimal=decimal) == "matched"
    assert outcome(MONEY, expected, predicted, decimal=decimal) == "matched"


@pytest.mark.parametrize(
    ("predicted", "expected", "decimal", "found"),
    [
        ("48.000", "48,000", "auto", "matched"),  # both 48000
        ("48.000", "48", "auto", "mismatch"),  # 48000 against 48: two prints compare by their likeliest readings
        ("48.000", "48", ".", "matched"),
        ("48.000", "48,000", ".", "mismatch"),  # 48 against 48000
        ("$8.20", "8.20", "auto", "matched"),
        ("8.20", "8,20", "auto", "matched"),
        ("8.20", "8.2", "auto", "matched"),
        ("8.20", "8.30", "auto", "mismatch"),
    ],
)
def test_two_printed_amounts_compare_by_their_likeliest_readings(
    predicted: str, expected: str, decimal: str, found: str
) -> None:
    assert outcome(MONEY, predicted, expected, decimal=decimal) == found


@pytest.mark.parametrize(
    ("schema", "predicted", "expected", "found"),
    [
        (COUNT, "1 x", "1", "matched"),
        (COUNT, "2x", "x2", "matched"),
        (COUNT, "2", 2, "matched"),
        (COUNT, "2", "3", "mismatch"),
        (DATE, "14 MAR 2018", "14/03/2018", "matched"),
        (DATE, "14/03/2018 20:15", "2018-03-14", "matched"),
        (DATE, "14/03/2018", "15/03/2018", "mismatch"),
        (NUMBER, 5, 5.0, "matched"),
        (INTEGER, 5, 6, "mismatch"),
        (BOOLEAN, True, True, "matched"),
        (BOOLEAN, True, False, "mismatch"),
        (ANYTHING, {"a": 1, "b": [2]}, {"b": [2], "a": 1}, "matched"),
        (ANYTHING, {"a": 1}, {"a": 2}, "mismatch"),
    ],
)
def test_each_kind_of_leaf_compares_by_its_canonical_form(
    schema: dict[str, Any], predicted: Any, expected: Any, found: str
) -> None:
    assert outcome(schema, predicted, expected) == found


@pytest.mark.parametrize(
    ("mode", "ignore_case", "equal"),
    [
        ("exact", False, {"A B"}),
        ("strip", False, {"A B", " A B "}),
        ("strip_collapse", False, {"A B", " A B ", "A \t B"}),
        ("strip_collapse", True, {"A B", " A B ", "A \t B", "a b"}),
    ],
)
def test_strings_compare_by_the_chosen_mode(mode: str, ignore_case: bool, equal: set[str]) -> None:  # noqa: FBT001 - a row of the table
    for text in ("A B", " A B ", "A \t B", "a b"):
        found = outcome(STRING, text, "A B", string_mode=mode, ignore_case=ignore_case)
        assert found == ("matched" if text in equal else "mismatch")


@pytest.mark.parametrize("schema", [MONEY, COUNT, DATE, STRING, NUMBER, ANYTHING])
@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_null_and_blank_are_absent(schema: dict[str, Any], nothing: str | None) -> None:
    assert outcome(schema, nothing, None) == "both_absent"
    assert outcome(schema, None, nothing) == "both_absent"


def test_a_leaf_on_one_side_only_is_missing_on_the_other() -> None:
    assert outcome(MONEY, None, "5") == "pred_missing"
    assert outcome(MONEY, "5", None) == "gt_missing"
    assert outcome(MONEY, "unreadable", None) == "gt_missing"
    assert outcome(MONEY, [], None) == "gt_missing"


@pytest.mark.parametrize(
    ("schema", "predicted", "expected", "found"),
    [
        (MONEY, "free", "5", "canon_error"),
        (MONEY, "5", "free", "canon_error"),
        (MONEY, "free", "FREE", "canon_error"),
        (MONEY, "free  of", "free of", "matched"),  # both unreadable, the same print
        (DATE, "soon", "2018-03-14", "canon_error"),
        (COUNT, "many", 2, "canon_error"),
        (NUMBER, 5, "five", "canon_error"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_form_unless_both_prints_agree(
    schema: dict[str, Any], predicted: Any, expected: Any, found: str
) -> None:
    assert outcome(schema, predicted, expected) == found


@pytest.mark.parametrize(
    ("schema", "predicted", "expected", "found"),
    [
        (STRING, 901016, "901016", "type_mismatch"),
        (STRING, "901016", 901016, "matched"),  # ground truth out of a spreadsheet
        (STRING, ["a"], "a", "type_mismatch"),
        (STRING, True, "true", "type_mismatch"),
        (NUMBER, "5", 5, "type_mismatch"),
        (NUMBER, 1591600, "1,591,600", "matched"),  # ground truth as printed
        (NUMBER, 48, "48.000", "matched"),
        (MONEY, {"amount": 5}, "5", "type_mismatch"),
        (MONEY, True, "1", "type_mismatch"),
        (DATE, 20180314, "2018-03-14", "type_mismatch"),
        (BOOLEAN, "true", True, "type_mismatch"),
        (BOOLEAN, 1, True, "type_mismatch"),
    ],
)
def test_a_prediction_must_have_the_declared_type_and_ground_truth_may_be_looser(
    schema: dict[str, Any], predicted: Any, expected: Any, found: str
) -> None:
    assert outcome(schema, predicted, expected) == found


def test_a_mismatch_shows_both_values_and_what_was_compared() -> None:
    plan = Plan({"properties": {"total": MONEY}}, EvaluationOptions())
    tally = Tally(1)
    predicted = plan.root.read({"total": "Rp 48.000"}, Side(is_prediction=True))
    expected = plan.root.read({"total": 47.5}, Side(is_prediction=False))
    plan.root.compare(predicted, expected, (), tally)
    assert tally.mismatches == [Mismatch("total", "total", "mismatch", "Rp 48.000", 47.5, "48000", "47.5")]
