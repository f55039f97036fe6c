"""Boxes of a page that was turned to be read, back on the image as it was given."""

import pytest
from PIL import Image

from ocrlty_pipeline.backends.ocr.engine import Reading
from ocrlty_pipeline.backends.ocr.layout import TextBox, printed_lines
from ocrlty_pipeline.backends.ocr.pages import printed_page

SIZE = (100, 200)
DARK = (10, 20, 40, 60)


@pytest.mark.parametrize(
    "turn", [None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
)
def test_a_box_is_where_the_print_is_on_the_image_as_given(turn):
    image = Image.new("L", SIZE, 0)
    image.paste(255, DARK)
    turned = image if turn is None else image.transpose(turn)
    left, top, right, bottom = turned.getbbox()
    box = TextBox("TOTAL", ((left, top), (right, top), (right, bottom), (left, bottom)), 0.9)
    [piece] = printed_page(Reading([box], turn, turned.size), printed_lines([box]), SIZE)
    assert piece.text == "TOTAL"
    assert piece.score == 0.9
    assert piece.box == pytest.approx((0.1, 0.1, 0.4, 0.3))


def test_pieces_come_in_reading_order_and_white_paper_beside_the_image_is_not_of_it():
    def row(text, left, top):
        return TextBox(text, ((left, top), (left + 60, top), (left + 60, top + 10), (left, top + 10)))

    boxes = [row("5.00", 70, 41), row("CASH", 0, 80), row("TOTAL", 0, 40)]
    pieces = printed_page(Reading(boxes, None, (300, 200)), printed_lines(boxes), SIZE)
    assert [piece.text for piece in pieces] == ["TOTAL", "5.00", "CASH"]
    assert pieces[1].box[2] == 1.0
