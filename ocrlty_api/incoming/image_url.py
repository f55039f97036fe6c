"""Images fetched from a URL that a client named: debug only, through the client that reaches public addresses only."""

from __future__ import annotations

from ocrlty_pipeline.outbound import OutboundClient


async def fetch_image(client: OutboundClient, url: str, *, max_bytes: int) -> bytes:
    """Fetch an image of a known type.

    Raises:
        InvalidFieldError: the URL is none we fetch, or what came is no image.
        ImageUrlUnreachableError: no answer, an answer other than 200, too large or too slow.
    """
    raise NotImplementedError
