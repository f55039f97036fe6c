"""How much of all bodies together is held at the same time."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from ocrlty_api.error_responses import respond
from ocrlty_api.incoming.body_limits import HELD_AT_ONCE, BodyBounds, BodyLimits

MAX = 1000


class Holder:
    """An application that holds each body until it is told to answer, or to fail."""

    def __init__(self):
        self.holding = asyncio.Queue()
        self.told = asyncio.Event()
        self.fails = False
        bounds = BodyBounds(MAX, 3 * MAX, 30.0, frozenset({"/up"}))
        self._limits = BodyLimits(self._app, respond=respond, bounds=bounds)

    async def _app(self, scope, receive, send):
        body = await Request(scope, receive).body()
        self.holding.put_nowait(len(body))
        await self.told.wait()
        if self.fails:
            raise RuntimeError("told to fail")
        await PlainTextResponse("done")(scope, receive, send)

    async def ask(self, size, path="/held"):
        """Status, header fields and body of the answer."""
        sent = []

        async def receive():
            return {"type": "http.request", "body": bytes(size), "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": path, "headers": [(b"content-length", b"%d" % size)], "state": {}}
        await self._limits(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    async def fill(self):
        """Have it hold as much as may be held; answers the requests."""
        requests = [asyncio.create_task(self.ask(MAX)) for _ in range(HELD_AT_ONCE)]
        for _ in requests:
            await self.holding.get()
        return requests


def test_what_is_more_than_all_bodies_together_may_have_is_refused_until_one_is_answered():
    async def go():
        holder = Holder()
        requests = await holder.fill()
        status, headers, body = await holder.ask(1)
        assert (status, orjson.loads(body)["error"]["code"]) == (503, "busy")
        assert int(headers[b"retry-after"]) >= 1
        holder.told.set()
        assert {(await request)[0] for request in requests} == {200}
        # What was refused took no room either.
        assert {status for status, _, _ in await asyncio.gather(*map(holder.ask, [MAX] * HELD_AT_ONCE))} == {200}

    asyncio.run(go())


def test_an_upload_is_not_held_and_so_never_refused_for_what_is():
    async def go():
        holder = Holder()
        requests = await holder.fill()
        upload = asyncio.create_task(holder.ask(3 * MAX, "/up"))
        assert await holder.holding.get() == 3 * MAX
        holder.told.set()
        assert (await upload)[0] == 200
        await asyncio.gather(*requests)

    asyncio.run(go())


def test_a_request_that_fails_holds_nothing_any_more():
    async def go():
        holder = Holder()
        holder.fails = True
        requests = await holder.fill()
        holder.told.set()
        for request in requests:
            with pytest.raises(RuntimeError, match="told to fail"):
                await request
        holder.fails = False
        assert (await holder.ask(MAX))[0] == 200

    asyncio.run(go())
