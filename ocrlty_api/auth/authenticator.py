"""Who sent a request: its key, looked up in memory.

Belongs here: reading the headers, the snapshot of the key table and its refreshing. Does not: what the key may do.

A request costs one HMAC and no query. A background task reads all keys every `REFRESH_S` in one query: a new key works,
and a revoked one stops working, within that time. While the database is away the last snapshot serves, for
`MAX_AGE_S` and no longer, since nobody could revoke a key meanwhile.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import Engine
from starlette.datastructures import Headers

from ocrlty_api.auth.keys import ActiveKey, KeyHasher, KeyTable
from ocrlty_api.auth.roles import LOCAL_ADMIN, Principal
from ocrlty_api.errors import UnauthorizedError
from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.settings import Settings

REFRESH_S = 2.0
MAX_AGE_S = 60.0
WRITE_USE_S = 60.0
LEAVE_S = 5.0

_log = logging.getLogger(__name__)
# What an unknown key is compared with, so that it takes the same steps as a known one.
_NOBODY = ActiveKey(bytes(32), Principal("", "", frozenset()))


class Authenticator:
    """Knows the keys. An async context manager: entering reads them, leaving writes when they were last used.

    With AUTH_ENABLED=0 everybody is the local admin, and the database is never asked.

    Raises:
        ConfigError: AUTH_ENABLED=1 without a usable API_KEY_PEPPER.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._hasher = KeyHasher.from_settings(settings) if settings.auth_enabled else None
        self._table = KeyTable(engine)
        self._keys: dict[bytes, ActiveKey] = {}
        self._read_at: float | None = None
        self._used: dict[str, datetime] = {}
        self._background: asyncio.Task[None] | None = None
        self._failing = False

    async def __aenter__(self) -> Self:
        """A database that is away is no reason not to start: requests are refused until it is back."""
        if self._hasher is not None:
            await self._attempt(self.refresh)
            self._background = asyncio.create_task(self._keep_fresh(), name="api keys")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._background is not None:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._attempt(self.write_use)

    async def authenticate(self, headers: Headers) -> Principal:
        """
        Raises:
            UnauthorizedError: no key, a malformed header, several keys, or a key that is unknown or revoked.
            StorageUnavailableError: the database has been away for longer than MAX_AGE_S.
        """
        if self._hasher is None:
            return LOCAL_ADMIN
        key = _key_in(headers)
        self._refuse_stale()
        principal = self._owner(self._hasher.digest(key))
        if principal is None:
            raise UnauthorizedError("The API key is unknown or revoked: ask the operator for another.")
        self._used[principal.key_id] = datetime.now(UTC)
        return principal

    async def refresh(self) -> None:
        """Read the keys now.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        began = time.monotonic()
        keys = await asyncio.to_thread(self._table.active)
        self._keys = {key.digest: key for key in keys}
        self._read_at = began

    async def write_use(self) -> None:
        """Write when keys were used since the last time, in one statement.

        Raises:
            StorageUnavailableError: the database cannot be reached; nothing is forgotten.
        """
        if not self._used:
            return
        used, self._used = self._used, {}
        try:
            await asyncio.to_thread(self._table.note_use, used)
        except BaseException:
            self._used = used | self._used
            raise

    def _owner(self, digest: bytes) -> Principal | None:
        """Who has the key of this digest.

        Which bucket of the dictionary is looked at depends on a hash that nobody without the pepper can choose; after
        that, known and unknown keys take the same steps.
        """
        candidate = self._keys.get(digest, _NOBODY)
        return candidate.principal if hmac.compare_digest(candidate.digest, digest) else None

    def _refuse_stale(self) -> None:
        if self._read_at is None or time.monotonic() - self._read_at > MAX_AGE_S:
            raise StorageUnavailableError(
                "API keys cannot be checked: the database has been away for too long; send the request again later."
            )

    async def _keep_fresh(self) -> None:
        written_at = time.monotonic()
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._attempt(self.refresh)
            if time.monotonic() - written_at >= WRITE_USE_S:
                written_at = time.monotonic()
                await self._attempt(self.write_use)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """A step of the background: its failure is told once, until one succeeds, and tried again with the next."""
        try:
            await step()
        except Exception as error:  # noqa: BLE001  # a background that ended would shut everybody out
            if not self._failing:
                _log.warning("API keys are as old as the last snapshot, the database does not answer: %s", error)
            self._failing = True
        else:
            self._failing = False


def _key_in(headers: Headers) -> str:
    """The one key that the headers hold, as the client wrote it."""
    keys = {*map(_bearer, headers.getlist("authorization")), *headers.getlist("x-api-key")}
    if not keys:
        raise UnauthorizedError("No API key: send `Authorization: Bearer <key>` or `X-API-Key: <key>`.")
    if len(keys) > 1:
        raise UnauthorizedError("The request holds several different API keys: send one.")
    return keys.pop()


def _bearer(value: str) -> str:
    scheme, _, key = value.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthorizedError("The Authorization header is not `Bearer <key>`.")
    return key.strip()
