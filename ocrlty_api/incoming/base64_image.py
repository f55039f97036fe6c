"""Images sent as base64 within JSON.

Belongs here: text to bytes of a known image type, or a refusal. Does not: pixels.
"""

from __future__ import annotations

import base64
import binascii
import io
import re

from ocrlty_api.errors import InvalidFieldError, PayloadTooLargeError
from ocrlty_pipeline.images import FORMATS, SNIFFED_BYTES, type_of

_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]+=*\Z")
SHOWN_CHARACTERS = 40
# A multiple of four. The interpreter is held while one slice is decoded (about 1 ms), not while 20 MiB are (100 ms).
SLICE_CHARACTERS = 256 * 1024


def decode_image(text: str, *, max_bytes: int, field: str = "image_base64") -> bytes:
    """Decode an image from strict base64 (RFC 4648, section 4: padded, no white space, no data URL).

    A broken image of a known type passes: extraction records what is wrong with it. Some 5 ms a MiB; large texts are
    for a thread.

    Args:
        text: the field's value.
        max_bytes: the most bytes the image may have; judged from the text's length, before it is decoded.
        field: the request's field, for messages.

    Raises:
        PayloadTooLargeError: the image would have more than `max_bytes`.
        InvalidFieldError: not base64, or not an image of a known type.
    """
    size = _decoded_size(text)
    if size > max_bytes:
        raise PayloadTooLargeError(
            f"{field} holds {size} bytes, more than MAX_IMAGE_BYTES={max_bytes}; reduce the image."
        )
    try:
        data = _decoded(text)
    except ValueError as error:
        raise InvalidFieldError(field, f"{field} is not base64: {_complaint(text, error)}") from None
    if type_of(data[:SNIFFED_BYTES]) is None:
        begins = f"begins with {data[:SNIFFED_BYTES]!r}" if data else "is empty"
        raise InvalidFieldError(field, f"{field} is not an image ({begins}); supported are {', '.join(FORMATS)}.")
    return data


def _decoded(text: str) -> bytes:
    if "=" in text[:-2]:
        raise binascii.Error("padding before the end")
    data = io.BytesIO()
    for start in range(0, len(text), SLICE_CHARACTERS):
        data.write(base64.b64decode(text[start : start + SLICE_CHARACTERS], validate=True))
    return data.getvalue()


def _decoded_size(text: str) -> int:
    padding = 2 if text.endswith("==") else int(text.endswith("="))
    return -(-len(text) // 4) * 3 - padding


def _complaint(text: str, error: ValueError) -> str:
    shown = f"it begins {text[:SHOWN_CHARACTERS]!r}"
    if prefix := _DATA_URL.match(text):
        return f"{shown}; send only what follows {prefix[0][-SHOWN_CHARACTERS:]!r}."
    if any(character.isspace() for character in text):
        return f"{shown} and holds white space; leave that out."
    if ("-" in text or "_" in text) and _URL_SAFE.match(text):
        return f"{shown} in the URL-safe alphabet; use '+' and '/' instead of '-' and '_'."
    reason = str(error) if isinstance(error, binascii.Error) else "other than ASCII characters"
    return f"{shown} ({reason}); encode the file by RFC 4648, with padding."
