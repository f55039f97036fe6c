"""Names of uploaded files: paths within their image set, never paths on a disk."""

from __future__ import annotations

import re
import unicodedata

from ocrlty_api.errors import InvalidFieldError

# Of the usual file systems, in bytes; the whole path as long as a key in the store may be.
MAX_SEGMENT_BYTES = 255
MAX_PATH_BYTES = 1024
SHOWN_CHARACTERS = 80
_DRIVE = re.compile(r"[A-Za-z]:")
# Controls, lone surrogates, separators of lines, and what reorders the letters that a person reads.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WAY_OUT = "Name files by their path within the upload, as a/b.jpg."


def safe_file_name(name: str, *, field: str = "files") -> str:
    r"""An upload's file name as a path within its image set: NFC, with `/`, folders kept.

    Windows clients' `\` is taken as `/`; empty segments and `.` are left out.

    Args:
        name: as the client gave it.
        field: the form's field, for messages.

    Raises:
        InvalidFieldError: empty, absolute, with `..`, a drive letter or control characters, or too long.
    """
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    segments = [segment for segment in path.split("/") if segment not in {"", "."}]
    problem = _problem(path, segments)
    if problem:
        raise InvalidFieldError(field, f"File name {name[:SHOWN_CHARACTERS]!r} is not allowed: {problem}. {_WAY_OUT}")
    return "/".join(segments)


def _problem(path: str, segments: list[str]) -> str | None:
    """What is wrong with a name, in words; None when nothing is."""
    if path.startswith("/"):
        return "it is an absolute path"
    if not segments:
        return "it is empty"
    if ".." in segments:
        return "it leads out of its folder"
    if _DRIVE.match(segments[0]):
        return "it names a drive"
    if _REORDERING.search(path) or any(unicodedata.category(letter) in _UNPRINTABLE for letter in path):
        return "it holds control characters"
    return _length_problem([len(segment.encode()) for segment in segments])


def _length_problem(sizes: list[int]) -> str | None:
    if max(sizes) <= MAX_SEGMENT_BYTES and sum(sizes) + len(sizes) - 1 <= MAX_PATH_BYTES:
        return None
    return f"it is longer than {MAX_SEGMENT_BYTES} bytes, or {MAX_PATH_BYTES} with its folders"


class FileNames:
    """The names given within one upload; a name that comes again is numbered, as in `a/b (2).jpg`.

    Clients such as curl send files of different folders under their base names alone.
    """

    def __init__(self, *, field: str = "files") -> None:
        self._field = field
        self._times: dict[str, int] = {}

    def take(self, name: str) -> str:
        """`safe_file_name(name)`, made distinct from all names taken before.

        Raises:
            InvalidFieldError: see `safe_file_name`.
        """
        safe = distinct = safe_file_name(name, field=self._field)
        while distinct in self._times:
            self._times[safe] += 1
            distinct = _numbered(safe, self._times[safe])
        self._times[distinct] = 1
        return distinct


def _numbered(path: str, number: int) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        return f"{path} ({number})"
    return f"{folder}{slash}{stem} ({number}){dot}{extension}"
