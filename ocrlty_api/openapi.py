"""The OpenAPI document: what FastAPI derives from the handlers, and what all answers have in common.

Belongs here: documenting errors by their classes, the request id, examples' places. Does not: examples (the schemas),
or the page that shows the document (`docs_page`).
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ocrlty_api.error_responses import code_of, status_of
from ocrlty_api.errors import (
    BadRequestError,
    ForbiddenError,
    InternalError,
    PayloadTooLargeError,
    RateLimitedError,
    RequestTimeoutError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from ocrlty_api.openapi_links import add_links
from ocrlty_api.request_context import HEADER
from ocrlty_api.schemas.common import ErrorEnvelope
from ocrlty_pipeline.errors import BusyError, OcrltyError, StorageUnavailableError

Responses = dict[int | str, dict[str, Any]]

ANY: tuple[type[OcrltyError], ...] = (BadRequestError, InternalError)
KEYED = (*ANY, UnauthorizedError, ForbiddenError, RateLimitedError, StorageUnavailableError)
JSON_BODY = (UnsupportedMediaTypeError, PayloadTooLargeError, RequestTimeoutError, ValidationFailedError, BusyError)

DESCRIPTION = """\
Receipts and invoices to JSON that follows a JSON Schema.

Send the key as `Authorization: Bearer <key>` or `X-API-Key: <key>`. Every answer has an `X-Request-ID`: yours, if you
sent one of letters, digits, `_`, `.` and `-`. A failed inference is status 200 with `error` set; 4xx and 5xx have the
body `{"error": {"code", "message", "request_id", "details"}}`, whose `code` is stable. What was answered with 429 or
503 may be sent again after `Retry-After` seconds, under the same `request_id` or `run_id`.
"""
REQUEST_ID_HEADER = {"schema": {"type": "string"}, "description": "Names this request in the service's log."}


def documented(*kinds: type[OcrltyError]) -> Responses:
    """The `responses` of a route that may refuse with errors of these classes: one entry a status, with its codes."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for kind in dict.fromkeys(kinds):
        by_status[status_of(kind)].append(f"`{code_of(kind)}`: {_meaning(kind)}")
    return {
        status: {"model": ErrorEnvelope, "description": "; ".join(lines)} for status, lines in sorted(by_status.items())
    }


def install_openapi(app: FastAPI) -> None:
    """Have the application give our document, built once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    for operation in _operations(document):
        operation.setdefault("parameters", []).append(
            {"name": HEADER, "in": "header", "required": False, **REQUEST_ID_HEADER}
        )
        for status, response in operation["responses"].items():
            response.setdefault("headers", {})[HEADER] = REQUEST_ID_HEADER
            _correct(status, response)
            _show_each_kind(document, response)
    add_links(document)
    for unused in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(unused, None)
    return document


def _correct(status: str, response: dict[str, Any]) -> None:
    """What the framework documents otherwise than it is answered: validation, and errors of routes of other types."""
    schemas = [content.get("schema", {}).get("$ref", "") for content in response.get("content", {}).values()]
    names = {schema.rpartition("/")[2] for schema in schemas}
    if "HTTPValidationError" in names:
        response["description"] = documented(ValidationFailedError)[int(status)]["description"]
    if names & {"HTTPValidationError", ErrorEnvelope.__name__}:
        schema = {"$ref": f"#/components/schemas/{ErrorEnvelope.__name__}"}
        response["content"] = {"application/json": {"schema": schema}}


def _show_each_kind(document: dict[str, Any], response: dict[str, Any]) -> None:
    """An answer that is of one kind or another has an example of each."""
    for content in response.get("content", {}).values():
        kinds = [kind["$ref"].rpartition("/")[2] for kind in content.get("schema", {}).get("anyOf", ())]
        if kinds:
            schemas = document["components"]["schemas"]
            content["examples"] = {kind: {"value": schemas[kind]["examples"][0]} for kind in kinds}


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _meaning(kind: type[OcrltyError]) -> str:
    """The first line of its docstring where it has a sentence of its own, else its code in words."""
    first = inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition("\n")[0]
    return first.rstrip(".") if first and not first.endswith(":") else kind.code.replace("_", " ")
