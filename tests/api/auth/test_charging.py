"""The quota of images: what is refused and told to come again is charged when it comes again, not twice."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from ocrlty_api import job_submissions
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.auth.roles import Principal
from ocrlty_api.batching import BatchDraft
from ocrlty_api.errors import DagsterUnavailableError, QuotaExceededError
from ocrlty_api.lanes.batches import BatchRunRequest
from ocrlty_api.routers import extracts
from ocrlty_pipeline.errors import ArtifactConflictError, BusyError, StorageUnavailableError, WorkerDiedError
from ocrlty_pipeline.settings import Settings
from tests.support.redis_server import REDIS, redis_server

ALICE = Principal("alice", "client", frozenset({"extract:run"}))
DRAFT = BatchDraft("batch_extract", BatchRunRequest("batch_extract", "set", "task", {}, {}), {}, None, 3)


def limiter_of(quota, storage="async+memory://"):
    return Limiter(Settings(api_image_quota=quota, api_limits_storage=storage, _env_file=None))


async def left(limiter, at_most):
    """How many more images the key may send; uses them up."""
    count = 0
    for _ in range(at_most):
        try:
            await limiter.count_images(ALICE, 1)
        except QuotaExceededError:
            break
        count += 1
    return count


async def refused(limiter, count, error):
    with pytest.raises(type(error)):
        async with limiter.images_charged(ALICE, count):
            raise error


@pytest.mark.parametrize(
    ("error", "remaining"),
    [
        (BusyError("full"), 10),
        (DagsterUnavailableError("away"), 10),
        (StorageUnavailableError("away"), 10),
        (WorkerDiedError("died"), 10),
        # The model may have been asked, and the same request would be refused again.
        (ArtifactConflictError("taken"), 6),
        (asyncio.CancelledError(), 6),
    ],
)
def test_images_are_given_back_where_the_request_is_to_be_sent_again(error, remaining):
    async def go():
        limiter = limiter_of("10/day")
        await refused(limiter, 4, error)
        assert await left(limiter, 20) == remaining

    asyncio.run(go())


def test_every_limit_gets_back_what_it_was_charged():
    async def go():
        limiter = limiter_of("10/hour;12/day")
        await limiter.count_images(ALICE, 2)
        await refused(limiter, 8, BusyError("full"))
        assert await left(limiter, 20) == 8

    asyncio.run(go())


def test_what_is_under_way_is_charged_meanwhile():
    async def go():
        limiter = limiter_of("10/day")
        async with limiter.images_charged(ALICE, 8):
            assert await left(limiter, 20) == 2

    asyncio.run(go())


def test_what_is_given_back_in_a_later_window_adds_nothing_to_the_quota(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)

    async def refused_late():
        nonlocal now
        now += 119.0
        raise BusyError("full")

    async def go():
        nonlocal now
        limiter = limiter_of("10/minute")
        with pytest.raises(BusyError):
            async with limiter.images_charged(ALICE, 10):
                await refused_late()
        now += 60.0
        assert await left(limiter, 30) == 10

    asyncio.run(go())


@pytest.mark.skipif(REDIS is None, reason="no redis-server: apt install redis-server")
def test_images_are_given_back_in_redis_too(tmp_path):
    async def go(port):
        limiter = limiter_of("10/hour", f"async+redis://127.0.0.1:{port}")
        try:
            await refused(limiter, 10, BusyError("full"))
            assert await left(limiter, 20) == 10
        finally:
            await limiter.aclose()

    with redis_server(tmp_path) as (_, port):
        asyncio.run(go(port))


def test_an_extract_that_finds_the_lane_full_is_not_charged(monkeypatch):
    async def nothing(*_, **__):
        """Neither a request nor an extract that is there."""

    async def busy(_):
        raise BusyError("full")

    for name in ("extract_request", "check_id_for"):
        monkeypatch.setattr(extracts, name, nothing)

    async def go():
        limiter = limiter_of("1/day")
        state = SimpleNamespace(limiter=limiter, online=SimpleNamespace(extract=busy))
        request = SimpleNamespace(receive=asyncio.Event().wait)
        for _ in range(3):
            with pytest.raises(BusyError):
                await extracts.extract(request, state, ALICE, body=None)
        assert await left(limiter, 3) == 1

    asyncio.run(go())


def test_a_batch_that_cannot_be_submitted_is_not_charged(monkeypatch):
    async def prepared(*_):
        return {"ops": {"extractions": {"config": {}}}}, {}

    async def away(*_):
        raise DagsterUnavailableError("away")

    monkeypatch.setattr(job_submissions, "prepare_run", prepared)

    async def go():
        limiter = limiter_of("3/day")
        state = SimpleNamespace(limiter=limiter, shared=None, durable=SimpleNamespace(launch=away))
        for _ in range(3):
            with pytest.raises(DagsterUnavailableError):
                await job_submissions.submit_batch_job(state, ALICE, DRAFT)
        assert await left(limiter, 9) == 3

    asyncio.run(go())
