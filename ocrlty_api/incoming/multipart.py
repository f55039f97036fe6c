"""Multipart uploads (RFC 7578), read as they arrive: one file in memory at a time, none on disk.

Belongs here: bytes of the body to fields and files, and bounds on both. Does not: where files go, what fields mean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from ocrlty_pipeline.errors import ImageError
from ocrlty_pipeline.settings import Settings


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
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file, complete.

    Attributes:
        field: the form's field that brought it.
        name: safe path within the image set, distinct within the upload.
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

    Fields may come before or after files, each once.

    Returns:
        The fields that are not files, by name.

    Raises:
        UnsupportedMediaTypeError: the body is not multipart/form-data.
        BadMultipartError: malformed, a limit exceeded, a field twice, a file where none is expected; says which.
        PayloadTooLargeError: more files than `max_files`.
    """
    raise NotImplementedError
