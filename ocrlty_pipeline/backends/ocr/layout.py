"""Text boxes to printed lines: deskew, group by vertical overlap, order.

Belongs here: geometry. Does not: what a line says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

Point = tuple[float, float]
# Two boxes share a line when they overlap by this part of the lower one's height: label and amount of one line often
# come as boxes whose centres differ by a dozen pixels, while boxes of neighbouring lines overlap by a few at most.
MIN_OVERLAP = 0.45
# Short boxes ("1", "x") have no trustworthy angle.
MIN_ASPECT_FOR_ANGLE = 3.0
# Beyond this a page is not skewed but turned, and deskewing would tear its lines apart.
MAX_SKEW = math.radians(30)


@dataclass(frozen=True, slots=True)
class TextBox:
    """One piece of text as the engine found it.

    Attributes:
        quad: corners in pixels, clockwise from the text's top left.
        score: the engine's confidence, 0 to 1.
    """

    text: str
    quad: tuple[Point, Point, Point, Point]
    score: float = 1.0

    @property
    def width(self) -> float:
        return math.dist(self.quad[0], self.quad[1])

    @property
    def height(self) -> float:
        return math.dist(self.quad[0], self.quad[3])

    @property
    def angle(self) -> float:
        """Of the text's direction, in radians; positive falls to the right."""
        (x0, y0), (x1, y1) = self.quad[0], self.quad[1]
        return math.atan2(y1 - y0, x1 - x0)


@dataclass(frozen=True, slots=True)
class Span:
    """A box in the deskewed page: its text and its upright bounds in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    box: TextBox

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Line:
    """The spans of one printed line, left to right."""

    spans: tuple[Span, ...]

    @property
    def text(self) -> str:
        return " ".join(span.text for span in self.spans)

    @property
    def columns(self) -> str:
        """The text with two spaces between spans: a currency mark belongs to the number of its own span only."""
        return "  ".join(span.text for span in self.spans)

    @property
    def left(self) -> float:
        return self.spans[0].left

    @property
    def right(self) -> float:
        return max(span.right for span in self.spans)

    @property
    def middle(self) -> float:
        return sum(span.middle for span in self.spans) / len(self.spans)

    @property
    def height(self) -> float:
        return median(span.height for span in self.spans)


def printed_lines(boxes: Sequence[TextBox]) -> list[Line]:
    """Group boxes into lines, top to bottom."""
    skew = page_skew(boxes)
    spans = sorted((_deskewed(box, skew) for box in boxes if box.text.strip()), key=lambda span: span.left)
    rows: list[list[Span]] = []
    for span in spans:
        row = _row_of(span, rows)
        if row is None:
            rows.append([span])
        else:
            row.append(span)
    return sorted((Line(tuple(row)) for row in rows), key=lambda line: line.middle)


def page_skew(boxes: Iterable[TextBox]) -> float:
    """Median angle of the long boxes, in radians; 0 when none is long enough or the page is turned."""
    angles = [box.angle for box in boxes if box.width >= MIN_ASPECT_FOR_ANGLE * box.height]
    skew = median(angles) if angles else 0.0
    return skew if abs(skew) <= MAX_SKEW else 0.0


def _deskewed(box: TextBox, skew: float) -> Span:
    cos, sin = math.cos(-skew), math.sin(-skew)
    xs = [x * cos - y * sin for x, y in box.quad]
    ys = [x * sin + y * cos for x, y in box.quad]
    # Means of opposite corners, since a box's own slant must not make it taller than its text.
    top, bottom = sorted(((ys[0] + ys[1]) / 2, (ys[2] + ys[3]) / 2))
    return Span(box.text.strip(), min(xs), top, max(xs), bottom, box)


def _row_of(span: Span, rows: list[list[Span]]) -> list[Span] | None:
    """The row whose right end lies at the span's height and leaves room for it, if any."""
    fitting = [row for row in rows if _overlap(span, row[-1]) >= MIN_OVERLAP and _has_room(span, row[-1])]
    return max(fitting, key=lambda row: _overlap(span, row[-1]), default=None)


def _overlap(a: Span, b: Span) -> float:
    shared = min(a.bottom, b.bottom) - max(a.top, b.top)
    return shared / max(1.0, min(a.height, b.height))


def _has_room(span: Span, last: Span) -> bool:
    """Boxes of one line may touch, but one does not cover the other."""
    shared = last.right - span.left
    return shared < 0.5 * min(span.right - span.left, last.right - last.left)
