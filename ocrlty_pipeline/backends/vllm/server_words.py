"""What a server said about a failure, made fit for a message to a person: found in its body, clipped, without secrets.

What the words mean is decided in `errors`.
"""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

MAX_SHOWN = 400
# Nobody waits longer on a server's word.
MAX_RETRY_AFTER_S = 300.0

_WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html|\?xml|head)", re.IGNORECASE)
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=]{80,}")


def is_web_page(body: bytes) -> bool:
    return bool(_WEB_PAGE.match(body))


def words_of_body(body: bytes) -> str:
    """Of a JSON error its message, else the text itself; of a web page, that it is one."""
    try:
        return words_of_json(orjson.loads(body))
    except orjson.JSONDecodeError:
        return "a web page" if is_web_page(body) else clipped(body[: 4 * MAX_SHOWN].decode(errors="replace"))


def words_of_json(body: Any) -> str:
    """The message in an error body of vLLM (`error.message`, or `error` alone), FastAPI (`detail`) or another shape."""
    found = body
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return clipped(found if isinstance(found, str) else orjson.dumps(found).decode())


def clipped(text: str) -> str:
    """On one line of at most `MAX_SHOWN` characters; long runs (an image's base64 sent back) are cut out."""
    line = _LONG_RUN.sub("[...]", " ".join(text.split()))
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."


def retry_after_s(asked: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header in either of its forms; None when it is absent or unreadable."""
    if not asked:
        return None
    try:
        seconds = float(asked) if re.fullmatch(r"\d+(\.\d+)?", asked.strip()) else _seconds_until(asked)
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _seconds_until(http_date: str) -> float:
    moment = parsedate_to_datetime(http_date)
    return (moment - dt.datetime.now(moment.tzinfo)).total_seconds()
