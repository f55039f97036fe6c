"""Previews: small, upright, made once, and absent where there is nothing to show."""

from __future__ import annotations

import asyncio
import hashlib
import io

import pytest
from PIL import Image

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.images import ImageLimits
from ocrlty_pipeline.report.previews import HEIGHT, WIDTH, make_previews, preview
from ocrlty_pipeline.settings import Settings

LIMITS = ImageLimits(10_000_000, 50_000_000)


def photograph(size, orientation=1):
    """A JPEG whose stored top left quarter is red."""
    image = Image.new("RGB", size, "white")
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(3000, 4000), (900, 3600), (4000, 500), (300, 200)])
def test_a_preview_fits_and_is_never_larger_than_its_image(size):
    with Image.open(io.BytesIO(preview(photograph(size), LIMITS))) as made:
        scale = min(1, WIDTH / size[0], HEIGHT / size[1])
        assert made.format == "JPEG"
        assert made.size == pytest.approx((size[0] * scale, size[1] * scale), abs=1.5)


def test_a_preview_is_upright_whatever_exif_says():
    with Image.open(io.BytesIO(preview(photograph((4000, 3000), orientation=6), LIMITS))) as made:
        assert made.size == (480, 640)
        red, white = made.getpixel((360, 100)), made.getpixel((100, 100))
    assert red[1] < 60
    assert white[1] > 200


def test_previews_are_kept_by_content_made_once_and_absent_for_what_is_no_image(tmp_path):
    store = ArtifactStore.from_settings(Settings(_env_file=None, artifacts_dir=tmp_path / "artifacts", s3_bucket=None))

    def put(data):
        return asyncio.run(store.put_input("local", data, ".jpg", hashlib.sha256(data).hexdigest()))

    good, broken = put(photograph((100, 100))), put(b"\xff\xd8\xff and no more")
    gone = "inputs/local/00/00/" + "0" * 64 + ".jpg"
    made = asyncio.run(make_previews(store, LIMITS, [good, good, broken, gone, "not/an/input"]))
    sha256 = good.rpartition("/")[2].removesuffix(".jpg")
    assert made == {good: f"previews/local/{sha256[:2]}/{sha256}.jpg"}
    (tmp_path / "artifacts" / made[good]).write_bytes(b"as it was")
    assert asyncio.run(make_previews(store, LIMITS, [good])) == made
    assert asyncio.run(store.get(made[good])) == b"as it was"
