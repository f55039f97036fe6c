"""KIEval, by counts made by hand."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_pipeline.evaluation.kieval import kieval_counts

NASI, TEH = {"nm": "Nasi", "cnt": "2"}, {"nm": "Teh", "cnt": "1"}
RECEIPT = {"store": "Toko", "menu": [NASI, TEH]}


@pytest.mark.parametrize(
    ("predicted", "expected", "entities", "corrections", "groups"),
    [
        # Entities: TP, predicted, expected. Groups: right, predicted, expected.
        (RECEIPT, RECEIPT, (5, 5, 5), 0, (2, 2, 2)),
        (RECEIPT | {"menu": [TEH, NASI]}, RECEIPT, (5, 5, 5), 0, (2, 2, 2)),
        # Counts swapped: two substitutions, no item right.
        (RECEIPT | {"menu": [NASI | {"cnt": "1"}, TEH | {"cnt": "2"}]}, RECEIPT, (3, 5, 5), 2, (0, 2, 2)),
        # A missing item is two additions, an extra one two deletions, a missing array four additions.
        (RECEIPT | {"menu": [TEH]}, RECEIPT, (3, 3, 5), 2, (1, 1, 2)),
        (RECEIPT, RECEIPT | {"menu": [TEH]}, (3, 5, 3), 2, (1, 2, 1)),
        ({"store": "Toko"}, RECEIPT, (1, 1, 5), 4, (0, 0, 2)),
        # FP = FN = 1 of one key is one correction; of two keys it is a deletion and an addition.
        ({"store": "Tako"}, {"store": "Toko"}, (0, 1, 1), 1, (0, 0, 0)),
        ({"shop": "Toko"}, {"store": "Toko"}, (0, 1, 1), 2, (0, 0, 0)),
        # A value left out and one made up within a pair of items.
        ({"menu": [{"nm": "Nasi", "price": "5"}]}, {"menu": [NASI]}, (1, 2, 2), 2, (0, 1, 1)),
        # Several texts of one key: a bag; one of three is right, FP = 1 and FN = 2.
        ({"tag": ["a", "x"]}, {"tag": ["a", "b", "c"]}, (1, 2, 3), 2, (0, 0, 0)),
        # What is nested in an item belongs to it.
        ({"menu": [NASI | {"sub": [{"nm": "Es"}]}]}, {"menu": [NASI | {"sub": [{"nm": "Es"}, {"nm": "Gula"}]}]},
         (3, 3, 4), 1, (0, 1, 1)),
        # A single item without its array is a group of one.
        ({"menu": [NASI]}, {"menu": NASI}, (2, 2, 2), 0, (1, 1, 1)),
        # Nothing is no entity.
        ({"store": " ", "tax": None, "menu": [{}, {"nm": None}]}, {"store": None}, (0, 0, 0), 0, (0, 0, 0)),
        (None, RECEIPT, (0, 0, 5), 5, (0, 0, 2)),
    ],
)  # fmt: skip
def test_counts_by_hand(
    predicted: Any, expected: Any, entities: tuple[int, ...], corrections: int, groups: tuple[int, ...]
) -> None:
    assert astuple(kieval_counts(predicted, expected)) == (*entities, corrections, *groups)


def test_among_pairings_that_share_as_much_the_one_with_the_fewest_corrections_counts() -> None:
    # Either expected item shares one entity with the predicted one; only the second has the other key too.
    expected = {"menu": [{"nm": "Teh", "price": "5"}, {"nm": "Teh", "cnt": "1"}]}
    for order in (expected["menu"], expected["menu"][::-1]):
        counts = kieval_counts({"menu": [{"nm": "Teh", "cnt": "2"}]}, {"menu": order})
        assert (counts.matched, counts.corrections) == (1, 3)  # cnt substituted, the other item added


ITEM = st.dictionaries(st.sampled_from(["nm", "cnt", "price"]), st.sampled_from(["a", "b", None]), max_size=3)
DOCUMENT = st.fixed_dictionaries({"total": st.sampled_from(["1", "2", None]), "menu": st.lists(ITEM, max_size=4)})


@given(DOCUMENT, DOCUMENT, st.randoms(use_true_random=False))
def test_order_and_sides_play_no_part(predicted: Any, expected: Any, random: Any) -> None:
    there, back = kieval_counts(predicted, expected), kieval_counts(expected, predicted)
    assert (back.matched, back.corrections, back.groups_matched) == (
        there.matched,
        there.corrections,
        there.groups_matched,
    )
    shuffled = predicted | {"menu": random.sample(predicted["menu"], len(predicted["menu"]))}
    assert kieval_counts(shuffled, expected) == there
    wrong = there.predicted + there.expected - 2 * there.matched
    assert wrong / 2 <= there.corrections <= wrong
