"""What the engine read, as text placed on the upright image."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ocrlty_pipeline.backends.ocr.engine import Reading
from ocrlty_pipeline.backends.ocr.layout import Line, Point, TextBox
from ocrlty_pipeline.plausibility.page import Page, PrintedText

Turn = Image.Transpose


def printed_page(reading: Reading, lines: Sequence[Line], size: tuple[int, int]) -> Page:
    """The pieces of a page in reading order.

    Args:
        reading: what `OcrEngine.read` gave.
        lines: its boxes, as `printed_lines` ordered them.
        size: width and height of the image that was given to the engine, in pixels.
    """
    boxes = (span.box for line in lines for span in line.spans)
    return tuple(PrintedText(box.text.strip(), _placed(box, reading, size), box.score) for box in boxes)


def _placed(box: TextBox, reading: Reading, size: tuple[int, int]) -> tuple[float, float, float, float]:
    corners = [_turned_back(corner, reading) for corner in box.quad]
    xs, ys = [_within(x / size[0]) for x, _ in corners], [_within(y / size[1]) for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _turned_back(point: Point, reading: Reading) -> Point:
    """A point of the image as it was read, on the image as it was given."""
    (x, y), (width, height) = point, reading.size
    match reading.turn:
        case Turn.ROTATE_90:
            return height - y, x
        case Turn.ROTATE_270:
            return y, width - x
        case Turn.ROTATE_180:
            return width - x, height - y
        case _:
            return x, y


def _within(fraction: float) -> float:
    """White paper that was added to the image is not of it."""
    return min(1.0, max(0.0, fraction))
