"""Pages of other origins, which browsers let call the service where CORS_ALLOW_ORIGINS names them."""

from __future__ import annotations

import pytest

ORIGIN = {"Origin": "https://app.example.org"}


def preflight(client, header):
    """The answer to a page that asks whether it may send `header`."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": header}
    return client.options("/v1/jobs/j/events", headers={**ORIGIN, **asked})


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "idempotency-key", "if-match", "last-event-id"])
def test_a_page_may_send_every_header_that_the_api_reads(lone, header):
    answer = preflight(lone.client(), header)
    assert answer.status_code == 200
    assert header in answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert answer.headers["X-Request-ID"]


def test_other_headers_are_not_allowed(lone):
    assert preflight(lone.client(), "x-forwarded-for").status_code == 400


def test_pages_of_the_origins_named_may_read_what_they_need(lone):
    client = lone.client()
    for answer in (client.get("/v1/me", headers=ORIGIN), client.get("/nowhere", headers=ORIGIN)):
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    other = client.get("/v1/me", headers={"Origin": "https://evil.example.org"})
    assert "Access-Control-Allow-Origin" not in other.headers
