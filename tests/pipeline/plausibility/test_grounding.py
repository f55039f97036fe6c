"""Values found on a page, with their boxes; and those that are not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrlty_pipeline.plausibility.grounding import grounding, grounding_findings
from ocrlty_pipeline.plausibility.leaves import Leaf
from ocrlty_pipeline.plausibility.page import PrintedText


def page(*rows):
    """One row a tenth of the page; its pieces side by side, a quarter each."""
    return tuple(
        PrintedText(text, (0.25 * column, 0.1 * row, 0.25 * column + 0.2, 0.1 * row + 0.05), 0.99 - 0.01 * column)
        for row, pieces in enumerate(rows)
        for column, text in enumerate(pieces)
    )


PAGE = page(
    ("PELANGI CAFE", "SDN BHD"),
    ("NO.5, JALAN KENARl,",),
    ("47100 PUCHONG, SELANGOR",),
    ("15 Nasi", "75.000"),
    ("TOTAL", "RM 21.20"),
    ("Date: 21/07/2018 10:22",),
)


def found(value, format=None):  # noqa: A002 -- as the schema says it
    return grounding([Leaf("x", value, format)], PAGE)["x"]


def test_a_value_is_found_with_the_box_and_the_confidence_of_its_pieces():
    assert found("21/07/2018", "x-date") == {"found": True, "box": [0.0, 0.5, 0.2, 0.55], "score": 0.99, "likeness": 1}
    assert found("Pelangi Cafe Sdn Bhd") == {"found": True, "box": [0.0, 0.0, 0.45, 0.05], "score": 0.98, "likeness": 1}


def test_a_value_over_several_lines_is_found_in_all_of_them_despite_a_misread():
    entry = found("NO.5, JALAN KENARI, 47100 PUCHONG, SELANGOR")
    assert entry["box"] == [0.0, 0.1, 0.2, 0.25]
    assert 0.9 < entry["likeness"] < 1


@pytest.mark.parametrize(
    "value",
    ["7100", "1.20", "20", "000", "75.00", "Mandarin Court", "PELANGI CAFE SDN BHD KUALA LUMPUR CITY", "21/07/2019"],
)
def test_what_only_resembles_something_printed_is_not_found(value):
    assert found(value) == {"found": False}


@pytest.mark.parametrize("value", ["5", "15", "15 Nasi", "21.20", "10:22", "RM21.20", 47100])
def test_a_value_between_other_letters_is_found_where_its_digits_end(value):
    assert found(value)["found"]


@pytest.mark.parametrize(
    ("value", "there"), [("Rp 75,000", True), (75000, True), ("75000.00", True), ("57,000", False)]
)
def test_an_amount_is_the_same_with_other_separators(value, there):
    assert found(value, "x-money")["found"] is there


def test_true_and_blank_are_printed_nowhere():
    assert grounding([Leaf("a", True, None), Leaf("b", " ", None)], PAGE) == {"b": {"found": False}}


def test_the_finding_names_what_is_missing():
    entries = grounding(
        [Leaf("total", "21.20", None), Leaf("tax", "9.99", None), Leaf("menu[0].nm", "Kopi", None)], PAGE
    )
    [finding] = grounding_findings(entries)
    assert (finding.check, finding.problem) == ("printed", "Not found in the printed text: tax, menu[0].nm.")
    [right] = grounding_findings({"total": entries["total"]})
    assert right.problem is None
    assert list(grounding_findings({})) == []


@given(st.text(max_size=30), st.lists(st.text(max_size=20), max_size=5))
def test_what_is_printed_between_other_pieces_is_found(value, others):
    printed = page((*others, value, *others))
    entry = grounding([Leaf("x", value, None)], printed)["x"]
    assert entry["found"] is bool("".join(value.split()))
