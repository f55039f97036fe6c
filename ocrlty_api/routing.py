"""Routes that take JSON: read only once the key is known, and strictly.

Belongs here: from a body's bytes to a JSON value that everything behind can hold. Does not: which fields it has (the
schemas), or how large it may be (`incoming.body_limits`).

FastAPI's own reading accepts NaN, answers undecodable bodies in other words, and keeps the bytes for as long as the
request lasts.
"""

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

import orjson
from fastapi import Request, Response

from ocrlty_api.auth.dependencies import KeyFirst, identify
from ocrlty_api.errors import BadRequestError, UnsupportedMediaTypeError

MAX_DEPTH = 64
SHOWN_CHARACTERS = 80


class JsonRoute(KeyFirst):
    """A route whose body, if it takes one, is JSON: `APIRouter(route_class=JsonRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            await identify(request)
            return await handle(await _read(request) if takes_body else request)

        return strict


class _ParsedRequest(Request):
    """A request whose body is parsed already; its bytes are let go."""

    def __init__(self, request: Request, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._body = b"parsed"
        self._json = value


async def _read(request: Request) -> Request:
    """
    Raises:
        UnsupportedMediaTypeError: the body is declared to be something else.
        BadRequestError: not JSON, or JSON that no artifact and no run could hold.
    """
    body = await request.body()
    if not body:
        return request
    _check_type(request.headers.get("content-type"))
    value = parse_json(body)
    return _ParsedRequest(request, value)


def parse_json(body: bytes) -> Any:
    """A JSON value (RFC 8259): UTF-8, finite numbers, no NUL, nested at most MAX_DEPTH levels.

    Raises:
        BadRequestError: says what is wrong, and where.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    _check_values(value)
    return value


def _check_type(content_type: str | None) -> None:
    message = Message()
    message["content-type"] = content_type or ""
    kind = message.get_content_type() if content_type else ""
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        shown = repr(content_type[:SHOWN_CHARACTERS]) if content_type else "missing"
        raise UnsupportedMediaTypeError(f"Content-Type is {shown}; send JSON as application/json.")


def _check_values(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        if any(isinstance(entry, str) and "\0" in entry for entry in level):
            raise BadRequestError("The body holds a NUL character (\\u0000) in a text; leave it out.")
        level = [inner for entry in level for inner in _inner(entry)]
        if not level:
            return
    raise BadRequestError(f"The body is nested more than {MAX_DEPTH} levels deep.")


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
