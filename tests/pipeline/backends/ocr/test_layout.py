import math

import pytest

from ocrlty_pipeline.backends.ocr.layout import page_skew, printed_lines
from tests.pipeline.backends.ocr.pages import box, page


def test_a_label_and_its_amount_share_a_line_although_their_centres_differ():
    boxes = [box("Total", 40, 100, height=30), box("12.50", 500, 112, height=28), box("Cash", 40, 140, height=30)]
    assert [line.text for line in printed_lines(boxes)] == ["Total 12.50", "Cash"]


def test_lines_come_top_to_bottom_and_their_boxes_left_to_right():
    boxes = [box("b2", 300, 90), box("a1", 40, 50), box("b1", 40, 90)]
    assert [line.text for line in printed_lines(boxes)] == ["a1", "b1 b2"]


@pytest.mark.parametrize("degrees", [-6, -2, 3, 6])
def test_a_skewed_photograph_gives_the_lines_of_the_straight_page(degrees):
    rows = ("Nasi Goreng Kampung|25.000", "Es Teh Manis Dingin|8.000", "Grand Total|33.000")
    assert [line.text for line in page(*rows, degrees=degrees)] == [line.text for line in page(*rows)]


def test_skew_is_measured_on_long_boxes_only():
    boxes = [box("a long line of text", 0, 0, degrees=2), box("x", 0, 50, degrees=25), box("1", 9, 70, degrees=-25)]
    assert page_skew(boxes) == pytest.approx(math.radians(2))


def test_boxes_one_above_the_other_never_share_a_line():
    boxes = [box("upper text", 40, 100), box("lower text", 40, 114)]
    assert len(printed_lines(boxes)) == 2


def test_columns_keep_the_gap_between_boxes():
    (line,) = page("CASH 20.00|20.00")
    assert (line.text, line.columns) == ("CASH 20.00 20.00", "CASH 20.00  20.00")


def test_a_page_without_text_has_no_lines():
    assert printed_lines([]) == []
