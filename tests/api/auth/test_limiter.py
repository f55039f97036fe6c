from __future__ import annotations

import asyncio
import ipaddress
import time

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from limits import parse

from ocrlty_api.auth import limiter as module
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.auth.roles import Principal
from ocrlty_api.errors import QuotaExceededError, RateLimitedError
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import Settings
from tests.support.redis_server import REDIS, redis_server

ALICE, BOB = (Principal(name, "client", frozenset({"extract:run"})) for name in ("alice", "bob"))


class Clock:
    """The time that the library reads, moved by hand."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


def _limiter(**values):
    return Limiter(Settings(**values, _env_file=None))


async def _admitted(limiter, principal, count):
    """How many of `count` requests are let in, and the last refusal."""
    admitted, refusal = 0, None
    for _ in range(count):
        try:
            await limiter.count_request(principal)
            admitted += 1
        except RateLimitedError as error:
            refusal = error
    return admitted, refusal


def test_a_key_may_send_its_rate_and_then_waits_as_long_as_it_is_told(clock):
    async def go():
        limiter = _limiter(api_rate_limit="5/minute")
        admitted, refusal = await _admitted(limiter, ALICE, 8)
        assert admitted == 5
        assert (refusal.status, refusal.code) == (429, "rate_limited")
        assert refusal.headers == {"Retry-After": str(refusal.retry_after_s)}
        assert "'alice' may send 5 requests per minute" in refusal.message
        assert (await _admitted(limiter, BOB, 1))[0] == 1
        clock.now += refusal.retry_after_s
        assert (await _admitted(limiter, ALICE, 1))[0] == 1

    asyncio.run(go())


def test_without_limits_nobody_is_counted():
    async def go():
        limiter = _limiter()
        assert (await _admitted(limiter, ALICE, 1000))[0] == 1000
        await limiter.count_images(ALICE, 10**9)

    asyncio.run(go())


def test_images_are_charged_all_or_none(clock):
    async def go():
        limiter = _limiter(api_image_quota="100/day")
        await limiter.count_images(ALICE, 60)
        with pytest.raises(QuotaExceededError, match=r"100 images per day, and 41 more") as info:
            await limiter.count_images(ALICE, 41)
        assert (info.value.status, info.value.code) == (429, "quota_exceeded")
        assert 1 <= info.value.retry_after_s <= 2 * 86400
        await limiter.count_images(ALICE, 40)
        await limiter.count_images(BOB, 100)
        clock.now += info.value.retry_after_s
        await limiter.count_images(ALICE, 1)

    asyncio.run(go())


def test_requests_and_images_are_counted_apart_though_their_limits_read_alike():
    async def go():
        limiter = _limiter(api_rate_limit="10/day", api_image_quota="10/day")
        await limiter.count_images(ALICE, 10)
        assert (await _admitted(limiter, ALICE, 11))[0] == 10

    asyncio.run(go())


def test_a_batch_larger_than_the_whole_quota_is_told_so_and_not_to_come_again():
    async def go():
        limiter = _limiter(api_image_quota="100/day")
        with pytest.raises(QuotaExceededError, match="at most 100 at once") as info:
            await limiter.count_images(ALICE, 101)
        assert info.value.headers == {}
        await limiter.count_images(ALICE, 100)

    asyncio.run(go())


def test_of_several_limits_none_is_charged_for_what_another_refuses(clock):
    async def go():
        limiter = _limiter(api_image_quota="10/hour;15/day")
        await limiter.count_images(ALICE, 10)
        clock.now += 2 * 3600
        with pytest.raises(QuotaExceededError, match="15 images per day"):
            await limiter.count_images(ALICE, 6)
        await limiter.count_images(ALICE, 5)

    asyncio.run(go())


@hypothesis_settings(max_examples=50)
@given(
    amount=st.integers(1, 30),
    asked=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 30)), min_size=1, max_size=30),
)
@example(amount=1, asked=[(0.0, 1), (25.0, 1)])
def test_the_wait_is_long_enough_and_no_second_longer(amount, asked):
    """For any history: what was refused fits after `retry_after_s`, and did not fit a second before."""

    async def go(clock):
        limiter = _limiter(api_image_quota=f"{amount}/minute")
        item = parse(f"{amount}/minute")
        for pause, count in asked:
            clock.now += pause
            try:
                await limiter.count_images(ALICE, min(count, amount))
            except QuotaExceededError as error:
                refused_at = clock.now
                clock.now = refused_at + error.retry_after_s - 1 - 1e-3
                early = error.retry_after_s > 1 and await limiter._keys.test(
                    item, "images/alice", cost=min(count, amount)
                )
                clock.now = refused_at + error.retry_after_s
                assert not early
                assert await limiter._keys.test(item, "images/alice", cost=min(count, amount))

    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(time, "time", clock)
        asyncio.run(go(clock))


def test_an_address_may_fail_so_often_and_no_more(clock):
    async def go():
        limiter = _limiter(api_failure_limit="5/minute")
        for _ in range(5):
            await limiter.count_failure("203.0.113.7")
        with pytest.raises(RateLimitedError, match="without a valid API key") as info:
            await limiter.count_failure("203.0.113.7")
        assert int(info.value.headers["Retry-After"]) >= 1
        clock.now += info.value.retry_after_s
        await limiter.count_failure("203.0.113.7")

    asyncio.run(go())


def test_one_ipv6_customer_is_one_address_and_no_text_is_too_odd(clock, monkeypatch):
    monkeypatch.setattr(module, "FAILURE_COUNTERS", 2**60)

    async def go():
        limiter = _limiter(api_failure_limit="5/minute")
        network = ipaddress.ip_network("2001:db8:1:2::/64")
        for number in range(5):
            await limiter.count_failure(str(network[number * 2**40]))
        with pytest.raises(RateLimitedError):
            await limiter.count_failure("2001:db8:1:2:ffff::1")
        for address in ("2001:db8:1:3::1", "fe80::1%eth0", "", "unix:", "not an address", "::ffff:203.0.113.7"):
            await limiter.count_failure(address)

    asyncio.run(go())


def test_any_number_of_addresses_takes_bounded_memory(clock, monkeypatch):
    monkeypatch.setattr(module, "FAILURE_COUNTERS", 8)

    async def go():
        limiter = _limiter(api_failure_limit="1000000/minute")
        for minute in range(4):
            clock.now += 60 * minute
            for number in range(200):
                await limiter.count_failure(f"203.{minute}.{number % 256}.{number // 256}")
                await asyncio.sleep(0)
        storage = limiter._addresses.storage
        # This window's counters and those of the one before.
        assert max(map(len, (storage.storage, storage.expirations, storage.locks))) <= 2 * 8

    asyncio.run(go())


@pytest.mark.parametrize("name", ["api_rate_limit", "api_image_quota", "api_failure_limit"])
@pytest.mark.parametrize("value", ["fast", "5", "-1/minute", "0/minute", "5/fortnight", "5 per", "5/minute;x"])
def test_what_is_no_limit_is_refused_by_its_variable(name, value):
    with pytest.raises(ConfigError, match=name.upper()):
        _limiter(**{name: value})


@pytest.mark.parametrize(
    "storage", ["redis", "async+nowhere://h", "memory://", "redis://u:hidden@h:1", "async+redis://u:hidden@h:port/x"]
)
def test_a_storage_that_cannot_be_used_is_refused_without_its_password(storage):
    with pytest.raises(ConfigError, match="API_LIMITS_STORAGE") as info:
        _limiter(api_limits_storage=storage)
    assert "hidden" not in info.value.message


@pytest.mark.skipif(REDIS is None, reason="no redis-server: apt install redis-server")
def test_processes_that_share_a_redis_share_the_counts_and_nobody_is_refused_while_it_is_away(tmp_path, caplog):
    async def go(process, port):
        limiters = [
            _limiter(api_rate_limit="6/hour", api_limits_storage=f"async+redis://127.0.0.1:{port}") for _ in "ab"
        ]
        try:
            counts = [await _admitted(limiter, ALICE, 4) for limiter in limiters]
            assert [admitted for admitted, _ in counts] == [4, 2]
            assert 1 <= counts[1][1].retry_after_s <= 2 * 3600
            process.kill()
            process.wait()
            assert (await _admitted(limiters[0], ALICE, 20))[0] == 20
        finally:
            for limiter in limiters:
                await limiter.aclose()

    with redis_server(tmp_path) as (process, port):
        asyncio.run(go(process, port))
    assert sum("API_LIMITS_STORAGE cannot be reached" in message for message in caplog.messages) == 1
