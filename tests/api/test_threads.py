"""What computes for long does not hold up what waits: questions to the database, readiness, keys."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from ocrlty_api.auth.roles import Principal
from ocrlty_api.logs import REQUEST_ID
from ocrlty_api.routers import debug, runs
from ocrlty_api.schemas.debug import ScoreBody
from ocrlty_api.threads import COMPUTING, WAITING, computing, use_waiting_threads

ROOT = Principal("root", "admin", frozenset({"extract:run", "debug:run"}))
MANY = 64
# Far beyond what it takes: who waits so long waits for ever.
TIMEOUT_S = 20.0


async def _compare(state):
    await runs.compare(state, ROOT, a="a", b="b")


async def _score(state):
    await debug.score(state, ROOT, ScoreBody(run_id="a"))


@pytest.mark.parametrize("ask", [_compare, _score])
def test_any_number_of_computations_leaves_threads_to_what_waits(ask, monkeypatch):
    release, at_work, most = threading.Event(), [], []

    def compute(*_, **__):
        at_work.append(1)
        most.append(len(at_work))
        release.wait(TIMEOUT_S)
        at_work.pop()

    async def visible(*_):
        """It is everybody's."""

    for module, name in ((runs, "_compared"), (debug, "_scored")):
        monkeypatch.setattr(module, name, compute)
        monkeypatch.setattr(module, "visible_run", visible)

    async def go():
        use_waiting_threads()
        with computing() as threads:
            state = SimpleNamespace(computing=threads)
            asked = [asyncio.create_task(ask(state)) for _ in range(MANY)]
            await asyncio.sleep(0)  # all of them come to their computation
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    assert await asyncio.to_thread(lambda: "answered") == "answered"
            finally:
                release.set()
            await asyncio.gather(*asked)

    asyncio.run(go())
    assert len(most) == MANY
    assert max(most) <= COMPUTING


def test_so_many_may_wait_at_the_same_time():
    everybody = threading.Barrier(WAITING, timeout=TIMEOUT_S)

    async def go():
        use_waiting_threads()
        await asyncio.gather(*(asyncio.to_thread(everybody.wait) for _ in range(WAITING)))

    asyncio.run(go())


def test_what_a_computation_logs_names_its_request():
    async def go():
        REQUEST_ID.set("asked")
        with computing() as threads:
            return await threads.run(REQUEST_ID.get)

    assert asyncio.run(go()) == "asked"
