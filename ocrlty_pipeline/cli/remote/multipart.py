"""A folder as the body of an upload, made as it is sent: one file is open at a time, and none in memory whole."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ocrlty_pipeline.errors import InputError

CHUNK = 1 << 18


class Upload:
    """The body of a multipart request of fields and files, and its headers.

    Args:
        files: field, name as the service shall know it, and path, of each file.
        sent: called with the number of files that are sent.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        files: Sequence[tuple[str, str, Path]],
        sent: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._boundary = secrets.token_hex(16)
        self._fields = [self._head(name) + value.encode() + b"\r\n" for name, value in fields.items()]
        self._files = [(self._head(field, name), path, _size(path)) for field, name, path in files]
        self._end = f"--{self._boundary}--\r\n".encode()
        self._sent = sent

    @property
    def headers(self) -> dict[str, str]:
        sizes = (len(head) + size + len(b"\r\n") for head, _, size in self._files)
        length = sum(map(len, self._fields)) + sum(sizes) + len(self._end)
        return {"Content-Type": f"multipart/form-data; boundary={self._boundary}", "Content-Length": str(length)}

    def body(self) -> Iterator[bytes]:
        """
        Raises:
            InputError: a file is no longer as it was, so that the length which was announced is wrong.
        """
        yield from self._fields
        for count, (head, path, size) in enumerate(self._files, start=1):
            yield head
            yield from _content(path, size)
            yield b"\r\n"
            self._sent(count)
        yield self._end

    def _head(self, name: str, file_name: str | None = None) -> bytes:
        file = (
            "" if file_name is None else f'; filename="{_quoted(file_name)}"\r\nContent-Type: application/octet-stream'
        )
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"{file}\r\n\r\n'
        try:
            return head.encode()
        except UnicodeEncodeError:
            raise InputError(f"The name of {file_name!r} is not UTF-8; rename the file.") from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    try:
        with path.open("rb") as file:
            while chunk := file.read(min(CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    if left:
        raise InputError(f"{path} changed while it was sent; nothing was begun: send the folder again.")


def _quoted(name: str) -> str:
    """A quoted string (RFC 9110, section 5.6.4), for names come out as they are; what would end the line is escaped."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\r", "%0D").replace("\n", "%0A")
