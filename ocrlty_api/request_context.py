"""The outermost layer: every request's id, its line in the access log, its metrics, and its answer when all else fails.

Pure ASGI, around everything else of ours, so that no answer goes without. Never logs headers, queries or bodies.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocrlty_api.error_responses import INTERNAL, respond
from ocrlty_api.errors import BadRequestError, InternalError
from ocrlty_api.logs import FIELDS, REQUEST_ID
from ocrlty_api.metrics import UNMATCHED, Metrics
from ocrlty_pipeline.errors import OcrltyError

HEADER = "X-Request-ID"
# What may stand in a header, a log line and a run tag without being looked at twice.
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
# As nginx logs it: the client went away before it had an answer.
CLIENT_GONE = 499

_log = logging.getLogger(__name__)
_access = logging.getLogger("ocrlty_api.access")


class ClientGoneError(Exception):
    """Nobody is left to answer: raised by what waited for a result, and ends the request without one."""


class RequestContext:
    """Middleware. `scope["state"]["request_id"]` is the id; `key_id`, once the key is known, goes to the log."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _failing_in_words(send))
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        token = REQUEST_ID.set(request_id)
        started = time.perf_counter()
        try:
            await self._answered(scope, receive, answer)
        finally:
            self._note(scope, answer.status, time.perf_counter() - started)
            REQUEST_ID.reset(token)

    async def _answered(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            _refuse_nul(scope)
            await self._app(scope, receive, answer.send)
        except (ClientGoneError, ClientDisconnect):
            return
        except Exception as error:
            if not isinstance(error, OcrltyError):
                _log.exception("An unexpected error")
            if answer.started:
                raise  # the server cuts the answer short, and the client sees that it is
            refusal = error if isinstance(error, OcrltyError) else InternalError(INTERNAL)
            await respond(scope, refusal)(scope, receive, answer.send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        self._metrics.observe_request(scope["method"], route, status, seconds)
        fields = {
            "method": scope["method"],
            "route": route or UNMATCHED,
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
            "key_id": scope["state"].get("key_id"),
        }
        _access.info("request", extra={FIELDS: fields})


class _Answer:
    """The answer on its way out; adds the id."""

    def __init__(self, send: Send, request_id: str) -> None:
        self.started = False
        self.status = CLIENT_GONE
        self._send = send
        self._request_id = request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[HEADER] = self._request_id
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get(HEADER, "")
    return given if SAFE_ID.match(given) else uuid.uuid4().hex


def _refuse_nul(scope: Scope) -> None:
    """No path, id or value of ours holds a NUL, which a database and a file system both choke on."""
    if "\0" in scope["path"] or b"\0" in unquote_to_bytes(scope.get("query_string", b"")):
        raise BadRequestError("The address holds a NUL character (%00); leave it out.")


def _failing_in_words(send: Send) -> Send:
    """A start that failed on purpose is told in its own sentence, without the traceback of where it was noticed."""

    async def told(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            *_, last = message.get("message", "").strip().splitlines() or [""]
            kind, _, words = last.partition(": ")
            if kind.startswith("ocrlty_pipeline.errors.") and words:
                message = {**message, "message": words}
        await send(message)

    return told
