"""What the headers say: of a multipart body its boundary, of one of its parts the field and the file's name."""

from __future__ import annotations

import base64
import re

from python_multipart.multipart import parse_options_header

from ocrlty_api.errors import BadMultipartError, UnsupportedMediaTypeError

# RFC 2046, section 5.1.1.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
# .NET, and so PowerShell, writes names that are not ASCII this way (RFC 2047).
_ENCODED_WORD = re.compile(r"=\?utf-8\?b\?([0-9a-z+/]+=*)\?=\Z", re.IGNORECASE)
PLAIN_ENCODINGS = frozenset({b"", b"binary", b"7bit", b"8bit"})
SHOWN_CHARACTERS = 80


def boundary_of(content_type: str | None) -> bytes:
    """The boundary that a request's Content-Type names.

    Raises:
        UnsupportedMediaTypeError: the type is not multipart/form-data.
        BadMultipartError: no boundary, or none that RFC 2046 allows.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        shown = repr(content_type[:SHOWN_CHARACTERS]) if content_type else "missing"
        raise UnsupportedMediaTypeError(f"Content-Type is {shown}; send files as multipart/form-data.")
    boundary = options.get(b"boundary", b"")
    if not _BOUNDARY.match(boundary):
        raise BadMultipartError("Content-Type names no boundary of 1 to 70 of the characters that RFC 2046 allows.")
    return boundary


class PartHeaders:
    """The headers of one part, as their pieces come."""

    def __init__(self) -> None:
        self._fields: dict[bytes, bytes] = {}
        self._name = self._value = b""

    def add_name(self, piece: bytes) -> None:
        self._name += piece

    def add_value(self, piece: bytes) -> None:
        self._value += piece

    def end(self) -> None:
        """One header is complete.

        Raises:
            BadMultipartError: the part has had it before.
        """
        name = self._name.lower()
        if name in self._fields:
            raise BadMultipartError(f"A part has two {_text(name)} headers.")
        self._fields[name] = self._value
        self._name = self._value = b""

    def disposition(self) -> tuple[str, str | None]:
        """The form's field, and the file's name or None.

        Raises:
            BadMultipartError: no field is named, or the content is in an encoding or a multipart body itself.
        """
        kind, options = parse_options_header(self._fields.get(b"content-disposition"))
        if kind != b"form-data" or not options.get(b"name"):
            raise BadMultipartError('A part has no `Content-Disposition: form-data; name="..."`.')
        if self._fields.get(b"content-type", b"").lower().startswith(b"multipart/"):
            raise BadMultipartError("A part is a multipart body itself; send each file as a part of its own.")
        if self._fields.get(b"content-transfer-encoding", b"").strip().lower() not in PLAIN_ENCODINGS:
            raise BadMultipartError("A part has a Content-Transfer-Encoding; send its bytes as they are.")
        file_name = options.get(b"filename")
        return _text(options[b"name"]), None if file_name is None else _decoded(_text(file_name))


def _text(raw: bytes) -> str:
    """UTF-8, as RFC 7578 wants it, or else Latin-1, in which any bytes are some text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _decoded(name: str) -> str:
    word = _ENCODED_WORD.match(name)
    if word is None:
        return name
    try:
        return _text(base64.b64decode(word[1], validate=True))
    except ValueError:
        return name
