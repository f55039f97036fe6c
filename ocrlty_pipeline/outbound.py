"""HTTP to addresses that somebody else named (an image's URL, a webhook), safe against server-side request forgery.

Belongs here: which URLs and addresses may be called, and calls bounded in size and time. Does not: what is sent or done
with the answer.

A name is resolved once a connection, every address it has is checked, and the connection is made to a checked address:
a name that answers differently the second time is never asked twice. httpcore2 is used directly since httpx2 has no
place for a network backend; TLS and the Host field keep the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpcore2
import httpx2

from ocrlty_pipeline.addresses import is_public
from ocrlty_pipeline.errors import OutboundFailedError, OutboundRefusedError
from ocrlty_pipeline.settings import Settings

DEFAULT_PORTS = {"http": 80, "https": 443}
PORTS = range(1, 65536)
MAX_URL_CHARACTERS = 2048
MAX_CONNECTIONS = 32
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Looking a name up blocks a thread; those that storage needs shall not wait for somebody's slow name server.
RESOLVER_THREADS = 8
EVERYTHING = "*"

Resolver = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """Bounds on one call: the answer's size in bytes, seconds for all of it, redirects followed."""

    max_bytes: int
    timeout_s: float = 15.0
    max_redirects: int = 3


@dataclass(frozen=True, slots=True)
class OutboundAnswer:
    """What came back: HTTP status, header fields by lower-case name, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OutboundClient:
    """Calls public addresses only. An async context manager; one serves a whole process.

    Args:
        resolve: addresses (text) of a name and port; the system's resolver unless given.
        ssl_context: whom to trust; the usual authorities unless given.
    """

    def __init__(
        self, settings: Settings, *, resolve: Resolver | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._allowed = frozenset(settings.outbound_allow_private)
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolver")
        self._backend = _CheckedBackend(resolve or self._resolve, self._may_be_private)
        self._ssl_context = ssl_context

    async def __aenter__(self) -> Self:
        # A connection serves one call: kept open, it would outlive the check of its address.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._ssl_context or httpx2.create_ssl_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def get(self, url: str, limits: OutboundLimits) -> OutboundAnswer:
        """GET, following redirects, each checked as the first address was.

        Raises:
            OutboundRefusedError: the scheme, the port or an address is none we call.
            OutboundFailedError: no answer, too large, too slow, or too many redirects.
        """
        async with _bounded(limits):
            target = self._checked(url)
            for _ in range(limits.max_redirects + 1):
                answer = await self._call("GET", target, None, {}, limits.max_bytes)
                if answer.status not in REDIRECTS or "location" not in answer.headers:
                    return answer
                target = self._checked(_joined(target, answer.headers["location"]))
        raise OutboundFailedError(f"The URL redirects more than {limits.max_redirects} times.")

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str], limits: OutboundLimits
    ) -> OutboundAnswer:
        """POST once; a redirect is an answer like any other.

        Raises:
            OutboundRefusedError: the scheme, the port or an address is none we call.
            OutboundFailedError: no answer, too large or too slow.
        """
        async with _bounded(limits):
            return await self._call("POST", self._checked(url), content, headers, limits.max_bytes)

    def check_url(self, url: str) -> None:
        """Refuse a URL that would never be called, without asking for its address.

        Raises:
            OutboundRefusedError: names what is wrong with it.
        """
        self._checked(url)

    def _checked(self, url: str) -> httpx2.URL:
        parsed = _parsed(url)
        if parsed.scheme not in DEFAULT_PORTS:
            raise OutboundRefusedError(f"The URL's scheme is {_cut(parsed.scheme)}; use http or https.")
        if not parsed.host:
            raise OutboundRefusedError("The URL names no host.")
        if parsed.userinfo:
            raise OutboundRefusedError("The URL holds a user name or password; leave them out.")
        port = DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if port not in DEFAULT_PORTS.values() and not (port in PORTS and self._may_be_private(parsed.host, port)):
            raise OutboundRefusedError(f"The URL's port is {port}; only 80 and 443 are called.")
        return parsed

    def _may_be_private(self, host: str, port: int) -> bool:
        shown = f"[{host}]" if ":" in host else host
        return EVERYTHING in self._allowed or f"{shown}:{port}".lower() in self._allowed

    async def _call(
        self, method: str, url: httpx2.URL, content: bytes | None, headers: Mapping[str, str], max_bytes: int
    ) -> OutboundAnswer:
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        # A compressed answer could be a thousand times larger than what is counted.
        own = {"host": _text(url.netloc), "accept-encoding": "identity", "user-agent": "ocrlty", "connection": "close"}
        sent = list({**headers, **own}.items())
        async with self._pool.stream(method, target, headers=sent, content=content) as response:
            received = {_text(name).lower(): _text(value) for name, value in response.headers}
            if response.status in REDIRECTS:
                return OutboundAnswer(response.status, received, b"")
            return OutboundAnswer(response.status, received, await _body(response, received, max_bytes))

    async def _resolve(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _looked_up, host, port)
        return list(dict.fromkeys(found))


class _CheckedBackend(httpcore2.AnyIOBackend):
    """Connects to the addresses it has checked, by number."""

    def __init__(self, resolve: Resolver, may_be_private: Callable[[str, int], bool]) -> None:
        self._resolve = resolve
        self._may_be_private = may_be_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await super().connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise OutboundFailedError(f"The host {_cut(host)} has no address; check its spelling.")
        if not self._may_be_private(host, port) and not all(map(is_public, addresses)):
            raise OutboundRefusedError(f"The host {_cut(host)} lies in a private or reserved network; none is called.")
        return addresses


@asynccontextmanager
async def _bounded(limits: OutboundLimits) -> AsyncIterator[None]:
    """Bound all of a call in time, and make an OutboundFailedError of whatever goes wrong on the wire."""
    try:
        async with asyncio.timeout(limits.timeout_s):
            yield
    except TimeoutError:
        raise OutboundFailedError(f"No whole answer came within {limits.timeout_s:g} s.") from None
    except httpcore2.ConnectError as error:
        raise OutboundFailedError(f"No connection could be made: {_reason(error)}.") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError):
        raise OutboundFailedError("The connection broke, or its answer was not HTTP.") from None


async def _body(response: httpcore2.Response, headers: Mapping[str, str], max_bytes: int) -> bytes:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise OutboundFailedError("The answer is compressed, though it was asked for as it is.")
    too_large = OutboundFailedError(f"The answer has more than {max_bytes} bytes.")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _parsed(url: str) -> httpx2.URL:
    if len(url) > MAX_URL_CHARACTERS:
        raise OutboundRefusedError(f"The URL has {len(url)} characters, more than {MAX_URL_CHARACTERS}.")
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise OutboundRefusedError(f"{_cut(url)} is not a URL: {error}") from None
    except UnicodeError:
        raise OutboundRefusedError(f"{_cut(url)} is not a URL: it holds half a character.") from None


def _joined(base: httpx2.URL, location: str) -> str:
    try:
        return str(base.join(location))
    except (httpx2.InvalidURL, UnicodeError):
        raise OutboundRefusedError("The URL redirects to what is not a URL.") from None


def _looked_up(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__ or error
    return str(getattr(cause, "strerror", None) or "refused, or no way there")


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


def _cut(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}..."
