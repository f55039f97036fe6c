"""ANLS* against the paper's cases and its authors' package."""

from __future__ import annotations

from typing import Any

import anls_star
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrlty_pipeline.evaluation.anls import anls


@pytest.mark.parametrize(
    ("expected", "predicted", "score"),
    [
        ("Hello World", "Hello World", 1.0),
        ("Hello World", "Hello Wrold", 9 / 11),  # two substitutions in eleven characters
        ("Hello World", "How are you?", 0.0),
        (None, "How are you?", 0.0),
        ("Yesterday", None, 0.0),
        ("Hello World", ["Hello", "World"], 0.0),
        (("Hello", "World"), "Wolrd", 0.6),
        (["Hello", "World"], "World", 1.0),
        (["Hello", "World"], ["World", "Hello"], 1.0),
        (["Hello", "World"], ["Hello"], 0.5),
        ({"a": "Hello", "b": "World"}, {"b": "World", "a": "Hello"}, 1.0),
        ({"a": "Hello", "b": "World"}, {"a": "Hello"}, 0.5),
        ({"a": "Hello", "b": "World"}, {"b": "World", "a": "Hello", "c": "Great"}, 2 / 3),
        ({"a": "Hello", "b": ["w", "r", "l", "d"]}, {"a": "Hello", "b": ["w", "r", "d"]}, 0.8),
        (0.2, 0.199999, 0.0),
        ("31.12.2023", "31. Dec 2023", 7 / 12),
        ({"k1": 1, "k2": "mock", "l": [{"a": "b", "c": "d"}, {"e": "f"}]},
         {"k1": 1, "k2": "kcom", "l": [{"e": "f"}, {"a": "y", "c": "d"}]}, 3 / 5),
        ({"a": "b", "c": "d"}, {"a": "b", "e": "d"}, 1 / 3),
        (dict.fromkeys(("jurisdiction", "party", "date", "term")), {"jurisdiction": "Nevada", "party": "Dolby"}, 0.5),
        ({"name": "david", "company": None}, {"name": "david"}, 1.0),
        ({"a": "x"}, {"a": "x", "b": None}, 0.5),
        ({"a": []}, {"a": []}, 1.0),
        ({}, {}, 1.0),
        (None, {}, 1.0),
        ({"a": ([], ["a", "b"], ["d"])}, {"a": []}, 1.0),
        (True, 1, 0.0),
        ([1, "a"], [True, "a"], 0.5),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Treating ground truth as a list of options")
def test_published_and_edge_cases(expected: Any, predicted: Any, score: float) -> None:
    assert anls(predicted, expected) == pytest.approx(score, abs=1e-9)
    assert anls_star.anls_score(expected, predicted) == pytest.approx(score, abs=1e-9)


TEXT = st.sampled_from(["", "Nasi Goreng", "nasi  goreng", "Nasi Gorong", "Teh", "5,000", "5.000", "50,000"]) | st.text(
    max_size=6
)
SCALAR = TEXT | st.booleans() | st.integers(-20, 20) | st.floats(-5, 5)
# Items of the same keys, or texts: of pairings that are equally similar, each gives the same score.
ITEM = st.fixed_dictionaries({"nm": SCALAR, "cnt": st.none() | SCALAR, "price": st.none() | SCALAR})
LISTS = st.lists(SCALAR, max_size=5) | st.lists(ITEM, max_size=5)
DOCUMENT = st.recursive(
    st.none() | SCALAR | LISTS,
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


@given(DOCUMENT, DOCUMENT)
@settings(max_examples=200)
def test_it_is_what_the_package_says(predicted: Any, expected: Any) -> None:
    document = {"document": expected}  # a list of texts at the top would be alternatives, about which the package warns
    assert anls({"document": predicted}, document) == pytest.approx(
        anls_star.anls_score(document, {"document": predicted}), abs=1e-9
    )


def test_a_predicted_null_that_nobody_expects_costs_nothing_where_that_is_asked_for() -> None:
    expected = {"total": "5", "menu": [{"nm": "Teh"}]}
    predicted = {"total": "5", "tax": None, "cash": "", "menu": [{"nm": "Teh", "cnt": None, "sub": []}]}
    assert anls(predicted, expected) == pytest.approx(2 / 6)
    assert anls(predicted, expected, ignore_extra_nulls=True) == 1.0
    extra_item = predicted | {"menu": [*predicted["menu"], {"nm": "Es", "cnt": None}]}
    assert anls(extra_item, expected, ignore_extra_nulls=True) == pytest.approx(2 / 3)


def test_order_plays_no_part_even_where_pairings_are_equally_similar() -> None:
    expected = [{"a": "x"}, {"b": "y", "c": "z"}, {"a": "w", "c": "v"}]
    predicted = [{"a": "q"}, {"c": "q", "d": "q"}]
    scores = {
        anls({"m": order, "t": "1"}, {"m": expected_order, "t": "1"})
        for order in (predicted, predicted[::-1])
        for expected_order in (expected, expected[::-1], [expected[1], expected[0], expected[2]])
    }
    assert len(scores) == 1
