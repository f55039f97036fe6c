"""Donut's field-level F1 and tree-edit accuracy, against worked examples and zss."""

from __future__ import annotations

from typing import Any

import pytest
import zss
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ocrlty_pipeline.evaluation import zhang_shasha
from ocrlty_pipeline.evaluation.donut import DonutCounts, donut_counts, flat, normalized
from ocrlty_pipeline.evaluation.tree_edit import tree_edit_accuracy

CAKE, JUICE = {"name": "cake", "count": "2"}, {"name": "juice", "count": "1"}
MENU = {"menu": [CAKE, JUICE]}


def test_a_document_is_normalized_by_length_of_key_and_without_what_is_empty() -> None:
    document = {"total": " 5 ", "id": 7, "tax": None, "ok": False, "zero": 0, "menu": [{}, {"nm": ["a", None, "", 2]}]}
    assert normalized(document) == {"id": ["7"], "menu": [{"nm": ["a", "2"]}], "total": ["5"]}
    assert list(normalized(document)) == ["id", "menu", "total"]
    assert flat(normalized(document)) == [("id", "7"), ("menu.nm", "a"), ("menu.nm", "2"), ("total", "5")]


@pytest.mark.parametrize(
    ("predicted", "expected", "counts"),
    [
        (MENU, MENU, (4, 0)),
        ({"menu": [JUICE, CAKE]}, MENU, (4, 0)),
        # The trap: counts swapped between two items are not seen.
        ({"menu": [CAKE | {"count": "1"}, JUICE | {"count": "2"}]}, MENU, (4, 0)),
        ({"menu": [CAKE]}, MENU, (2, 2)),
        ({"menu": [CAKE, JUICE, CAKE]}, MENU, (4, 2)),
        ({"menu": [CAKE | {"count": "3"}, JUICE]}, MENU, (3, 2)),
        ({"total": "10.00"}, {"total": 10.0}, (0, 2)),
        (None, MENU, (0, 4)),
        ({}, {"total": None}, (0, 0)),
    ],
)
def test_fields_are_counted_as_a_bag(predicted: Any, expected: Any, counts: tuple[int, int]) -> None:
    assert donut_counts(predicted, expected) == DonutCounts(*counts)


@pytest.mark.parametrize(
    ("predicted", "expected", "accuracy"),
    [
        (MENU, MENU, 1.0),
        # The expected tree: menu, two subtrees, four keys (7), and texts of 4 + 1 + 5 + 1 characters: 18.
        ({"menu": [CAKE | {"count": "3"}, JUICE]}, MENU, 1 - 1 / 18),
        ({"menu": [CAKE]}, MENU, 1 - (3 + 5 + 1) / 18),  # a subtree, two keys and their texts
        ({"menu": [CAKE, JUICE, {"name": "tea"}]}, MENU, 1 - (2 + 3) / 18),
        ({"menu": [{"nome": "cake", "count": "2"}, JUICE]}, MENU, 1 - 1 / 18),  # a key changed
        ({}, MENU, 0.0),
        ({"other": "x" * 100}, MENU, 0.0),
        (MENU, {}, None),
        ({}, {"total": None, "menu": []}, None),
    ],
)
def test_tree_edit_accuracy_by_hand(predicted: Any, expected: Any, accuracy: float | None) -> None:
    found = tree_edit_accuracy(predicted, expected)
    assert found == (None if accuracy is None else pytest.approx(accuracy, abs=1e-12))


def test_items_in_another_order_cost_in_a_tree() -> None:
    accuracy = tree_edit_accuracy({"menu": [JUICE, CAKE]}, MENU)
    assert accuracy == pytest.approx(by_zss({"menu": [JUICE, CAKE]}, MENU))
    assert accuracy < 1


def test_a_tree_too_large_to_compare_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    menu = {"menu": [CAKE, JUICE, {"name": "tea", "count": "7"}]}
    shuffled = {"menu": menu["menu"][2:] + menu["menu"][:2]}
    assert tree_edit_accuracy(shuffled, menu) == pytest.approx(by_zss(shuffled, menu))
    monkeypatch.setattr(zhang_shasha, "MAX_STEPS", 10)
    assert tree_edit_accuracy(shuffled, menu) is None
    assert tree_edit_accuracy({"menu": [CAKE]}, MENU) == 0.5  # known without a search


TEXT = st.sampled_from(["", " ", "cake", "cape", "tea", "10.00", "10.50", "<leaf>x", None, 0, 12, 1.5, True])
KEY = st.sampled_from(["nm", "cnt", "price", "x", "a<leaf>b"])
DOCUMENT = st.dictionaries(
    KEY,
    st.recursive(
        TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12
    ),
    max_size=4,
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two documents, the second often the first with little changed, as predictions are."""
    expected = draw(DOCUMENT)
    return draw(DOCUMENT) if draw(st.booleans()) else draw(edited(expected)), expected


def edited(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, dict):
        kept = st.fixed_dictionaries({}, optional={key: edited(inner) for key, inner in value.items()})
        return st.just(value) | kept
    if isinstance(value, list):
        return st.just(value) | st.permutations(value).map(lambda items: items[1:])
    return st.just(value) | TEXT


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_tree_edit_accuracy_is_what_zss_gives(documents: tuple[Any, Any]) -> None:
    predicted, expected = documents
    reference = by_zss(predicted, expected)
    assert tree_edit_accuracy(predicted, expected) == (
        None if reference is None else pytest.approx(reference, abs=1e-9)
    )


def by_zss(predicted: Any, expected: Any) -> float | None:
    """The published accuracy, with the library that the authors use."""
    ours, theirs, nothing = (tree("<root>", normalized(document)) for document in (predicted, expected, {}))
    whole = zss_distance(nothing, theirs)
    return None if whole == 0 else max(0.0, 1 - zss_distance(ours, theirs) / whole)


def zss_distance(a: zss.Node, b: zss.Node) -> float:
    return zss.distance(a, b, zss.Node.get_children, whole_cost, whole_cost, change_cost)


def tree(label: str, value: Any) -> zss.Node:
    if isinstance(value, dict):
        return zss.Node(label, [tree(key, inner) for key, inner in value.items()])
    leaves = (zss.Node(f"<leaf>{item}") if isinstance(item, str) else tree("<subtree>", item) for item in value)
    return zss.Node(label, list(leaves))


def text(node: zss.Node) -> str | None:
    return node.label.replace("<leaf>", "") if "<leaf>" in node.label else None


def whole_cost(node: zss.Node) -> int:
    leaf = text(node)
    return 1 if leaf is None else len(leaf)


def change_cost(a: zss.Node, b: zss.Node) -> int:
    ours, theirs = text(a), text(b)
    if ours is not None and theirs is not None:
        return Levenshtein.distance(ours, theirs)
    if ours is None and theirs is None:
        return int(a.label != b.label)
    return 1 + len(ours or theirs or "")
