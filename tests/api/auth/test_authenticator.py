from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest
from sqlalchemy import event, make_url, text
from starlette.datastructures import Headers

from ocrlty_api.auth import authenticator as module
from ocrlty_api.auth.authenticator import Authenticator
from ocrlty_api.auth.roles import LOCAL_ADMIN, Principal
from ocrlty_api.errors import UnauthorizedError
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.errors import ConfigError, StorageUnavailableError
from ocrlty_pipeline.settings import Settings

TIMEOUT_S = 30


@pytest.fixture
def quick(monkeypatch):
    """Read the keys many times a second."""
    monkeypatch.setattr(module, "REFRESH_S", 0.01)


@pytest.fixture
def server(postgres_url, engine):
    """Takes the test's database away and gives it back, as a restart of the server does."""
    admin = create_engine(make_url(postgres_url).set(database="postgres").render_as_string(hide_password=False))
    name = engine.url.database
    end_connections = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")

    class Server:
        def stop(self):
            with admin.begin() as connection:
                connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            with admin.begin() as connection:
                connection.execute(end_connections, {"name": name})

        def start(self):
            with admin.begin() as connection:
                connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))

    yield Server()
    admin.dispose()


async def _until(condition):
    """Wait for what the background task does."""
    async with asyncio.timeout(TIMEOUT_S):
        while not await condition():  # noqa: ASYNC110  # what changes has no event
            await asyncio.sleep(0.01)


async def _refuses(authenticator, headers, error=UnauthorizedError):
    try:
        await authenticator.authenticate(headers)
    except error:
        return True
    return False


def test_a_key_is_taken_from_either_header(engine, settings, make_key):
    key = make_key()

    async def go():
        async with Authenticator(engine, settings) as authenticator:
            for headers in (
                [("Authorization", f"Bearer {key}")],
                [("Authorization", f"bearer   {key} ")],
                [("X-API-Key", key)],
                [("X-API-Key", key), ("Authorization", f"Bearer {key}")],
            ):
                raw = [(name.lower().encode(), value.encode()) for name, value in headers]
                principal = await authenticator.authenticate(Headers(raw=raw))
                assert principal == Principal("client-1", "client", frozenset({"extract:run"}))

    asyncio.run(go())


def test_whatever_is_not_one_known_key_is_unauthorized(engine, settings, make_key):
    key, other = make_key("a"), make_key("b")

    async def go():
        async with Authenticator(engine, settings) as authenticator:
            for headers in (
                [],
                [(b"authorization", b"")],
                [(b"authorization", b"Bearer")],
                [(b"authorization", b"Bearer ")],
                [(b"authorization", key.encode())],
                [(b"authorization", b"Basic " + key.encode())],
                [(b"authorization", b"Bearer " + key.encode() + b" " + key.encode())],
                [(b"x-api-key", b"")],
                [(b"x-api-key", key[:-1].encode())],
                [(b"x-api-key", key.upper().encode())],
                [(b"x-api-key", b"\xff\xfe\x80" + key.encode())],
                [(b"authorization", "Bearer ключ".encode())],
                [(b"authorization", b"Bearer \xa0" + bytes(range(128, 256)))],
                [(b"x-api-key", key.encode()), (b"authorization", b"Bearer " + other.encode())],
                [(b"x-api-key", key.encode()), (b"x-api-key", other.encode())],
                [(b"x-api-key", key.encode()), (b"authorization", b"Basic eDp5")],
                [(b"x-api-key", b"x" * 100_000)],
            ):
                with pytest.raises(UnauthorizedError) as info:
                    await authenticator.authenticate(Headers(raw=headers))
                assert info.value.headers["WWW-Authenticate"].startswith("Bearer")
                assert key not in info.value.message

    asyncio.run(go())


def test_requests_cost_no_query_and_every_refresh_one_on_the_same_connection(
    engine, settings, make_key, bearer, statements
):
    """PITFALLS "database": a new connection for every key check."""
    headers = bearer(make_key())
    engine.dispose()
    connections = []
    event.listen(engine, "connect", lambda *_: connections.append(1))

    async def go():
        authenticator = Authenticator(engine, settings)
        await authenticator.refresh()
        statements.clear()
        for _ in range(200):
            await authenticator.authenticate(headers)
            assert await _refuses(authenticator, bearer("ocrlty_unknown"))
        assert statements == []
        for _ in range(5):
            await authenticator.refresh()

    asyncio.run(go())
    assert len(statements) == 5
    assert len(connections) == 1


def test_known_revoked_and_unknown_keys_take_the_same_steps(engine, settings, make_key, table):
    """The calls are compared, not the time: what is called for a key must not depend on whether it is good."""
    known, revoked = make_key("a"), make_key("b")
    table.revoke("b")
    authenticator = Authenticator(engine, settings)
    asyncio.run(authenticator.refresh())

    def steps(key):
        calls = []

        def note(frame, happening, argument):
            if happening in {"call", "c_call"}:
                calls.append(getattr(argument, "__name__", None) or frame.f_code.co_name)

        sys.setprofile(note)
        try:
            found = authenticator._owner(authenticator._hasher.digest(key))
        finally:
            sys.setprofile(None)
        return calls, found is not None

    assert [steps(key)[1] for key in (known, revoked, "ocrlty_x")] == [True, False, False]
    traces = [steps(key)[0] for key in (known, revoked, "ocrlty_x", "")]
    assert traces[0] == traces[1] == traces[2] == traces[3]
    assert "compare_digest" in traces[0]


def test_new_keys_work_and_revoked_ones_end_while_the_service_runs(engine, settings, make_key, table, bearer, quick):
    async def go():
        async with Authenticator(engine, settings) as authenticator:
            headers = bearer(await asyncio.to_thread(make_key))

            async def known():
                return not await _refuses(authenticator, headers)

            async def refused():
                return await _refuses(authenticator, headers)

            await _until(known)
            await asyncio.to_thread(table.revoke, "client-1")
            await _until(refused)

    asyncio.run(go())


def test_keys_outlive_the_database_for_a_while_and_then_nobody_is_trusted(
    engine, settings, make_key, bearer, quick, server, monkeypatch, caplog
):
    headers = bearer(make_key())

    async def go():
        async with Authenticator(engine, settings) as authenticator:
            await asyncio.to_thread(server.stop)
            with pytest.raises(StorageUnavailableError):
                await authenticator.refresh()

            async def told():
                return "the database does not answer" in caplog.text

            await _until(told)
            assert (await authenticator.authenticate(headers)).key_id == "client-1"
            assert await _refuses(authenticator, bearer("ocrlty_unknown"))

            monkeypatch.setattr(module, "MAX_AGE_S", 0.0)
            with pytest.raises(StorageUnavailableError, match="API keys cannot be checked"):
                await authenticator.authenticate(headers)
            # An unknown key gets the same answer: nobody learns which are good.
            assert await _refuses(authenticator, bearer("ocrlty_unknown"), StorageUnavailableError)

            monkeypatch.undo()
            await asyncio.to_thread(server.start)

            async def fresh():
                with contextlib.suppress(StorageUnavailableError):
                    await authenticator.refresh()
                return not await _refuses(authenticator, headers, StorageUnavailableError)

            await _until(fresh)

    asyncio.run(go())
    # Told once, however many refreshes failed.
    assert sum("the database does not answer" in message for message in caplog.messages) == 1


def test_a_service_that_starts_without_its_database_refuses_until_it_is_there(
    engine, settings, make_key, bearer, quick, server
):
    headers = bearer(make_key())

    async def go():
        await asyncio.to_thread(server.stop)
        async with Authenticator(engine, settings) as authenticator:
            assert await _refuses(authenticator, headers, StorageUnavailableError)
            await asyncio.to_thread(server.start)

            async def known():
                return not await _refuses(authenticator, headers, StorageUnavailableError)

            await _until(known)

    asyncio.run(go())


def test_when_keys_were_used_is_written_in_bulk_and_when_the_service_stops(
    engine, settings, make_key, table, bearer, statements, quick, monkeypatch
):
    used, unused = make_key("used"), make_key("unused")
    monkeypatch.setattr(module, "WRITE_USE_S", 0.0)

    async def go():
        async with Authenticator(engine, settings) as authenticator:
            for _ in range(50):
                await authenticator.authenticate(bearer(used))

            async def written():
                return (await asyncio.to_thread(table.all))[0].last_used_at is not None

            await _until(written)
            monkeypatch.setattr(module, "WRITE_USE_S", 3600.0)
            statements.clear()
            for key in (used, unused):
                await authenticator.authenticate(bearer(key))

    asyncio.run(go())
    first, second = table.all()
    assert first.last_used_at < second.last_used_at
    assert len([statement for statement in statements if "last_used_at" in statement and "UPDATE" in statement]) == 1


def test_use_that_could_not_be_written_is_written_later(engine, settings, make_key, table, bearer, server):
    headers = bearer(make_key())

    async def go():
        authenticator = Authenticator(engine, settings)
        await authenticator.refresh()
        await authenticator.authenticate(headers)
        server.stop()
        with pytest.raises(StorageUnavailableError):
            await authenticator.write_use()
        server.start()
        await authenticator.write_use()

    asyncio.run(go())
    assert table.all()[0].last_used_at is not None


def test_without_auth_everybody_is_the_local_admin_and_no_database_is_asked(engine, statements):
    async def go():
        settings = Settings(auth_enabled=False, _env_file=None)
        async with Authenticator(engine, settings) as authenticator:
            assert await authenticator.authenticate(Headers({"X-API-Key": "anything"})) == LOCAL_ADMIN

    asyncio.run(go())
    assert statements == []


def test_auth_without_a_pepper_does_not_start(engine):
    with pytest.raises(ConfigError, match="API_KEY_PEPPER"):
        Authenticator(engine, Settings(auth_enabled=True, api_key_pepper=None, _env_file=None))
