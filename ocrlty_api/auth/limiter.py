"""How much a key may ask for: requests within a time, images within a day; and how often an address may fail.

Belongs here: counting, and refusing with the time after which to come again. Does not: who asks.

Counted with a sliding-window counter (two counters a key; https://limits.readthedocs.io/en/stable/strategies.html): a
moving window, which remembers each request, cost fifteen times the CPU with 200 keys.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, SlidingWindowCounterSupport, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from ocrlty_api.auth.roles import Principal
from ocrlty_api.errors import LaunchUnknownError, QuotaExceededError, RateLimitedError, UnavailableError
from ocrlty_pipeline.errors import BusyError, ConfigError, StorageUnavailableError, WorkerDiedError
from ocrlty_pipeline.settings import Settings

# Addresses share this many counters, so that no number of addresses takes more memory than these.
FAILURE_COUNTERS = 1024
REDIS_TIMEOUT_S = 1.0
# Times since 1970 are exact to some hundred nanoseconds: a wait that ends on the second is not to end just before it.
ROUNDING_S = 1e-5
# Of these, a client is told to send the request again, which is charged then.
SENT_AGAIN = (BusyError, UnavailableError, StorageUnavailableError, WorkerDiedError)

_log = logging.getLogger(__name__)


class Limiter:
    """Counts what keys ask for, in this process or in Redis. While Redis is away nobody is refused.

    Raises:
        ConfigError: API_RATE_LIMIT, API_IMAGE_QUOTA, API_FAILURE_LIMIT or API_LIMITS_STORAGE cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._rates = _parsed("API_RATE_LIMIT", settings.api_rate_limit)
        self._quotas = _parsed("API_IMAGE_QUOTA", settings.api_image_quota)
        self._failures = _parsed("API_FAILURE_LIMIT", settings.api_failure_limit)
        self._keys = _counter(settings.api_limits_storage.get_secret_value())
        self._addresses = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._storage_is_away = False

    async def aclose(self) -> None:
        """Close the connections to Redis, where there are any."""
        bridge = getattr(self._keys.storage, "bridge", None)
        if bridge is not None:
            await bridge.storage.aclose()

    async def count_request(self, principal: Principal) -> None:
        """
        Raises:
            RateLimitedError: the key has sent as many requests as it may.
        """
        full = await self._take(self._rates, f"requests/{principal.key_id}", 1)
        if full is not None:
            limit, wait_s = full
            raise RateLimitedError(
                f"Key {principal.key_id!r} may send {limit.amount} requests per {_period(limit)}: send this one again "
                f"in {wait_s} s.",
                {"limit": str(limit)},
                retry_after_s=wait_s,
            )

    async def count_images(self, principal: Principal, count: int) -> None:
        """Charge `count` images before they are extracted; all or none.

        Raises:
            QuotaExceededError: fewer are left; without a time to come again when so many are never allowed.
        """
        full = await self._take(self._quotas, f"images/{principal.key_id}", count)
        if full is not None:
            limit, wait_s = full
            way_out = f"at most {limit.amount} at once" if wait_s is None else f"send this again in {wait_s} s"
            raise QuotaExceededError(
                f"Key {principal.key_id!r} may send {limit.amount} images per {_period(limit)}, and {count} more "
                f"would be too many: {way_out}.",
                {"limit": str(limit), "images": count},
                retry_after_s=wait_s,
            )

    @asynccontextmanager
    async def images_charged(self, principal: Principal, count: int) -> AsyncIterator[None]:
        """`count_images` for what is done within the block; given back where that is refused with 503,
        unless the work may be done all the same.

        Charged before, so that no number of requests at the same time takes more than there is.

        Raises:
            QuotaExceededError: as `count_images`.
        """
        await self.count_images(principal, count)
        try:
            yield
        except LaunchUnknownError:
            raise
        except SENT_AGAIN:
            with suppress(StorageError):
                await _give_back(self._keys, self._quotas, f"images/{principal.key_id}", count)
            raise

    async def count_failure(self, address: str) -> None:
        """Count a request without a good key. Good keys are let in from the same address all the while.

        Args:
            address: of the client, as text; anything else counts as an address of its own.

        Raises:
            RateLimitedError: the address, or another that shares its counter, has failed too often.
        """
        counter = _shared_counter(address)
        full = await _first_full(self._addresses, self._failures, counter, 1)
        if full is not None:
            wait_s = await _wait_s(self._addresses, full, counter, 1)
            raise RateLimitedError(
                f"Too many requests without a valid API key from this address: come again in {wait_s} s with a key.",
                {"limit": str(full)},
                retry_after_s=wait_s,
            )

    async def _take(
        self, limits: Sequence[RateLimitItem], name: str, cost: int
    ) -> tuple[RateLimitItem, int | None] | None:
        """Count `cost` against every limit, or none; answers the full one and its wait in seconds.

        Limits that read alike share one counter, unless `name` tells what is counted.
        """
        if not limits:
            return None
        try:
            full = await _first_full(self._keys, limits, name, cost)
            found = (full, await _wait_s(self._keys, full, name, cost)) if full is not None else None
        except StorageError as error:
            if not self._storage_is_away:
                _log.warning("API_LIMITS_STORAGE cannot be reached, nobody is limited: %s", error)
            self._storage_is_away = True
            return None
        self._storage_is_away = False
        return found


async def _first_full(
    counter: SlidingWindowCounterRateLimiter, limits: Sequence[RateLimitItem], name: str, cost: int
) -> RateLimitItem | None:
    """Count `cost` against every limit, or none where one has no room."""
    # One limit tests itself; of several, none is charged for what another refuses.
    for limit in limits if len(limits) > 1 else ():
        if not await counter.test(limit, name, cost=cost):
            return limit
    for limit in limits:
        if not await counter.hit(limit, name, cost=cost):
            return limit
    return None


async def _give_back(
    counter: SlidingWindowCounterRateLimiter, limits: Sequence[RateLimitItem], name: str, cost: int
) -> None:
    """Take `cost` off again, but never more than the window of now has counted: what is below zero would be a gift."""
    storage = cast(SlidingWindowCounterSupport, counter.storage)
    for limit in limits:
        _, _, now, _ = await storage.get_sliding_window(limit.key_for(name), limit.get_expiry())
        await counter.hit(limit, name, cost=-min(cost, now))


async def _wait_s(counter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, name: str, cost: int) -> int | None:
    """Whole seconds, at least 1, after which `cost` fits if nothing is counted meanwhile; None when it never does.

    The counter weighs the window before by how much of it the sliding window still covers: that share shrinks with
    time, and the current count becomes the one before when its window ends.
    """
    if cost > limit.amount:
        return None
    period = limit.get_expiry()
    storage = cast(SlidingWindowCounterSupport, counter.storage)
    before, before_ttl, now, now_ttl = await storage.get_sliding_window(limit.key_for(name), period)
    room = limit.amount - cost + 1
    if now < room:
        wait = before_ttl - (room - now) * period / before if before else 0.0
    else:
        wait = (now_ttl - period) + period * (1 - room / now)
    return int(max(wait, 0.0) + ROUNDING_S) + 1


def _parsed(variable: str, value: str | None) -> list[RateLimitItem]:
    try:
        limits = parse_many(value) if value else []
    except ValueError:
        limits = None
    if limits is None or any(limit.amount < 1 or limit.get_expiry() < 1 for limit in limits):
        raise ConfigError(f"{variable} is {value!r}, which is no limit: write 600/minute, or 10/second;100000/day.")
    return limits


def _counter(storage_url: str) -> SlidingWindowCounterRateLimiter:
    """
    Raises:
        ConfigError: there is no such storage; tells its scheme only, since the rest may hold a password.
    """
    scheme = storage_url.partition(":")[0]
    try:
        return SlidingWindowCounterRateLimiter(_storage(storage_url, scheme))
    except (ConfigurationError, NotImplementedError, ValueError) as error:
        raise ConfigError(
            f"API_LIMITS_STORAGE ({scheme}://...) cannot be used: {type(error).__name__}; use async+memory:// or "
            "async+redis://host:6379/0 with the package `redis` installed."
        ) from None


def _storage(url: str, scheme: str) -> Storage:
    if scheme == "async+memory":
        return MemoryStorage()
    storage = storage_from_string(
        url,
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="ocrlty",
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
    if not isinstance(storage, Storage):
        raise NotImplementedError
    return storage


def _shared_counter(address: str) -> str:
    """The name of an address's counter: one of FAILURE_COUNTERS, the same for a whole IPv6 network of one customer."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        network = address
    else:
        network = str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64))) if parsed.version == 6 else address
    return str(hash(network) % FAILURE_COUNTERS)


def _period(limit: RateLimitItem) -> str:
    return f"{limit.multiples} {limit.GRANULARITY.name}s" if limit.multiples > 1 else limit.GRANULARITY.name
