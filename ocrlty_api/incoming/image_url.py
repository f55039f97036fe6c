"""Images fetched from a URL that a client named: debug only, through the client that reaches public addresses only."""

from __future__ import annotations

from ocrlty_api.errors import ImageUrlUnreachableError, InvalidFieldError
from ocrlty_pipeline.errors import OutboundFailedError, OutboundRefusedError
from ocrlty_pipeline.images import FORMATS, SNIFFED_BYTES, type_of
from ocrlty_pipeline.outbound import OutboundAnswer, OutboundClient, OutboundLimits

FIELD = "image_url"
TIMEOUT_S = 15.0


async def fetch_image(client: OutboundClient, url: str, *, max_bytes: int) -> bytes:
    """Fetch an image of a known type.

    No message tells what else the URL gave: a client shall learn nothing through us of what only we can reach.

    Raises:
        InvalidFieldError: the URL is none we fetch, or what came is no image.
        ImageUrlUnreachableError: no answer, an answer other than 200, too large or too slow.
    """
    answer = await _fetched(client, url, OutboundLimits(max_bytes, TIMEOUT_S))
    if answer.status != 200:
        raise ImageUrlUnreachableError(FIELD, f"{FIELD} answered with status {answer.status} instead of an image.")
    if type_of(answer.body[:SNIFFED_BYTES]) is None:
        raise InvalidFieldError(FIELD, f"{FIELD} gave what is not an image; supported are {', '.join(FORMATS)}.")
    return answer.body


async def _fetched(client: OutboundClient, url: str, limits: OutboundLimits) -> OutboundAnswer:
    try:
        return await client.get(url, limits)
    except OutboundRefusedError as error:
        raise InvalidFieldError(FIELD, f"{FIELD} is not fetched: {error.message}") from None
    except OutboundFailedError as error:
        raise ImageUrlUnreachableError(FIELD, f"{FIELD} gave no image: {error.message}") from None
