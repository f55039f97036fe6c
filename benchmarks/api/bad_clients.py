"""Clients that send a byte now and then, and clients that go away: neither may cost the others anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2

from benchmarks.api.extracts import extracts
from benchmarks.api.service import async_client, rss_mb
from benchmarks.measuring import median_ms, percentile_ms
from benchmarks.online import load
from tests.support.metrics import extracts_under_way

WELL_BEHAVED = 4
BETWEEN_BYTES_S = 1.0
GONE_AFTER_S = 0.03


def measure(service: Any, seconds: float, clients: int = 50) -> None:
    asyncio.run(_measure(service, seconds, clients))


async def _measure(service: Any, seconds: float, clients: int) -> None:
    async with async_client(service) as http:
        call = extracts(http)
        await load(call, WELL_BEHAVED, min(seconds, 2))
        (before, rate), memory = await load(call, WELL_BEHAVED, seconds), rss_mb(service.api.pid)
        print(f"  alone, {WELL_BEHAVED} clients: median {median_ms(before):.1f} ms, {rate:.1f}/s")
        async with _slow(service, clients):
            latencies, _ = await load(call, WELL_BEHAVED, seconds)
            _tell(f"beside {clients} clients that send a byte a second", latencies, before)
        async with _leaving(service, clients // 10):
            latencies, _ = await load(call, WELL_BEHAVED, seconds)
            _tell(f"beside {clients // 10} clients that leave after {GONE_AFTER_S * 1000:.0f} ms", latencies, before)
        latencies, _ = await load(call, WELL_BEHAVED, seconds)
        _tell("alone again", latencies, before)
        print(
            f"  the API's memory {memory:.0f} MB before, {rss_mb(service.api.pid):.0f} after; "
            f"extracts still held: {await _held(http):.0f}"
        )


def _tell(when: str, latencies: list[float], before: list[float]) -> None:
    print(
        f"  {when}: median {median_ms(latencies):.1f} ms, {median_ms(latencies) / median_ms(before):.2f} times; "
        f"95th percentile {percentile_ms(latencies, 95) / percentile_ms(before, 95):.2f} times"
    )


@asynccontextmanager
async def _slow(service: Any, count: int) -> AsyncIterator[None]:
    """`count` connections in the middle of a body."""
    url = httpx2.URL(service.url)
    head = (
        f"POST /v1/extract HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {service.keys['bob']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    )

    async def client() -> None:
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(head.encode())
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(BETWEEN_BYTES_S)

    async with _running([client() for _ in range(count)]):
        await asyncio.sleep(BETWEEN_BYTES_S)
        yield


@asynccontextmanager
async def _leaving(service: Any, count: int) -> AsyncIterator[None]:
    """`count` clients that send extracts and do not stay for the answer."""

    async def client() -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(GONE_AFTER_S):
                    await call()

    async with async_client(service, "bob") as http:
        call = extracts(http)
        async with _running([client() for _ in range(count)]):
            yield


@asynccontextmanager
async def _running(clients: list[Any]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(client) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _held(http: httpx2.AsyncClient) -> float:
    """Extracts that the service says are under way or wait, though nobody asks for any."""
    await asyncio.sleep(1)
    return extracts_under_way((await http.get("/metrics")).text)
