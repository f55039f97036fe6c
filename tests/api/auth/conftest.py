"""Keys in a real database, and the service's view of them."""

from __future__ import annotations

import pytest
from sqlalchemy import event
from starlette.datastructures import Headers

from ocrlty_api.auth.keys import KeyHasher, KeyTable
from ocrlty_api.auth.roles import Role
from ocrlty_pipeline.settings import Settings

PEPPER = "a pepper of the tests"


@pytest.fixture
def settings():
    return Settings(auth_enabled=True, api_key_pepper=PEPPER, _env_file=None)


@pytest.fixture
def table(engine):
    return KeyTable(engine)


@pytest.fixture
def hasher():
    return KeyHasher(PEPPER)


@pytest.fixture
def make_key(table, hasher):
    """Make a key of this name and role, and answer it."""

    def make_key(key_id="client-1", role=Role.CLIENT, scopes=None, *, replace=False):
        return table.create(key_id, role, scopes, hasher, replace=replace)

    return make_key


@pytest.fixture
def bearer():
    return lambda key: Headers({"Authorization": f"Bearer {key}"})


@pytest.fixture
def statements(engine):
    """The SQL that the engine has been asked to execute, as a list that grows."""
    seen = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    return seen
