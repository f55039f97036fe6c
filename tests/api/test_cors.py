"""Pages of other origins, where CORS_ALLOW_ORIGINS names them: which headers they may send."""

from __future__ import annotations

import asyncio

import pytest

from ocrlty_api.app import create_app
from ocrlty_pipeline.settings import Settings

ORIGIN = "https://app.example.org"


def preflight(header):
    """Status and allowed headers of the answer to a page that asks whether it may send `header`."""
    app = create_app(Settings(_env_file=None, auth_enabled=False, cors_allow_origins=ORIGIN))
    asked = {"origin": ORIGIN, "access-control-request-method": "GET", "access-control-request-headers": header}
    headers = [(name.encode(), value.encode()) for name, value in asked.items()]
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "OPTIONS", "path": "/v1/jobs/j/events", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    allowed = dict(sent[0]["headers"]).get(b"access-control-allow-headers", b"").decode()
    return sent[0]["status"], allowed.lower().split(", ")


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "idempotency-key", "if-match", "last-event-id"])
def test_a_page_may_send_every_header_that_the_api_reads(header):
    status, allowed = preflight(header)
    assert status == 200
    assert header in allowed


def test_other_headers_are_not_allowed():
    assert preflight("x-forwarded-for")[0] == 400
