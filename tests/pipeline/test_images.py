import contextlib
import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from ocrlty_pipeline.errors import ImageError
from ocrlty_pipeline.images import FORMATS, MIN_SIDE, SNIFFED_BYTES, ImageLimits, check_image, type_of

LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 40, 3), np.uint8))


def saved(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def refusal(data, limits=LIMITS):
    with pytest.raises(ImageError) as refused:
        check_image(data, limits)
    return refused.value.message


def turned(orientation, image=NOISE, file_format="JPEG"):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return saved(image, file_format, exif=exif)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_type_comes_from_the_content(file_format):
    data = saved(NOISE, file_format)
    image = check_image(data, LIMITS)
    assert (image.mime_type, image.extension) == FORMATS[file_format] == type_of(data[:SNIFFED_BYTES])
    assert (image.width, image.height) == image.upright().size == (40, 60)
    assert image.sha256 == hashlib.sha256(data).hexdigest()


def test_a_phones_jpeg_with_further_pictures_behind_it_is_a_jpeg():
    image = check_image(saved(NOISE, "MPO", save_all=True, append_images=[NOISE]), LIMITS)
    assert image.mime_type == "image/jpeg"
    assert image.upright().size == NOISE.size


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_or_pages_the_first_is_read(file_format):
    pages = [Image.new("RGB", (30, 30), colour) for colour in ("white", "black", "red")]
    image = check_image(saved(pages[0], file_format, save_all=True, append_images=pages[1:]), LIMITS)
    assert image.upright().getpixel((15, 15)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"\x00\x00\x00\x24ftypheic" + bytes(50), b"TOTAL 12.00", b"BM"])
def test_other_files_are_refused_with_the_supported_types(data):
    assert all(file_format in refusal(data) for file_format in FORMATS)
    assert type_of(data) is None


def test_a_refusal_names_what_people_most_often_mistake_for_an_image():
    assert "a PDF" in refusal(b"%PDF-1.7\n")
    assert "a HEIC photo" in refusal(b"\x00\x00\x00\x24ftypmif1" + bytes(50))
    assert "empty" in refusal(b"")


def test_text_that_begins_like_a_bitmap_is_not_one():
    assert type_of(b"BMW service, 120 EUR") is None


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_truncated_file_is_refused(file_format, part):
    data = saved(NOISE, file_format)
    assert "broken" in refusal(data[: int(len(data) * part)])


def test_a_png_with_a_wrong_checksum_is_refused():
    data = bytearray(saved(NOISE, "PNG"))
    data[len(data) // 2] ^= 1
    assert "broken" in refusal(bytes(data))


@settings(max_examples=150)
@given(st.sampled_from(list(FORMATS)), st.data())
def test_damaged_files_are_read_or_refused_but_never_anything_else(file_format, draw):
    damaged = bytearray(saved(NOISE, file_format))
    for _ in range(draw.draw(st.integers(1, 6))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        check_image(bytes(damaged), LIMITS).upright()


def test_whatever_a_decoder_raises_is_an_image_error(monkeypatch):
    def explode(image, *, mode=None):
        raise KeyError("tag")

    data = saved(NOISE, "BMP")
    image = check_image(data, LIMITS)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)
    assert "tag" in refusal(data)
    with pytest.raises(ImageError, match="tag"):
        image.upright()


def test_limits_are_inclusive_and_named_when_exceeded():
    data = saved(NOISE, "PNG")
    assert check_image(data, ImageLimits(len(data), 40 * 60)).width == 40
    assert "MAX_IMAGE_BYTES" in refusal(data, ImageLimits(len(data) - 1, 40 * 60))
    assert "40 x 60" in refusal(data, ImageLimits(len(data), 40 * 60 - 1))


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    # At 20,000 px Pillow itself refuses; at 10,000 it would only warn.
    data = saved(Image.new("1", (side, side)), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    assert "MAX_IMAGE_PIXELS" in refusal(data)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(orientation, file_format):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    upright = Image.new("RGB", (40, 60), "white")
    upright.paste("black", (0, 0, 16, 16))
    upright.paste("red", (24, 0, 40, 16))
    stored = upright if orientation == 1 else upright.transpose(_inverse(Image.Transpose(undo[orientation])))
    image = check_image(turned(orientation, stored, file_format), LIMITS)
    assert image.oriented == (orientation == 1)
    difference = np.abs(np.asarray(image.upright(), np.int16) - np.asarray(upright, np.int16))
    assert difference.mean() < 12


def _inverse(transpose):
    quarter = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    return quarter.get(transpose, transpose)


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    data = turned(orientation)
    assert check_image(data, LIMITS).encoded() == (data, "image/jpeg")


@pytest.mark.parametrize("block", [b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_a_good_photo_with_broken_exif_is_read(block):
    assert check_image(saved(NOISE, "JPEG", exif=block), LIMITS).upright().size == NOISE.size


def test_transparency_becomes_white():
    clear = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    palette = clear.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    for picture in (clear, clear.convert("LA"), palette):
        assert check_image(saved(picture, "PNG"), LIMITS).upright().getpixel((9, 9)) == (255, 255, 255)


def test_a_cmyk_jpeg_keeps_its_colours():
    red = Image.new("RGB", (32, 32), (220, 30, 30)).convert("CMYK")
    r, g, b = check_image(saved(red, "JPEG", quality=95), LIMITS).upright().getpixel((9, 9))
    assert r > 190
    assert max(g, b) < 80


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight_instead_of_white(file_format):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (32, 1))
    image = check_image(saved(Image.fromarray(ramp), file_format), LIMITS)
    data, mime_type = image.encoded()
    assert mime_type == "image/png"
    assert np.abs(np.asarray(opened(data))[0, :, 0] - ramp[0] / 257).max() <= 1


def test_thirty_two_bit_pixels_are_refused_with_the_way_out():
    assert "8 or 16 bits" in refusal(saved(Image.new("F", (30, 30), 0.5), "TIFF"))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_what_servers_read_is_sent_byte_for_byte(file_format):
    data = saved(NOISE, file_format)
    assert check_image(data, LIMITS).encoded() == (data, FORMATS[file_format][0])


@pytest.mark.parametrize("file_format", ["TIFF", "BMP", "GIF"])
def test_what_servers_may_not_read_is_sent_as_png(file_format):
    image = check_image(saved(NOISE, file_format), LIMITS)
    data, mime_type = image.encoded()
    assert (mime_type, opened(data).format) == ("image/png", "PNG")
    assert opened(data).tobytes() == image.upright().tobytes()


def test_a_turned_photo_is_sent_upright_under_its_own_type():
    data, mime_type = check_image(turned(6), LIMITS).encoded()
    assert (mime_type, opened(data).format, opened(data).size) == ("image/jpeg", "JPEG", (60, 40))
    assert ExifTags.Base.Orientation not in opened(data).getexif()


@settings(max_examples=60)
@given(width=st.integers(1, 400), height=st.integers(1, 400), scale=st.floats(0.01, 1))
def test_a_reduced_image_never_grows_and_keeps_a_least_side(width, height, scale):
    data, _ = check_image(saved(Image.new("L", (width, height)), "PNG"), LIMITS).encoded(scale)
    for before, after in zip((width, height), opened(data).size, strict=True):
        assert after == max(min(before, MIN_SIDE), round(before * scale))


def test_a_ribbon_of_one_pixel_is_an_image():
    image = check_image(saved(Image.new("RGB", (1, 30_000)), "JPEG"), LIMITS)
    assert opened(image.encoded(0.5)[0]).size == (1, 15_000)
