"""HTTP to addresses that somebody else named (an image's URL, a webhook), safe against server-side request forgery.

Belongs here: which URLs and addresses may be called, and calls bounded in size and time. Does not: what is sent or done
with the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ocrlty_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """Bounds on one call: the answer's size in bytes, seconds for all of it, redirects followed."""

    max_bytes: int
    timeout_s: float = 15.0
    max_redirects: int = 3


@dataclass(frozen=True, slots=True)
class OutboundAnswer:
    """What came back: HTTP status, header fields by lower-case name, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OutboundClient:
    """Calls public addresses only. An async context manager; one serves a whole process."""

    def __init__(self, settings: Settings) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc_info: object) -> None:
        raise NotImplementedError

    async def get(self, url: str, limits: OutboundLimits) -> OutboundAnswer:
        """GET, following redirects, each checked as the first address was.

        Raises:
            OutboundRefusedError: the scheme, the port or an address is none we call.
            OutboundFailedError: no answer, too large, too slow, or too many redirects.
        """
        raise NotImplementedError

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str], limits: OutboundLimits
    ) -> OutboundAnswer:
        """POST once; a redirect is an answer like any other.

        Raises:
            OutboundRefusedError: the scheme, the port or an address is none we call.
            OutboundFailedError: no answer, too large or too slow.
        """
        raise NotImplementedError
