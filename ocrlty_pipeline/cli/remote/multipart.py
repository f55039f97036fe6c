"""A folder as the body of an upload, made as it is sent: one file is open at a time, and none in memory whole."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

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
        self._files = [(self._head(field, name), path) for field, name, path in files]
        self._end = f"--{self._boundary}--\r\n".encode()
        self._sent = sent

    @property
    def headers(self) -> dict[str, str]:
        sizes = (len(head) + path.stat().st_size + 2 for head, path in self._files)
        length = sum(map(len, self._fields)) + sum(sizes) + len(self._end)
        return {"Content-Type": f"multipart/form-data; boundary={self._boundary}", "Content-Length": str(length)}

    def body(self) -> Iterator[bytes]:
        yield from self._fields
        for count, (head, path) in enumerate(self._files, start=1):
            yield head
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
            yield b"\r\n"
            self._sent(count)
        yield self._end

    def _head(self, name: str, file_name: str | None = None) -> bytes:
        file = (
            "" if file_name is None else f'; filename="{_quoted(file_name)}"\r\nContent-Type: application/octet-stream'
        )
        return f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"{file}\r\n\r\n'.encode()


def _quoted(name: str) -> str:
    """As browsers write it (WHATWG, multipart/form-data encoding algorithm)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
