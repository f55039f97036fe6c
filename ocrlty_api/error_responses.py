"""Every error as an answer: the one table from errors to statuses, and the one envelope.

Belongs here: `{"error": {code, message, request_id, details}}` and its headers. Does not: what an error means
(`errors`), or which errors a route documents (`openapi`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from ocrlty_api.errors import (
    ApiError,
    BadRequestError,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    ValidationFailedError,
)
from ocrlty_pipeline.errors import (
    ArtifactConflictError,
    ArtifactNotFoundError,
    BusyError,
    GroundTruthError,
    ImageError,
    ImageSetError,
    InputError,
    OcrltyError,
    OutboundError,
    StorageUnavailableError,
    TaskError,
    WorkerDiedError,
)

RETRY_AFTER_S = 1
SHOWN_CHARACTERS = 200
MAX_SHOWN_ERRORS = 50
INTERNAL = "Something went wrong here, not with the request: its request_id finds the cause in the service's log."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error of the domain means in HTTP.

    Attributes:
        public: the message for clients where the error's own names hosts or paths of the service.
        retryable: the same request may come again shortly.
    """

    status: int
    public: str | None = None
    retryable: bool = False


# A subclass stands before its base.
MEANINGS: Mapping[type[OcrltyError], Meaning] = {
    TaskError: Meaning(422),
    ImageError: Meaning(422),
    ImageSetError: Meaning(422),
    GroundTruthError: Meaning(422),
    InputError: Meaning(400),
    OutboundError: Meaning(422),
    ArtifactNotFoundError: Meaning(404, "There is no such artifact."),
    ArtifactConflictError: Meaning(409),
    StorageUnavailableError: Meaning(503, "Storage cannot be reached: send the request again later.", retryable=True),
    BusyError: Meaning(503, retryable=True),
    WorkerDiedError: Meaning(503, retryable=True),
    OcrltyError: Meaning(500, INTERNAL),
}


def meaning_of(kind: type[OcrltyError]) -> Meaning:
    if issubclass(kind, ApiError):
        return Meaning(kind.status)
    return next(meaning for base, meaning in MEANINGS.items() if issubclass(kind, base))


def status_of(kind: type[OcrltyError]) -> int:
    """The HTTP status of an error's class, whichever tree it is of."""
    return meaning_of(kind).status


def code_of(kind: type[OcrltyError]) -> str:
    """The stable code that clients see: one's own, unless it is a fault of ours."""
    return InternalError.code if status_of(kind) == InternalError.status else kind.code


def respond(scope: Scope, error: OcrltyError) -> Response:
    """An error as an answer to the request of `scope`."""
    meaning = meaning_of(type(error))
    if meaning.public is not None:
        _log.log(logging.ERROR if meaning.status >= 500 else logging.INFO, "%s: %s", error.code, error.message)
    headers = dict(error.headers) if isinstance(error, ApiError) else {}
    if meaning.retryable:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    details = error.detail if meaning.public is None else None
    body = {
        "code": code_of(type(error)),
        "message": meaning.public or error.message,
        "request_id": scope.get("state", {}).get("request_id"),
        "details": details,
    }
    return Response(
        orjson.dumps({"error": body}, default=_shown), meaning.status, headers, media_type="application/json"
    )


def install_error_handlers(app: FastAPI) -> None:
    """Have the application answer every error in the envelope; what is none of ours is the request context's."""
    app.add_exception_handler(OcrltyError, _on_ours)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)


def validation_failed(errors: Sequence[Any], where: str = "The request") -> ValidationFailedError:
    """A failed validation by pydantic; long input is cut and not sent back."""
    listed = [_field(error) for error in errors[:MAX_SHOWN_ERRORS]]
    first = listed[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return ValidationFailedError(f"{where} is not valid: {place}: {first['msg']}{more}.", listed)


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, OcrltyError)  # noqa: S101 -- registered for it
    return respond(request.scope, error)


async def _on_http(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: unknown routes, other methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for it
    return respond(request.scope, _ours(request, error))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for it
    return respond(request.scope, validation_failed(error.errors()))


def _ours(request: Request, error: HTTPException) -> ApiError:
    path = request.url.path[:SHOWN_CHARACTERS]
    if error.status_code == NotFoundError.status:
        return NotFoundError(f"There is nothing at {path}: /docs lists what there is.")
    if error.status_code == MethodNotAllowedError.status:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowedError(f"{path} does not take {request.method}; it takes {allowed}.", allowed=allowed)
    if error.status_code < 500:
        return BadRequestError(str(error.detail))
    return InternalError(INTERNAL)


def _field(error: Mapping[str, Any]) -> dict[str, Any]:
    loc = [part if isinstance(part, int) else _cut(str(part)) for part in error["loc"]]
    return {"type": error["type"], "loc": loc, "msg": _cut(str(error["msg"])), "input": _shown(error.get("input"))}


def _shown(value: object, depth: int = 0) -> object:
    """A client's value for the answer: cut where it is long, so that no request's body comes back whole."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else _cut(str(value) if abs(value) < 2**256 else "a very large number")
    if isinstance(value, Mapping) and depth < 2:
        return {_cut(str(name)): _shown(entry, depth + 1) for name, entry in list(value.items())[:20]}
    if isinstance(value, list | tuple) and depth < 2:
        return [_shown(entry, depth + 1) for entry in value[:20]]
    if isinstance(value, str):
        return _cut(value)
    return f"({type(value).__name__})"


def _cut(text: str) -> str:
    clean = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= SHOWN_CHARACTERS else f"{clean[:SHOWN_CHARACTERS]}... ({len(text)} characters)"
