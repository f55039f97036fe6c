"""Hand-written pages: rows of text become boxes as an engine would find them, and lines as `layout` makes them."""

from __future__ import annotations

import math

from ocrlty_pipeline.backends.ocr.layout import Line, Point, TextBox, printed_lines

LEFT, RIGHT, CHAR, PITCH, HEIGHT = 40.0, 640.0, 12.0, 40.0, 28.0


def box(text: str, left: float, top: float, *, degrees: float = 0.0, height: float = HEIGHT) -> TextBox:
    """A box of even letters, turned about the page's origin."""
    right, bottom = left + CHAR * len(text), top + height
    angle = math.radians(degrees)

    def turned(x: float, y: float) -> Point:
        return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)

    return TextBox(text, (turned(left, top), turned(right, top), turned(right, bottom), turned(left, bottom)), 0.99)


def page(*rows: str, degrees: float = 0.0) -> list[Line]:
    """Rows of columns divided by `|`: the first begins at the left (spaces indent it), the last ends at the right."""
    boxes = []
    for number, row in enumerate(rows):
        first, *columns = row.split("|")
        top = 50 + number * PITCH
        indent = CHAR * (len(first) - len(first.lstrip()))
        if first.strip():
            boxes.append(box(first.strip(), LEFT + indent, top, degrees=degrees))
        for place, column in enumerate(reversed(columns)):
            boxes.append(box(column.strip(), RIGHT - 130 * place - CHAR * len(column.strip()), top, degrees=degrees))
    return printed_lines(boxes)
