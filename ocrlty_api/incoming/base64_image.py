"""Images sent as base64 within JSON. Belongs here: text to bytes of a known image type, or a refusal. Does not: pixels."""

from __future__ import annotations


def decode_image(text: str, *, max_bytes: int, field: str = "image_base64") -> bytes:
    """Decode an image from strict base64 (RFC 4648, section 4: padded, no white space, no data URL).

    A broken image of a known type passes: extraction records what is wrong with it.

    Args:
        max_bytes: the most bytes the image may have; judged from the text's length, before it is decoded.
        field: the request's field, for messages.

    Raises:
        PayloadTooLargeError: the image would have more than `max_bytes`.
        InvalidFieldError: not base64, or not an image of a known type.
    """
    raise NotImplementedError
