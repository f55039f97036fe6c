"""Small JPEGs of inputs for pages to link to: receipts are photographed at megabytes, and shown by the thousand.

A preview is kept under its input's hash and made once, however many reports show it.
"""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Iterable

from PIL import Image

from ocrlty_pipeline.artifacts.keys import preview_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactConflictError, ImageError
from ocrlty_pipeline.images import ImageLimits, check_image

# Twice the width at which pages show them, for dense screens. Receipts are long and have to stay legible.
WIDTH, HEIGHT = 480, 960
QUALITY = 70
AT_ONCE = 8


async def make_previews(store: ArtifactStore, limits: ImageLimits, input_refs: Iterable[str]) -> dict[str, str]:
    """Make the previews that are not there yet.

    Returns:
        Key of the preview by key of the input; an input that is missing or no image has none.

    Raises:
        StorageUnavailableError: the store cannot be used.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(ref: str) -> tuple[str, str | None]:
        async with slots:
            return ref, await _make(store, limits, ref)

    made = await asyncio.gather(*(one(ref) for ref in dict.fromkeys(input_refs)))
    return {ref: rel for ref, rel in made if rel is not None}


async def _make(store: ArtifactStore, limits: ImageLimits, ref: str) -> str | None:
    rel = preview_key(ref)
    if rel is None or await store.exists(rel):
        return rel
    data = await store.get_or_none(ref)
    if data is None:
        return None
    try:
        jpeg = await asyncio.to_thread(preview, data, limits)
    except ImageError:
        return None
    try:
        await store.put(rel, jpeg)
    except ArtifactConflictError:
        # Another process made it meanwhile, with another version of the codec.
        return rel
    return rel


def preview(data: bytes, limits: ImageLimits) -> bytes:
    """An upright JPEG that fits in `WIDTH` x `HEIGHT` pixels; images are never enlarged.

    Raises:
        ImageError: the file is no whole image within the limits.
    """
    checked = check_image(data, limits)
    image = checked.upright(_enough(checked.width, checked.height))
    image.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _enough(width: int, height: int) -> tuple[int, int]:
    """The size from which to reduce, whether or not EXIF turns the image by a quarter."""
    scale = min(1.0, max(min(WIDTH / width, HEIGHT / height), min(HEIGHT / width, WIDTH / height)))
    return math.ceil(width * scale), math.ceil(height * scale)
