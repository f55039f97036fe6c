"""Multipart uploads (RFC 7578), read as they arrive: one file in memory at a time, none on disk.

Belongs here: the body's parts as fields and files, and bounds on both. Does not: what a part's headers say
(`part_headers`), where files go, what fields mean, or how large the whole body may be (`body_limits`).

Starlette's own form writes every file of a request to disk before the handler sees the first.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from ocrlty_api.errors import BadMultipartError, PayloadTooLargeError
from ocrlty_api.incoming.file_names import FileNames
from ocrlty_api.incoming.part_headers import PartHeaders, boundary_of
from ocrlty_pipeline.errors import ImageError
from ocrlty_pipeline.settings import Settings

# A server may hand over more at once; each slice's finished files are handed on before the next is looked at.
SLICE_BYTES = 64 * 1024
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """Bounds on one upload.

    Attributes:
        max_files: parts with a file name.
        max_file_bytes: a larger file is counted to its end, without keeping its bytes.
        max_fields, max_field_bytes: parts without a file name, and the bytes of each.
        file_fields: names of the form's fields that may bring files.
    """

    max_files: int
    max_file_bytes: int
    max_fields: int = 32
    max_field_bytes: int = 64 * 1024
    file_fields: tuple[str, ...] = ("files",)

    @classmethod
    def of(cls, settings: Settings, *file_fields: str) -> MultipartLimits:
        """MAX_BATCH_FILES and MAX_IMAGE_BYTES; `file_fields` are "files" unless named."""
        return cls(settings.max_batch_files, settings.max_image_bytes, file_fields=file_fields or ("files",))


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file, complete.

    Attributes:
        field: the form's field that brought it.
        name: safe path within the image set, distinct within the field.
        size: in bytes, as sent.
        data: None when the file is larger than the limit, as `error` says.
    """

    field: str
    name: str
    size: int
    data: bytes | None
    error: ImageError | None = None


OnFile = Callable[[UploadedFile], Awaitable[None]]


async def read_multipart(request: Request, limits: MultipartLimits, on_file: OnFile) -> dict[str, str]:
    """Read the body to its end, handing each file over as it completes; nothing is received meanwhile.

    Fields may come before or after files, each once. Whether there was any file is the caller's to judge.

    Returns:
        The fields that are not files, by name.

    Raises:
        UnsupportedMediaTypeError: the body is not multipart/form-data.
        BadMultipartError: malformed, a limit exceeded, a field twice, a file where none is expected; says which.
        InvalidFieldError: a file's name is none we take.
        PayloadTooLargeError: more files than `max_files`.
    """
    form = _Form(boundary_of(request.headers.get("content-type")), limits)
    async for chunk in request.stream():
        for start in range(0, len(chunk), SLICE_BYTES):
            finished = form.write(chunk[start : start + SLICE_BYTES])
            while finished:
                # Bound to no name here: a name would keep the file while the next one comes.
                await on_file(finished.popleft())
    form.close()
    return form.fields


class _Form:
    """The parts of one body, as the parser's callbacks tell of them."""

    def __init__(self, boundary: bytes, limits: MultipartLimits) -> None:
        self.fields: dict[str, str] = {}
        self._limits = limits
        self._names = {field: FileNames(field=field) for field in limits.file_fields}
        self._files = 0
        self._finished: deque[UploadedFile] = deque()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._headers.add_name(data[start:end]),
                "on_header_value": lambda data, start, end: self._headers.add_value(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": lambda data, start, end: self._content.write(data[start:end]),
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )

    def write(self, data: bytes) -> deque[UploadedFile]:
        """Take more of the body; returns the complete files that were not taken yet."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadMultipartError(f"The multipart body is malformed: {error}.") from None
        return self._finished

    def close(self) -> None:
        """Refuse a body that ends too early."""
        if not self._ended:
            raise BadMultipartError("The multipart body ends before its closing boundary; send the whole of it again.")

    def _begin_part(self) -> None:
        self._headers = PartHeaders()

    def _end_header(self) -> None:
        self._headers.end()

    def _begin_content(self) -> None:
        self._field, self._file_name = self._headers.disposition()
        if self._file_name is None:
            self._begin_field()
        else:
            self._begin_file(self._file_name)

    def _begin_field(self) -> None:
        if self._field in self._limits.file_fields:
            raise BadMultipartError(
                f"{self._field!r} came without a file name; send files, as in -F {self._field}=@a.jpg."
            )
        if self._field in self.fields:
            raise BadMultipartError(f"Field {self._field!r} is given twice; send it once.")
        if len(self.fields) == self._limits.max_fields:
            raise BadMultipartError(f"The form has more than {self._limits.max_fields} fields.")
        self._content = _Content(self._limits.max_field_bytes)

    def _begin_file(self, file_name: str) -> None:
        if self._field not in self._limits.file_fields:
            allowed = ", ".join(self._limits.file_fields)
            raise BadMultipartError(f"Field {self._field!r} brought a file; files go in: {allowed}.")
        self._files += 1
        if self._files > self._limits.max_files:
            raise PayloadTooLargeError(f"The upload has more than MAX_BATCH_FILES={self._limits.max_files} files.")
        self._file_name = self._names[self._field].take(file_name)
        self._content = _Content(self._limits.max_file_bytes)

    def _end_part(self) -> None:
        content, limit = self._content, self._limits.max_file_bytes
        if self._file_name is None:
            self.fields[self._field] = self._text(content)
            return
        error = None
        if content.size > limit:
            error = ImageError(f"The file has {content.size} bytes, more than MAX_IMAGE_BYTES={limit}.")
        self._finished.append(UploadedFile(self._field, self._file_name, content.size, content.take(), error))

    def _text(self, content: _Content) -> str:
        data = content.take()
        if data is None:
            raise BadMultipartError(f"Field {self._field!r} has more than {self._limits.max_field_bytes} bytes.")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise BadMultipartError(f"Field {self._field!r} is not UTF-8 text.") from None
        if "\0" in text:
            raise BadMultipartError(f"Field {self._field!r} holds a NUL character.")
        return text

    def _end(self) -> None:
        self._ended = True


class _Content:
    """A part's bytes up to a limit, and beyond it only their number."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        # Unlike a bytearray's or a list's, its bytes are handed out without a copy.
        self._kept: io.BytesIO | None = io.BytesIO()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            self._kept = None
        elif self._kept is not None:
            self._kept.write(data)

    def take(self) -> bytes | None:
        """All of the bytes, once; None when there were too many."""
        kept, self._kept = self._kept, None
        return None if kept is None else kept.getvalue()
