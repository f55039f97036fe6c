"""What must hold for all documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_pipeline.evaluation.evaluator import Sample, evaluate
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationIdentity
from ocrlty_pipeline.ground_truth import GroundTruthMatch

# Few values, so that items share leaves and pairings tie.
NAME = st.sampled_from([None, "Nasi", "Teh", "Ayam"])
MONEY = st.sampled_from([None, "5,000", "10.000", "7.50"])
COUNT = st.sampled_from([None, "1", "2 x"])
SUB = st.none() | st.lists(st.fixed_dictionaries({"nm": NAME}), max_size=2)
ITEM = st.fixed_dictionaries({"nm": NAME, "cnt": COUNT, "price": MONEY, "sub": SUB})
DOCUMENT = st.fixed_dictionaries({"total": MONEY, "menu": st.none() | st.lists(ITEM, max_size=5)})
TEXT = {"type": ["string", "null"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "total": TEXT | {"format": "x-money"},
        "menu": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "nm": TEXT,
                    "cnt": TEXT | {"format": "x-count"},
                    "price": TEXT | {"format": "x-money"},
                    "sub": {"type": "array", "items": {"type": "object", "properties": {"nm": TEXT}}},
                },
            },
        },
    },
}
IDENTITY = EvaluationIdentity(
    eval_id="e", created_at="2026-01-01T00:00:00Z", run_id="r", task_id="t", image_set="s", ground_truth_version=1
)


def scored(predicted: Any, expected: dict[str, Any]) -> Evaluation:
    match = GroundTruthMatch({"a.jpg": expected}, (), ())
    return evaluate([Sample("r", "a.jpg", predicted)], match, SCHEMA, IDENTITY)


@given(DOCUMENT)
def test_ground_truth_against_itself_is_perfect(document: dict[str, Any]) -> None:
    evaluation = scored(document, document)
    assert evaluation.samples[0].exact
    assert evaluation.summary.micro.f1 in (1.0, None)


@given(DOCUMENT, DOCUMENT, st.randoms(use_true_random=False))
def test_the_order_of_items_changes_nothing_but_the_figure_that_looks_at_order(
    predicted: Any, expected: Any, random: Any
) -> None:
    before = scored(predicted, expected)
    after = scored(shuffled(predicted, random), shuffled(expected, random))
    assert after.fields == before.fields
    assert after.summary.model_copy(update={"estimates": None}) == before.summary.model_copy(update={"estimates": None})
    for name in ("micro_f1", "macro_f1", "anls", "donut_f1", "entity_f1", "group_f1", "aligned"):
        assert getattr(after.summary.estimates, name).value == pytest.approx(
            getattr(before.summary.estimates, name).value, abs=1e-12
        )


def shuffled(document: dict[str, Any], random: Any) -> dict[str, Any]:
    menu = document["menu"]
    return document | {"menu": menu and random.sample(menu, len(menu))}


@given(DOCUMENT, DOCUMENT)
def test_exchanging_the_sides_exchanges_precision_and_recall(a: Any, b: Any) -> None:
    forth, back = scored(a, b), scored(b, a)
    for path, there in forth.fields.items():
        here = back.fields[path]
        assert (there.precision, there.recall, there.f1) == (here.recall, here.precision, here.f1)
        assert (there.accuracy, there.pred_missing) == (here.accuracy, here.gt_missing)


@given(DOCUMENT, DOCUMENT, st.data())
def test_removing_a_prediction_never_raises_recall(predicted: Any, expected: Any, data: st.DataObject) -> None:
    poorer = dict(predicted)
    if poorer["menu"] and data.draw(st.booleans(), label="an item"):
        index = data.draw(st.integers(0, len(poorer["menu"]) - 1))
        field = data.draw(st.sampled_from(["nm", "cnt", "price", "sub"]))
        poorer["menu"] = [item | {field: None} if i == index else item for i, item in enumerate(poorer["menu"])]
    else:
        poorer[data.draw(st.sampled_from(["total", "menu"]))] = None
    before, after = scored(predicted, expected).summary.micro, scored(poorer, expected).summary.micro
    assert after.support == before.support
    assert after.matched <= before.matched


@given(DOCUMENT, DOCUMENT)
def test_every_leaf_of_either_side_is_counted_once(predicted: Any, expected: Any) -> None:
    micro = scored(predicted, expected).summary.micro
    wrong = micro.mismatch + micro.canon_error + micro.type_mismatch
    assert micro.support == leaves(expected)
    assert micro.matched + wrong + micro.gt_missing == leaves(predicted)


@given(DOCUMENT, DOCUMENT)
def test_the_pairing_of_items_is_the_best_there_is(predicted: Any, expected: Any) -> None:
    evaluation = scored(predicted, expected)
    flat = [evaluation.fields[path].matched for path in ("menu[].nm", "menu[].cnt", "menu[].price", "menu[].sub[].nm")]
    assert sum(flat) == best_pairing(predicted["menu"] or [], expected["menu"] or [])


def leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(leaves(child) for child in value.values())
    if isinstance(value, list):
        return sum(leaves(child) for child in value)
    return value is not None


def best_pairing(predicted: list[Any], expected: list[Any]) -> int:
    """By trying all: the most leaves that any pairing of items matches. The prints used have one spelling each."""
    if not predicted or not expected:
        return 0
    first, *rest = predicted
    alone = best_pairing(rest, expected)
    paired = (
        matches(first, item) + best_pairing(rest, expected[:i] + expected[i + 1 :]) for i, item in enumerate(expected)
    )
    return max(alone, *paired)


def matches(a: dict[str, Any], b: dict[str, Any]) -> int:
    flat = sum(value is not None and value == b[key] for key, value in a.items() if key != "sub")
    return flat + best_pairing(a.get("sub") or [], b.get("sub") or [])
