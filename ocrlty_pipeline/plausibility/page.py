"""The text printed on an image, piece by piece, as an OCR engine reads it."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PrintedText:
    """One piece of text.

    Attributes:
        box: left, top, right, bottom as fractions of the upright image's width and height.
        score: the engine's confidence, 0 to 1.
    """

    text: str
    box: Box
    score: float


# In reading order: lines from the top, their pieces from the left.
Page = tuple[PrintedText, ...]
