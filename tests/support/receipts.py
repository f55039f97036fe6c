"""Small images for tests: distinct, cheap to make, and readable where a test needs them read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont


def receipt(lines: Sequence[str], *, size: int = 28) -> bytes:
    """A PNG with lines of print, each `label<TAB>amount` with the amount at the right margin."""
    image = Image.new("RGB", (620, 60 + len(lines) * size * 2), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for row, line in enumerate(lines):
        left, _, right = line.partition("\t")
        y = 30 + row * size * 2
        draw.text((40, y), left, "black", font)
        draw.text((580, y), right, "black", font, anchor="ra")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tiny_image(number: int) -> bytes:
    """A PNG of which no two numbers below 2**24 give the same bytes."""
    image = Image.new("RGB", (64, 64), (number & 255, number >> 8 & 255, number >> 16 & 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tiny_images(folder: Path, count: int) -> Path:
    """A folder of `count` distinct images, `000.png` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03d}.png").write_bytes(tiny_image(number))
    return folder
