"""Rows drawn as ink on a strip of paper.

The strip is as wide as its widest row, so that nothing collides. What happens to the paper afterwards is `photo`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import fontpkg  # type: ignore[import-untyped]  # the package has no py.typed
from PIL import Image, ImageDraw, ImageFont

from examples.receipts.layout import Row

SIZE = 30
LEADING = 1.32
TYPEFACES = ("IBM Plex Mono", "DM Mono", "PT Sans Narrow")
# The typeface that Pillow embeds has no pound or euro sign.
ASCII_TYPEFACES = ("Pillow",)
# Emphasis -> factors on the width and height of the letters: a till's printer stretches, it has one font.
_STRETCH = {"plain": (1.0, 1.0), "bold": (1.0, 1.0), "tall": (1.0, 1.8), "big": (1.5, 1.5)}
_SOLID = 255


@dataclass(frozen=True)
class Typeface:
    regular: ImageFont.FreeTypeFont
    bold: ImageFont.FreeTypeFont


def typefaces_for(rows: list[Row]) -> tuple[str, ...]:
    """Names of the typefaces that have every letter of these rows."""
    ascii_only = all(text.isascii() for row in rows for text in (row.left, *row.right))
    return TYPEFACES + ASCII_TYPEFACES if ascii_only else TYPEFACES


def load_typeface(name: str) -> Typeface:
    """A typeface by name, from the fonts that are installed as packages or that Pillow embeds."""
    if name == "Pillow":
        font = ImageFont.load_default(SIZE)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise TypeError("This Pillow was built without FreeType; install it from its wheel.")
        return Typeface(font, font)
    heaviest = {"IBM Plex Mono": 700, "DM Mono": 500, "PT Sans Narrow": 700}[name]
    return Typeface(_load(name, 400), _load(name, heaviest))


def _load(name: str, weight: int) -> ImageFont.FreeTypeFont:
    # Basic layout: the same on every machine, with or without a text shaping library.
    return ImageFont.truetype(fontpkg.path(name, weight), SIZE, layout_engine=ImageFont.Layout.BASIC)


def draw(rows: list[Row], typeface: Typeface) -> Image.Image:
    """Ink (0 none, 255 full) on a strip with margins."""
    page = _Page(rows, typeface)
    margin = 2 * SIZE
    strip = Image.new("L", (page.width + 2 * margin, sum(map(page.height, rows)) + 3 * margin))
    top = margin
    for row in rows:
        strip.paste(page.draw(row), (margin, top))
        top += page.height(row)
    return strip


class _Page:
    """The widths that all rows share."""

    def __init__(self, rows: list[Row], typeface: Typeface) -> None:
        self._typeface = typeface
        self._gap = SIZE
        columns = [0] * max(len(row.right) for row in rows)
        for row in rows:
            for place, text in enumerate(reversed(row.right)):
                columns[place] = max(columns[place], self._text_width(text, row))
        self._columns = columns
        self.width = max(map(self._row_width, rows))

    def height(self, row: Row) -> int:
        return round(SIZE * LEADING * _STRETCH[row.emphasis][1])

    def draw(self, row: Row) -> Image.Image:
        """The row as a picture as wide as the page."""
        picture = Image.new("L", (self.width, self.height(row)))
        edge = self.width
        for place, text in enumerate(reversed(row.right)):
            self._write(picture, text, edge - self._text_width(text, row), row)
            edge -= self._columns[place] + self._gap
        start = self._left_edge(row, edge)
        self._write(picture, row.left, start, row)
        if row.fill:
            self._fill(picture, row, start + self._text_width(row.left, row))
        return picture

    def _left_edge(self, row: Row, edge: int) -> int:
        free = edge - self._text_width(row.left, row)
        return {"left": 0, "center": free // 2, "right": free}[row.align]

    def _fill(self, picture: Image.Image, row: Row, start: int) -> None:
        end = self.width - sum(self._text_width(text, row) + self._gap // 2 for text in row.right)
        start += self._gap // 2 if row.left else 0
        count = max(0, end - start) // max(1, self._text_width(row.fill * 10, row) // 10)
        self._write(picture, row.fill * count, start, row)

    def _row_width(self, row: Row) -> int:
        right = sum(column + self._gap for column in self._columns[: len(row.right)])
        return self._text_width(row.left, row) + right

    def _font(self, row: Row) -> ImageFont.FreeTypeFont:
        return self._typeface.regular if row.emphasis == "plain" else self._typeface.bold

    def _text_width(self, text: str, row: Row) -> int:
        return round(self._font(row).getlength(text) * _STRETCH[row.emphasis][0])

    def _write(self, picture: Image.Image, text: str, left: int, row: Row) -> None:
        font = self._font(row)
        width, height = round(font.getlength(text)), round(SIZE * LEADING)
        if not width:
            return
        letters = Image.new("L", (width, height))
        ImageDraw.Draw(letters).text((0, height // 2), text, _SOLID, font, anchor="lm")
        across, down = _STRETCH[row.emphasis]
        letters = letters.resize((round(width * across), round(height * down)), Image.Resampling.BICUBIC)
        picture.paste(letters, (left, 0))
