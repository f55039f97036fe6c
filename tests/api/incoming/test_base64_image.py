import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ocrlty_api.errors import InvalidFieldError, PayloadTooLargeError
from ocrlty_api.incoming.base64_image import SLICE_CHARACTERS, decode_image
from ocrlty_pipeline.images import FORMATS

MAX = 10_000


def image(name="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(file, name)
    return file.getvalue()


def encoded(data):
    return base64.b64encode(data).decode()


def refusal(text, **options):
    with pytest.raises(InvalidFieldError) as refused:
        decode_image(text, max_bytes=MAX, **options)
    assert refused.value.status == 422
    return refused.value.message


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_of_every_known_type_comes_out_as_it_went_in(name):
    assert decode_image(encoded(image(name)), max_bytes=MAX) == image(name)


def test_a_broken_image_of_a_known_type_passes_to_become_a_record():
    cut = image()[:30]
    assert decode_image(encoded(cut), max_bytes=MAX) == cut


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("data:image/png;base64," + encoded(image()), "send only what follows 'data:image/png;base64,'"),
        (encoded(image())[:20] + "\n" + encoded(image())[20:], "white space"),
        (encoded(image()) + " ", "white space"),
        ("iVBORw0KGgo_-aaa", "URL-safe"),
        (encoded(image()[:32]).rstrip("="), "padding"),
        ("=" + encoded(image()), "encode the file"),
        (encoded(image()[:31]) + "AAAA", "encode the file"),
        ("garbage!", "it begins 'garbage!'"),
        ("ä" * 8, "ASCII"),
        ("\ud800" * 8, "ASCII"),
        ("\0", "encode the file"),
        ("", "is empty"),
        (encoded(b"just text"), "not an image (begins with b'just text')"),
        (encoded(b"%PDF-1.7"), "supported are JPEG"),
    ],
)
def test_anything_else_is_refused_with_the_field_what_came_and_the_way_out(text, why):
    message = refusal(text)
    assert message.startswith("image_base64 ")
    assert why in message


def test_the_refusal_names_the_field_and_shows_little_of_a_long_text():
    message = refusal("!" * 5000, field="image_b64")
    assert message.startswith("image_b64 ")
    assert len(message) < 200


@pytest.mark.parametrize(
    ("size", "fits"), [(MAX - 2, True), (MAX - 1, True), (MAX, True), (MAX + 1, False), (MAX + 2, False)]
)
def test_the_size_is_judged_to_the_byte(size, fits):
    data = image().ljust(size, b"\0")
    if fits:
        assert decode_image(encoded(data), max_bytes=MAX) == data
    else:
        with pytest.raises(PayloadTooLargeError, match=f"{size} bytes"):
            decode_image(encoded(data), max_bytes=MAX)


def test_a_text_decoded_slice_by_slice_is_read_as_one():
    data = image() + bytes(range(251)) * 3000
    text = encoded(data)
    assert decode_image(text, max_bytes=10**7) == data
    for inner in ("=", "==", "\n"):
        broken = text[: SLICE_CHARACTERS - len(inner)] + inner + text[SLICE_CHARACTERS:]
        with pytest.raises(InvalidFieldError, match="not base64"):
            decode_image(broken, max_bytes=10**7)


def test_what_is_too_large_is_never_decoded(monkeypatch):
    monkeypatch.setattr(base64, "b64decode", None)
    with pytest.raises(PayloadTooLargeError, match="MAX_IMAGE_BYTES"):
        decode_image("!" * 100_000, max_bytes=MAX)


@given(st.text(max_size=60))
def test_no_text_does_worse_than_a_refusal(text):
    assert refusal(text)
