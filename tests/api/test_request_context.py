"""Every answer has its request id, its log line and its metrics; what fails fails in the envelope."""

import asyncio
import contextlib
import http.client
import logging
import socket
import threading

import httpx2
import orjson
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from ocrlty_api.error_responses import install_error_handlers
from ocrlty_api.logs import JsonFormatter, TextFormatter
from ocrlty_api.metrics import Metrics
from ocrlty_api.request_context import RequestContext
from ocrlty_api.shutdown import Shutdown
from ocrlty_pipeline.errors import (
    ArtifactConflictError,
    ArtifactNotFoundError,
    BusyError,
    InputError,
    OcrltyError,
    StorageUnavailableError,
    TaskError,
    WorkerDiedError,
)
from tests.support.requests import error_of, extract_body, succeeded
from tests.support.service import free_port
from tests.support.waiting import wait_until

CONFIDENTIAL = "words-that-nobody-may-see"


# --- over the running service


def test_a_request_id_is_taken_over_or_made(nobody):
    assert nobody.get("/v1/health", headers={"X-Request-ID": "mine-1.a_B"}).headers["X-Request-ID"] == "mine-1.a_B"
    made = {nobody.get("/v1/health").headers["X-Request-ID"] for _ in range(2)}
    assert len(made) == 2


@pytest.mark.parametrize("bad", ["", "a b", "../x", "a" * 129, "<script>", "a;b", "a,b", '{"a":1}', "ä".encode()])
def test_an_unsafe_request_id_is_replaced(nobody, bad):
    given = nobody.get("/v1/health", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
    assert given.isalnum()
    assert given != bad


def test_a_server_refuses_a_header_with_a_bare_carriage_return(service):
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(
            b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\rInjected: 1\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Injected" not in answer


def test_unknown_routes_and_other_methods_answer_in_the_envelope(alice, nobody):
    for client in (alice, nobody):
        error_of(client.get("/nowhere"), 404, "not_found")
        error_of(client.get("/v1/nowhere"), 404, "not_found")
        error_of(client.get("/v1/me/"), 404, "not_found")
        error_of(client.get("/docs/assets/nothing.js"), 404, "not_found")
    refused = alice.get("/v1/extract")
    assert "POST" in error_of(refused, 405, "method_not_allowed")["message"]
    assert refused.headers["Allow"] == "POST"
    error_of(alice.patch("/v1/extract"), 405)
    assert alice.head("/v1/extract").status_code == 405


def test_one_line_is_logged_for_each_request_without_anything_secret(alice, service, model, new_id):
    request_id, body = new_id(), extract_body()
    headers = {"X-Request-ID": request_id, "Cookie": CONFIDENTIAL, "User-Agent": CONFIDENTIAL}
    succeeded(alice.post(f"/v1/extract?token={CONFIDENTIAL}", json=body, headers=headers))
    (line,) = [line for line in service.api_log().splitlines() if request_id in line]
    entry = orjson.loads(line)
    assert {name: entry[name] for name in ("method", "route", "status", "key_id", "request_id")} == {
        "method": "POST",
        "route": "/v1/extract",
        "status": 200,
        "key_id": "alice",
        "request_id": request_id,
    }
    assert entry["duration_ms"] > 0
    log = service.api_log()
    assert CONFIDENTIAL not in log
    assert body["image_base64"] not in log
    assert not any(key in log for key in service.keys.values())


def test_every_line_of_the_log_is_json(service, alice):
    alice.get("/v1/me")
    assert all(entry["message"] for entry in service.api_log_entries())


def test_the_metrics_count_by_route_and_status_and_need_no_key(nobody, alice, model):
    alice.post("/v1/extract", json=extract_body())
    alice.get("/v1/me")
    nobody.get("/v1/me")
    nobody.get("/never/heard/of")
    text = nobody.get("/metrics").text
    for labels in (
        'method="GET",route="/v1/me",status="200"',
        'method="GET",route="/v1/me",status="401"',
        'method="GET",route="(unmatched)",status="404"',
        'method="POST",route="/v1/extract",status="200"',
    ):
        assert f"ocrlty_http_request_duration_seconds_count{{{labels}}}" in text
    assert "/never" not in text
    for name in (
        "ocrlty_inference_duration_seconds_count",
        "ocrlty_tokens_total",
        "ocrlty_inference_retries_total",
        "ocrlty_extracts_total",
        "ocrlty_online_in_flight",
        "ocrlty_online_waiting",
        "ocrlty_database_connections_used",
        'ocrlty_runs{status="QUEUED"}',
        'ocrlty_runs{status="SUCCESS"}',
    ):
        assert name in text


# --- over an application whose handlers fail as told

ERRORS = {
    "input": (InputError("no"), 400),
    "task": (TaskError("no"), 422),
    "conflict": (ArtifactConflictError("no"), 409),
    "missing": (ArtifactNotFoundError(f"/home/{CONFIDENTIAL} is gone"), 404),
    "storage": (StorageUnavailableError(f"me:{CONFIDENTIAL}@db is away"), 503),
    "busy": (BusyError("later"), 503),
    "died": (WorkerDiedError("again"), 503),
    "fault": (OcrltyError(CONFIDENTIAL), 500),
    "unexpected": (ZeroDivisionError(CONFIDENTIAL), 500),
    "group": (ExceptionGroup("x", [ValueError(CONFIDENTIAL)]), 500),
}


@pytest.fixture
def app():
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/fail/{how}")
    async def fail(how: str):
        raise ERRORS[how][0]

    @app.get("/late")
    async def late():
        async def chunks():
            yield b"begun"
            raise ValueError(CONFIDENTIAL)

        return StreamingResponse(chunks())

    app.add_middleware(RequestContext, metrics=Metrics(), shutdown=Shutdown(30))
    return app


def ask(app, *paths, headers=None):
    async def go():
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path, headers=headers) for path in paths]

    return asyncio.run(go())


@pytest.mark.parametrize("how", ERRORS)
def test_every_error_is_answered_with_its_status_and_without_secrets(app, how):
    (response,) = ask(app, f"/fail/{how}")
    error_of(response, ERRORS[how][1])
    assert CONFIDENTIAL not in response.text
    assert ("Retry-After" in response.headers) == (response.status_code == 503)


def test_an_unexpected_error_stands_in_the_log_with_the_requests_id(app, caplog):
    caplog.handler.setFormatter(JsonFormatter())
    (response,) = ask(app, "/fail/unexpected")
    (line,) = [line for line in caplog.text.splitlines() if "ZeroDivisionError" in line]
    assert orjson.loads(line)["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_no_header_is_injected_by_a_request_id_that_a_server_let_through(app, end):
    for given in (b"a" + end + b"Injected: 1", b"a" + end):
        (response,) = ask(app, "/nowhere", headers={b"X-Request-ID": given})
        assert response.headers["X-Request-ID"].isalnum()
        assert "Injected" not in response.headers


def test_an_answer_that_breaks_off_is_not_made_to_look_whole(app):
    with pytest.raises(ValueError, match=CONFIDENTIAL):
        ask(app, "/late")


def test_a_line_of_text_names_the_request_and_cannot_be_forged():
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "request %s", ("a\nINFO forged",), None)
    record.fields = {"status": 200}
    assert TextFormatter().format(record).splitlines() == [TextFormatter().format(record)]
    assert "status=200" in TextFormatter().format(record)
    assert "\n" not in JsonFormatter().format(record)


# --- connections


def test_a_refusal_leaves_the_connection_open_for_the_next_request(service):
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=60)
    sockets = set()
    key = {"Authorization": f"Bearer {service.keys['alice']}"}
    for body, headers in ((b"{", {}), (b"{", key), (b'{"x": 1}', key)):
        connection.request("POST", "/v1/extract", body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        assert response.status in {400, 401, 422}
        assert response.getheader("X-Request-ID")
        response.read()
        sockets.add(connection.sock.getsockname())
    connection.close()
    assert len(sockets) == 1


def test_an_unexpected_error_leaves_the_connection_open_for_the_next_request(app):
    with serving(app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        sockets = set()
        for path in ("/fail/unexpected", "/fail/group", "/nowhere"):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status in {500, 404}
            assert response.getheader("X-Request-ID")
            assert orjson.loads(response.read())["error"]["request_id"] == response.getheader("X-Request-ID")
            sockets.add(connection.sock.getsockname())
        connection.close()
    assert len(sockets) == 1


@contextlib.contextmanager
def serving(app):
    """The application behind a real server, in a thread."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield port
    finally:
        server.should_exit = True
        thread.join(30)
