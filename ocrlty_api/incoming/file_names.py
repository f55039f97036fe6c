"""Names of uploaded files: paths within their image set, never paths on a disk."""

from __future__ import annotations


def safe_file_name(name: str) -> str:
    """An upload's file name as a path within its image set: NFC, with `/`, folders kept.

    Raises:
        BadFileNameError: empty, absolute, with `..`, a drive letter or control characters, or too long.
    """
    raise NotImplementedError


class FileNames:
    """The names given within one upload; a name that comes again is numbered, as in `a/b (2).jpg`."""

    def take(self, name: str) -> str:
        """`safe_file_name(name)`, made distinct from all names taken before.

        Raises:
            BadFileNameError: see `safe_file_name`.
        """
        raise NotImplementedError
