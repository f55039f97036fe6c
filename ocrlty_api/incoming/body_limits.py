"""Bounds on every request's body, in bytes and in time, before any handler reads it.

Belongs here: when a body is too large or comes too slowly, and how its connection ends. Does not: what is in it, or how
an error is written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocrlty_api.errors import PayloadTooLargeError, RequestTimeoutError
from ocrlty_pipeline.errors import BusyError, OcrltyError
from ocrlty_pipeline.settings import Settings

UPLOAD_PATHS = frozenset({"/v1/batch_extract_upload", "/v1/batch_extract_upload_async"})
# Beyond the pause that is allowed, a client must keep up this rate: one byte in every pause is an attack.
MIN_BYTES_PER_S = 500
# What is left unread of a body up to here, the server throws away itself, and the connection serves on.
SPARED_BYTES = 64 * 1024
# A connection closed while the client sends is reset, and the answer lost with it: so, as nginx does
# (lingering_close), what still comes is thrown away for a while.
LINGER_S = 5.0
LINGER_PAUSE_S = 1.0
LINGER_BYTES = 64 * 1024 * 1024

# Bodies are held whole, some of them twice for a while: of the largest ones, so many at the same time.
HELD_AT_ONCE = 16

Respond = Callable[[Scope, OcrltyError], Response]


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """Bounds on a body.

    Attributes:
        max_bytes: for every request but uploads.
        max_upload_bytes: for requests to `upload_paths`.
        timeout_s: how long the next piece of a body may take.
    """

    max_bytes: int
    max_upload_bytes: int
    timeout_s: float
    upload_paths: frozenset[str] = UPLOAD_PATHS

    @classmethod
    def of(cls, settings: Settings) -> BodyBounds:
        return cls(settings.request_bytes, settings.max_batch_bytes, settings.api_body_timeout_s)

    def limit(self, path: str) -> tuple[int, str]:
        """The most bytes of a request to `path`, and the setting that says so."""
        if self.is_held(path):
            return self.max_bytes, "MAX_REQUEST_BYTES"
        return self.max_upload_bytes, "MAX_BATCH_BYTES"

    def is_held(self, path: str) -> bool:
        """Whether a body sent to `path` is held whole: an upload goes to storage as it comes."""
        return path.rstrip("/") not in self.upload_paths


class BodyLimits:
    """Pure ASGI middleware; stands just within the request context, which gives requests their id.

    Args:
        respond: writes an error as an answer.
    """

    def __init__(self, app: ASGIApp, *, respond: Respond, bounds: BodyBounds) -> None:
        self._app = app
        self._respond = respond
        self._bounds = bounds
        self._room = _Room(HELD_AT_ONCE * bounds.max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._bounds, self._room)
        answer = _Answer(body, send)
        try:
            body.check_announced()
            await self._app(scope, body.receive, answer.send)
        except Exception:
            # What the application made of a refused body matters no more, unless it has answered before.
            if body.refusal is None or answer.started:
                raise
        finally:
            body.let_go()
        if body.refusal is not None and not answer.started:
            await self._respond(scope, body.refusal)(scope, receive, answer.send_refusal)
        await answer.finish()


class _Room:
    """What is left of the bytes that all bodies together may have."""

    def __init__(self, size: int) -> None:
        self.left = size


class _Body:
    """A request's body as it is received, until a bound is crossed."""

    def __init__(self, scope: Scope, receive: Receive, bounds: BodyBounds, room: _Room) -> None:
        headers = Headers(scope=scope)
        self.refusal: OcrltyError | None = None
        self.complete = False
        self.answered = False
        self._receive = receive
        self._max_bytes, self._limit_name = bounds.limit(scope["path"])
        self._timeout_s = bounds.timeout_s
        self._room = room if bounds.is_held(scope["path"]) else None
        self._held = 0
        self._announced = int(headers["content-length"]) if "content-length" in headers else None
        # Such a client sends its body only once the server reads.
        self._held_back = headers.get("expect", "").lower() == "100-continue"
        self._size = 0
        self._waited_s = 0.0

    def check_announced(self) -> None:
        """Refuse by the length announced, before a byte is read."""
        if self._announced is not None and self._announced > self._max_bytes:
            self._refuse_size(self._announced)

    async def receive(self) -> Message:
        if self.refusal is not None:
            raise self.refusal
        if self.complete or self.answered:
            # Whoever still asks waits for the client to go away.
            return await self._receive()
        message = await self._received_in_time()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._size += size
            self.complete = not message.get("more_body", False)
            if self._size > self._max_bytes:
                self._refuse_size(self._size)
            self._hold(size)
        return message

    def let_go(self) -> None:
        """Nobody holds the body any more."""
        if self._room is not None:
            self._room.left += self._held
            self._held = 0

    @property
    def unread(self) -> bool:
        """Whether more of the body is still to come than the server throws away by itself."""
        left = None if self._announced is None else self._announced - self._size
        return not self.complete and (left is None or left > SPARED_BYTES)

    async def discard(self) -> None:
        """Throw away what still comes, for a while."""
        if self._held_back:
            return
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_S):
                while left > 0:
                    async with asyncio.timeout(LINGER_PAUSE_S):
                        message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    async def _received_in_time(self) -> Message:
        """The next message. Only waiting counts: what the server does in between is not the client's fault."""
        started = time.monotonic()
        earned_s = self._size / MIN_BYTES_PER_S - self._waited_s
        self._held_back = False
        try:
            async with asyncio.timeout(self._timeout_s + min(0.0, earned_s)):
                return await self._receive()
        except TimeoutError:
            self.refusal = RequestTimeoutError(
                f"The body came too slowly: after {self._size} bytes nothing more came within "
                f"API_BODY_TIMEOUT_S={self._timeout_s:g} s, or less than {MIN_BYTES_PER_S} bytes a second did."
            )
            raise self.refusal from None
        finally:
            self._waited_s += time.monotonic() - started

    def _hold(self, size: int) -> None:
        """Counted as it comes, not as it is announced: who sends nothing takes no room from others."""
        if self._room is None:
            return
        if size > self._room.left:
            self.refusal = BusyError("The service holds as many bytes of requests as it may; try again shortly.")
            raise self.refusal
        self._room.left -= size
        self._held += size

    def _refuse_size(self, size: int) -> None:
        self.refusal = PayloadTooLargeError(
            f"The body has {size} bytes or more, which exceeds {self._limit_name}={self._max_bytes}; send less at once."
        )
        raise self.refusal


class _Answer:
    """The answer to a request with a body; ends the connection where the body was not read."""

    def __init__(self, body: _Body, send: Send) -> None:
        self.started = False
        self._body = body
        self._send = send
        self._closing = False
        self._held_end = False

    async def send(self, message: Message) -> None:
        """The application's answer; dropped when the body was refused before it began."""
        if self.started or self._body.refusal is None:
            await self.send_refusal(message)

    async def send_refusal(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = self._body.answered = True
            self._closing = self._body.unread
            if self._closing:
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        elif self._closing and not message.get("more_body", False):
            # The server closes the connection at the last message, so the client gets all but that at once.
            self._held_end = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Let the connection end."""
        if self._held_end:
            await self._body.discard()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
