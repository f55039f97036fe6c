"""Bounds on every request's body, in bytes and in time, before any handler reads it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

UPLOAD_PATHS = frozenset({"/v1/batch_extract_upload", "/v1/batch_extract_upload_async"})


class BodyLimits:
    """Pure ASGI middleware; stands just within the request context, which gives requests their id.

    Args:
        max_bytes: for every request but uploads.
        max_upload_bytes: for requests to `upload_paths`.
        timeout_s: how long the next piece of a body may take.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_upload_bytes: int,
        timeout_s: float,
        upload_paths: frozenset[str] = UPLOAD_PATHS,
    ) -> None:
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError
