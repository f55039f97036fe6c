"""Deliveries on a database of the test, a clock that the test moves, and a receiver that hears of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ocrlty_pipeline.outbound import OutboundClient
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.webhooks.delivery import Deliveries
from ocrlty_pipeline.webhooks.model import EndedJob
from ocrlty_pipeline.webhooks.registry import Webhooks
from ocrlty_pipeline.webhooks.sending import Sender
from ocrlty_pipeline.webhooks.signing import Signer
from tests.support.webhook_receiver import webhook_receiver

PEPPER = "a pepper of the tests, and of nothing else"


class Clock:
    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now

    def advance(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receiver():
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def signer():
    return Signer(PEPPER)


@pytest.fixture
def webhooks(engine):
    return Webhooks(engine)


@pytest.fixture
def deliveries(engine):
    return Deliveries(engine)


@pytest.fixture
def send(deliveries, signer, clock):
    """One round of sending; addresses of this machine are called unless `allowed` says otherwise."""

    def send(*allowed, for_s=60.0):
        async def round_():
            settings = Settings(_env_file=None, outbound_allow_private=allowed or ("*",))
            async with OutboundClient(settings) as outbound:
                return await Sender(deliveries, outbound, signer, clock).send(for_s=for_s)

        return asyncio.run(round_())

    return send


@pytest.fixture
def ended(clock):
    """The end of a job, a moment from now."""

    def ended(job_id="job-1", event="job.succeeded", key_id="alice", **fields):
        at = clock.now + timedelta(seconds=1)
        return EndedJob(job_id, event, key_id, at, b'{"type":"%s"}' % event.encode(), **fields)

    return ended
