"""Cursors of lists: where a page begins, as clients hand it back. What is none is refused, never guessed at."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ocrlty_api.errors import BadRequestError
from ocrlty_pipeline.artifacts.index import Cursor

SHOWN_CHARACTERS = 160
# A `+` that a client did not escape in the address arrives as a space.
_CREATED = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)(?:[+ ]00:00|Z)"
    r"\|([A-Za-z0-9][A-Za-z0-9_.-]{0,127})\Z"
)
_POSITION = re.compile(r"[0-9]{1,9}\Z")


def created_cursor(cursor: Cursor) -> str:
    """`<created_at>|<id>`."""
    created_at, artifact_id = cursor
    return f"{created_at.isoformat(timespec='microseconds')}|{artifact_id}"


def parse_created_cursor(text: str | None) -> Cursor | None:
    """
    Raises:
        BadRequestError: no cursor of a list by time.
    """
    if text is None:
        return None
    match = _CREATED.match(text)
    if match is None:
        raise _refused(text)
    try:
        return datetime.fromisoformat(match[1]).replace(tzinfo=UTC), match[2]
    except ValueError:
        raise _refused(text) from None


def parse_position(text: str | None) -> int:
    """The position that a page of items comes after; -1 for the first page.

    Raises:
        BadRequestError: no cursor of a list of items.
    """
    if text is None:
        return -1
    if _POSITION.match(text) is None:
        raise _refused(text)
    return int(text)


def _refused(text: str) -> BadRequestError:
    return BadRequestError(
        f"cursor {text[:SHOWN_CHARACTERS]!r} is none of this list's: use the next_cursor of the page before, "
        "escaped for an address, or none for the first page."
    )
