"""How objects and arrays compare: by property, and by the best pairing of items."""

from __future__ import annotations

from typing import Any

import pytest

from ocrlty_pipeline.evaluation.nodes import Side
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.evaluation.outcomes import Outcome, Tally
from ocrlty_pipeline.evaluation.plan import Plan

TEXT = {"type": ["string", "null"]}
ITEM = {
    "type": "object",
    "properties": {
        "nm": TEXT,
        "cnt": {"type": ["string", "null"], "format": "x-count"},
        "price": {"type": ["string", "null"], "format": "x-money"},
        "sub": {"type": ["array", "null"], "items": {"type": "object", "properties": {"nm": TEXT}}},
    },
}
MENU = {"type": "object", "properties": {"menu": {"type": "array", "items": ITEM}}}


class Compared:
    """Two documents compared: counts by field and outcome, those that are zero left out."""

    def __init__(self, schema: dict[str, Any], predicted: Any, expected: Any) -> None:
        plan = Plan(schema, EvaluationOptions())
        tally = Tally(len(plan.fields))
        self.sides = Side(is_prediction=True), Side(is_prediction=False)
        plan.root.compare(plan.root.read(predicted, self.sides[0]), plan.root.read(expected, self.sides[1]), (), tally)
        self.counts = {
            (field, outcome.name.lower()): tally.counts[i * len(Outcome) + outcome]
            for i, field in enumerate(plan.fields)
            for outcome in Outcome
            if tally.counts[i * len(Outcome) + outcome] and outcome is not Outcome.BOTH_ABSENT
        }
        self.mismatches = [(mismatch.path, mismatch.kind) for mismatch in tally.mismatches]


def item(nm: str, cnt: str, price: str) -> dict[str, Any]:
    return {"nm": nm, "cnt": cnt, "price": price}


def menu(*items: Any) -> dict[str, Any]:
    return {"menu": list(items)}


NASI, TEH, AYAM = item("Nasi", "1", "10,000"), item("Teh", "2", "5,000"), item("Ayam", "1", "25,000")


def test_reordered_items_cost_nothing() -> None:
    compared = Compared(MENU, menu(AYAM, NASI, TEH), menu(NASI, TEH, AYAM))
    assert compared.mismatches == []
    assert compared.counts["menu[].nm", "matched"] == 3


def test_swapped_counts_cost_both() -> None:
    swapped = menu(NASI | {"cnt": "2"}, TEH | {"cnt": "1"})
    compared = Compared(MENU, swapped, menu(NASI, TEH))
    assert compared.mismatches == [("menu[0].cnt", "mismatch"), ("menu[1].cnt", "mismatch")]


def test_a_missed_item_counts_once_for_each_of_its_leaves() -> None:
    compared = Compared(MENU, menu(AYAM, NASI), menu(NASI, TEH | {"sub": [{"nm": "Es"}, {"nm": "Manis"}]}, AYAM))
    assert compared.mismatches == [
        ("menu[1].nm", "pred_missing"),
        ("menu[1].cnt", "pred_missing"),
        ("menu[1].price", "pred_missing"),
        ("menu[1].sub[0].nm", "pred_missing"),
        ("menu[1].sub[1].nm", "pred_missing"),
    ]


def test_an_item_made_up_counts_once_for_each_of_its_leaves_at_its_place_in_the_prediction() -> None:
    compared = Compared(MENU, menu(NASI, {"nm": "TOTAL", "price": "40,000"}, TEH), menu(NASI, TEH))
    assert compared.mismatches == [("menu[+1].nm", "gt_missing"), ("menu[+1].price", "gt_missing")]


@pytest.mark.parametrize(
    "nothing", [{}, {"menu": None}, {"menu": []}, {"menu": [None]}, {"menu": [{"nm": None}]}, None]
)
def test_a_missing_array_counts_each_leaf_of_each_item(nothing: Any) -> None:
    compared = Compared(MENU, nothing, menu(NASI, TEH))
    assert compared.counts == {
        ("menu[].nm", "pred_missing"): 2,
        ("menu[].cnt", "pred_missing"): 2,
        ("menu[].price", "pred_missing"): 2,
    }
    assert Compared(MENU, nothing, nothing).counts == {}


def test_items_left_over_on_both_sides_count_as_misread() -> None:
    compared = Compared(MENU, menu(NASI, item("Tch", "3", "6,000")), menu(TEH, NASI))
    assert [kind for _, kind in compared.mismatches] == ["mismatch"] * 3


def test_the_pairing_is_the_best_of_all_and_not_the_first_that_fits() -> None:
    # Each predicted item shares one leaf with the first expected one; only crossing over gives two matches more.
    predicted = menu(item("A", "1", "1"), item("A", "2", "2"))
    expected = menu(item("A", "2", "2"), item("A", "1", "9"))
    compared = Compared(MENU, predicted, expected)
    assert compared.mismatches == [("menu[1].price", "mismatch")]


def test_arrays_within_items_take_part_in_the_pairing() -> None:
    hot, iced = {"nm": "Teh", "sub": [{"nm": "Panas"}]}, {"nm": "Teh", "sub": [{"nm": "Es"}, {"nm": "Manis"}]}
    compared = Compared(MENU, menu(iced | {"cnt": "1"}, hot), menu(hot, iced))
    assert compared.mismatches == [("menu[1].cnt", "gt_missing")]


def test_a_single_value_stands_for_an_array_of_one() -> None:
    assert Compared(MENU, menu(NASI | {"sub": [{"nm": "Es"}]}), {"menu": NASI | {"sub": {"nm": "Es"}}}).mismatches == []
    tags = {"properties": {"tags": {"type": "array", "items": {"type": "string"}}}}
    assert Compared(tags, {"tags": ["b", "a"]}, {"tags": ["a", "b"]}).counts == {("tags[]", "matched"): 2}
    assert Compared(tags, {"tags": ["a"]}, {"tags": "a"}).counts == {("tags[]", "matched"): 1}


def test_keys_outside_the_schema_are_counted_and_not_compared() -> None:
    compared = Compared(MENU, menu(NASI | {"colour": "red"}), menu(NASI | {"vat": "1"}, TEH | {"vat": "2"}) | {"id": 7})
    assert compared.sides[0].outside == {"menu[].colour": 1}
    assert compared.sides[1].outside == {"id": 1, "menu[].vat": 2}
    assert compared.counts["menu[].nm", "matched"] == 1


def test_a_prediction_of_another_shape_is_a_type_mismatch_of_every_expected_leaf() -> None:
    compared = Compared(MENU, ["Nasi"], menu(NASI))
    assert compared.counts == {
        ("menu[].nm", "type_mismatch"): 1,
        ("menu[].cnt", "type_mismatch"): 1,
        ("menu[].price", "type_mismatch"): 1,
    }
    assert Compared(MENU, menu("Nasi"), menu(NASI)).counts == compared.counts


def test_a_prediction_of_another_shape_is_one_leaf_too_many_where_nothing_is_expected() -> None:
    assert Compared(MENU, menu(NASI, "junk"), menu(NASI)).mismatches == [("menu[+1].nm", "gt_missing")]
    assert Compared(MENU, "junk", {}).mismatches == [("menu[+0].nm", "gt_missing")]


def test_ground_truth_of_another_shape_is_left_out_and_counted() -> None:
    compared = Compared(MENU, menu(NASI), menu(NASI, "Teh"))
    assert compared.mismatches == []
    assert compared.sides[1].outside == {"menu[]": 1}


ADDRESS = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        ({"properties": {"a": {"properties": {"b": TEXT}}, "c": TEXT}}, ["a.b", "c"]),
        ({"properties": {"a": {"$ref": "#/$defs/address"}}, "$defs": {"address": ADDRESS}}, ["a.city"]),
        ({"properties": {"a": {"anyOf": [ADDRESS, {"type": "null"}]}}}, ["a.city"]),
        ({"allOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}, ["a", "b"]),
        ({"properties": {"a": {"type": "array", "items": {"type": "array", "items": TEXT}}}}, ["a[][]"]),
        ({"properties": {"a": {"type": "array"}, "b": {"type": "object"}, "c": True}}, ["a", "b", "c"]),
        ({"properties": {"a": {"oneOf": [ADDRESS, {"type": "string"}]}}}, ["a"]),
        ({"properties": {"a": {"$ref": "https://elsewhere/schema"}, "b": {"$ref": "#/$defs/none"}}}, ["a", "b"]),
        ({"properties": {"sub": {"$ref": "#"}, "nm": TEXT}}, ["sub.sub", "sub.nm", "nm"]),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/n"}},
                "$defs": {"n": {"properties": {"up": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}, "v": TEXT}}},
            },
            ["a.up", "a.v"],
        ),
        ({"type": "object"}, ["$"]),
    ],
)
def test_a_schema_gives_its_leaves_in_order(schema: dict[str, Any], fields: list[str]) -> None:
    assert Plan(schema, EvaluationOptions()).fields == fields


def test_alternatives_of_scalars_keep_their_format() -> None:
    money = {"anyOf": [{"type": "string", "format": "x-money"}, {"type": "number"}, {"type": "null"}]}
    assert Compared({"properties": {"a": money}}, {"a": 8.2}, {"a": "RM 8.20"}).mismatches == []


def test_what_has_no_fixed_form_compares_as_a_whole() -> None:
    schema = {"properties": {"a": {"type": "object"}}}
    assert Compared(schema, {"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}).counts == {("a", "matched"): 1}
    assert Compared(schema, {"a": {"x": 1}}, {"a": {"x": 2}}).mismatches == [("a", "mismatch")]
