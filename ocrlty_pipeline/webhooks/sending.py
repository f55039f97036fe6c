"""Sending what is due: signed, several at once, and no receiver at the expense of the others.

Belongs here: one call and what its answer means; who sends what for how long. Does not: when that is done, or the
table.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ocrlty_pipeline.errors import OutboundError, OutboundRefusedError
from ocrlty_pipeline.outbound import OutboundClient, OutboundLimits
from ocrlty_pipeline.webhooks.delivery import Deliveries
from ocrlty_pipeline.webhooks.model import Delivery, Message
from ocrlty_pipeline.webhooks.signing import Signer

# The answer's body is read, since the connection is closed after it, and thrown away.
LIMITS = OutboundLimits(max_bytes=1024 * 1024, timeout_s=10.0)
AT_ONCE = 16
# One whose receivers hang holds no more than a quarter of the calls.
AT_ONCE_OF_A_KEY = 4
GONE_STATUS = 410


@dataclass(frozen=True, slots=True)
class Called:
    """What came of one call.

    Attributes:
        status: HTTP status; None when there was no answer.
        error: why it was none that counts; None when the receiver took it.
        refused: the address is none that is called, now or later.
    """

    status: int | None
    error: str | None
    refused: bool = False

    @property
    def taken(self) -> bool:
        return self.error is None


@dataclass(slots=True)
class Sent:
    """What a round of sending came to, in deliveries."""

    delivered: int = 0
    failed: int = 0


def utc_now() -> datetime:
    return datetime.now(UTC)


async def call(outbound: OutboundClient, signer: Signer, message: Message, at: datetime) -> Called:
    """POST one message, signed at the time `at`; every failure of the receiver is in the answer."""
    headers = {"content-type": "application/json", **signer.headers(message, at)}
    try:
        answer = await outbound.post(message.url, message.body, headers, LIMITS)
    except OutboundError as error:
        return Called(None, error.message, refused=isinstance(error, OutboundRefusedError))
    taken = 200 <= answer.status < 300
    return Called(answer.status, None if taken else f"The receiver answered {answer.status}.")


@dataclass(slots=True)
class Sender:
    """Sends the deliveries that are due, for one round."""

    deliveries: Deliveries
    outbound: OutboundClient
    signer: Signer
    clock: Callable[[], datetime] = utc_now
    sent: Sent = field(default_factory=Sent, init=False)
    _of_key: Counter[str] = field(default_factory=Counter, init=False)
    # Those that failed in this round: the rest of what is due to them can wait for the next.
    _resting: set[str] = field(default_factory=set, init=False)
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def send(self, *, for_s: float) -> Sent:
        """Send until nothing is due that may be sent, or for so many seconds; a call that was begun is finished.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        until = time.monotonic() + for_s
        await asyncio.gather(*(self._work(until) for _ in range(AT_ONCE)))
        return self.sent

    async def _work(self, until: float) -> None:
        while time.monotonic() < until and (delivery := await self._claimed()) is not None:
            try:
                await self._deliver(delivery)
            finally:
                self._of_key[delivery.key_id] -= 1

    async def _claimed(self) -> Delivery | None:
        async with self._claiming:
            busy = {key_id for key_id, calls in self._of_key.items() if calls >= AT_ONCE_OF_A_KEY}
            delivery = await asyncio.to_thread(
                self.deliveries.claim, self.clock(), without_keys=busy, without_urls=set(self._resting)
            )
            if delivery is not None:
                self._of_key[delivery.key_id] += 1
            return delivery

    async def _deliver(self, delivery: Delivery) -> None:
        called = await call(self.outbound, self.signer, delivery.message, self.clock())
        if called.taken:
            self.sent.delivered += 1
        else:
            self.sent.failed += 1
            self._resting.add(delivery.url)
        await asyncio.to_thread(self._record, delivery, called)

    def _record(self, delivery: Delivery, called: Called) -> None:
        if called.status is not None and called.error is None:
            self.deliveries.succeeded(delivery, called.status, self.clock())
        elif called.status == GONE_STATUS:
            self.deliveries.gone(delivery, called.status)
        else:
            error = called.error or ""
            self.deliveries.failed(delivery, error, self.clock(), status=called.status, for_good=called.refused)
