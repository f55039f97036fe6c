"""Raw sockets against a real server: what a client sees, and what the server does not read."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from ocrlty_api.incoming import body_limits
from ocrlty_api.incoming.body_limits import BodyBounds, BodyLimits

MAX = 200_000


def respond(scope, error):
    return JSONResponse({"error": {"code": error.code, "message": error.message}}, error.status)


class Service:
    """An application behind the limits; counts what it receives of bodies."""

    def __init__(self):
        self.received = 0

    async def read(self, request):
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            self.received += len(chunk)
        return PlainTextResponse(f"read {size}")

    async def ignore(self, _request):
        return PlainTextResponse("not read", 401)


@asynccontextmanager
async def serving(service=None, timeout_s=30.0, app=None):
    service = service or Service()
    paths = {"/read": service.read, "/up": service.read, "/ignore": service.ignore}
    app = app or Starlette(routes=[Route(path, call, methods=["POST", "GET"]) for path, call in paths.items()])
    limited = BodyLimits(app, respond=respond, bounds=BodyBounds(MAX, 3 * MAX, timeout_s, frozenset({"/up"})))
    server = uvicorn.Server(uvicorn.Config(limited, port=0, log_level="critical", ws="none", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


class Client:
    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exc_info):
        self.writer.close()

    async def send(self, *pieces):
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def post(self, path, body=b"", *headers, length=None):
        lines = [f"POST {path} HTTP/1.1", "Host: x", *headers]
        if length is not False:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        await self.send("\r\n".join([*lines, "\r\n"]).encode() + body)

    async def answer(self):
        """Status, header fields in lower case, body."""
        async with asyncio.timeout(30):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body

    async def closed(self):
        async with asyncio.timeout(30):
            return await self.reader.read() == b""


async def refused(client, status, code):
    got, headers, body = await client.answer()
    assert (got, json.loads(body)["error"]["code"], headers["connection"]) == (status, code, "close")
    return json.loads(body)["error"]["message"]


def scenario(test):
    def run():
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


@scenario
async def test_a_body_within_the_limit_passes_and_the_connection_serves_on():
    async with serving() as port, Client(port) as client:
        for size in (0, 1, MAX):
            await client.post("/read", bytes(size))
            status, headers, body = await client.answer()
            assert (status, body) == (200, b"read %d" % size)
            assert "connection" not in headers


@scenario
async def test_a_length_announced_beyond_the_limit_is_refused_before_a_byte_is_read():
    service = Service()
    async with serving(service) as port, Client(port) as client:
        await client.post("/read", b"", length=MAX + 1)
        assert f"MAX_REQUEST_BYTES={MAX}" in await refused(client, 413, "payload_too_large")
        await client.send(bytes(MAX + 1))
        assert await client.closed()
        assert service.received == 0


@scenario
async def test_chunks_are_counted_where_no_length_is_announced():
    service = Service()
    async with serving(service) as port, Client(port) as client:
        await client.post("/read", b"", "Transfer-Encoding: chunked", length=False)
        await client.send(*[b"10000\r\n" + bytes(0x10000) + b"\r\n"] * 4)
        await refused(client, 413, "payload_too_large")
        assert service.received <= MAX
        await client.send(b"0\r\n\r\n")
        assert await client.closed()


@scenario
async def test_uploads_have_a_limit_of_their_own():
    async with serving() as port, Client(port) as client:
        await client.post("/up", bytes(3 * MAX))
        assert (await client.answer())[0] == 200
        await client.post("/up", b"", length=3 * MAX + 1)
        assert "MAX_BATCH_BYTES" in await refused(client, 413, "payload_too_large")


@scenario
async def test_a_client_that_waits_to_be_told_to_go_on_is_refused_instead():
    async with serving() as port, Client(port) as client:
        await client.post("/read", b"", "Expect: 100-continue", length=MAX + 1)
        await refused(client, 413, "payload_too_large")
        assert await client.closed()


@scenario
async def test_a_client_still_sending_gets_its_refusal_whole():
    async with serving() as port, Client(port) as client:
        size = 20_000_000
        await client.post("/read", b"", length=size)
        await client.send(*[bytes(100_000)] * (size // 100_000))
        await refused(client, 413, "payload_too_large")
        assert await client.closed()


async def send_for_ever(client):
    async with asyncio.timeout(30):
        while True:
            await client.send(bytes(100_000))


def test_what_is_thrown_away_after_a_refusal_is_bounded_too(monkeypatch):
    monkeypatch.setattr(body_limits, "LINGER_BYTES", 100_000)

    async def scenario():
        async with serving() as port, Client(port) as client:
            await client.post("/read", b"", length=10**12)
            await refused(client, 413, "payload_too_large")
            with pytest.raises(ConnectionError):
                await send_for_ever(client)

    asyncio.run(scenario())


@scenario
async def test_an_answer_given_without_reading_a_large_body_ends_the_connection_and_of_a_small_one_does_not():
    async with serving() as port, Client(port) as client:
        await client.post("/ignore", bytes(1000))
        status, headers, _ = await client.answer()
        assert (status, headers.get("connection")) == (401, None)
        await client.post("/ignore", b"", length=MAX)
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (401, "close", b"not read")
        await client.send(bytes(MAX))
        assert await client.closed()


@scenario
async def test_a_body_that_stops_coming_is_given_up_and_the_connection_closed():
    service = Service()
    async with serving(service, timeout_s=0.2) as port, Client(port) as client:
        await client.post("/read", bytes(1000), length=100_000)
        message = await refused(client, 408, "request_timeout")
        assert "after 1000 bytes" in message
        assert await client.closed()


@scenario
async def test_one_byte_now_and_then_does_not_keep_a_request_alive():
    async with serving(timeout_s=0.5) as port, Client(port) as client:
        await client.post("/read", b"", length=100_000)
        answer = asyncio.create_task(refused(client, 408, "request_timeout"))
        sent = 0
        async with asyncio.timeout(30):
            while not answer.done():
                await client.send(b"x")
                sent += 1
                await asyncio.sleep(0.05)
        await answer
        assert sent > 3


@scenario
async def test_a_handler_may_take_its_time_between_two_pieces():
    async def slow(request):
        async for _ in request.stream():
            await asyncio.sleep(0.3)
        return PlainTextResponse("read")

    app = Starlette(routes=[Route("/read", slow, methods=["POST"])])
    async with serving(timeout_s=0.2, app=app) as port, Client(port) as client:
        await client.post("/read", bytes(150_000))
        assert (await client.answer())[0] == 200


@scenario
async def test_a_refusal_stands_whatever_the_application_makes_of_it():
    app = FastAPI()

    @app.post("/json")
    async def parse(body: dict):
        return body

    @app.post("/raw")
    async def raw(request: Request):
        try:
            await request.body()
        except Exception:  # noqa: BLE001
            return "swallowed"

    async with serving(app=app) as port:
        for path in ("/json", "/raw"):
            async with Client(port) as client:
                await client.post(path, b"", "Transfer-Encoding: chunked", length=False)
                await client.send(*[b"10000\r\n" + bytes(0x10000) + b"\r\n"] * 4)
                await refused(client, 413, "payload_too_large")


@scenario
async def test_requests_without_a_body_are_left_alone():
    async with serving() as port, Client(port) as client:
        for _ in range(2):
            await client.send(b"GET /read HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer())[::2] == (200, b"read 0")
