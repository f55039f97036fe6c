from __future__ import annotations

import hashlib
import hmac
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from ocrlty_api.auth.keys import KeyHasher
from ocrlty_api.auth.roles import Role, Scope
from ocrlty_pipeline.db.models import ApiKeyRow
from ocrlty_pipeline.errors import ConfigError, InputError
from ocrlty_pipeline.settings import Settings
from tests.api.auth.conftest import PEPPER


def test_a_key_is_random_and_recognizable(make_key):
    keys = {make_key(f"k{number}") for number in range(20)}
    assert len(keys) == 20
    # 43 characters of base64 hold 32 random bytes.
    assert all(re.fullmatch(r"ocrlty_[A-Za-z0-9_-]{43}", key) for key in keys)


def test_only_the_hash_under_the_pepper_is_stored_and_nothing_is_logged(make_key, engine, caplog):
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            key = make_key()
    finally:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "INSERT INTO ocrlty.api_keys" in caplog.text
    with engine.connect() as connection:
        row = connection.execute(text("SELECT key_hash, api_keys::text FROM ocrlty.api_keys")).one()
    assert row[0] == hmac.new(PEPPER.encode(), key.encode(), hashlib.sha256).digest()
    assert key not in row[1] + caplog.text
    assert key.removeprefix("ocrlty_") not in row[1] + caplog.text


def test_a_key_has_the_scopes_of_its_role_or_just_those_listed(make_key, table):
    make_key("d", Role.DEBUGGER)
    make_key("e", Role.ADMIN, [Scope.EXTRACT_RUN])
    granted = {key.principal.key_id: (key.principal.role, key.principal.scopes) for key in table.active()}
    assert granted == {"d": ("debugger", {"extract:run", "debug:run"}), "e": ("admin", {"extract:run"})}


def test_the_database_itself_refuses_unknown_roles_and_scopes(make_key, engine):
    make_key()
    for change in ({"scopes": ["extract:run", "foo:bar"]}, {"role": "root"}, {"key_hash": b"short"}):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(update(ApiKeyRow).values(change))


@pytest.mark.parametrize("key_id", ["", "../x", "a/b", "a b", "-a", "a\n", "x" * 129, "ключ", "a\0"])
def test_a_key_id_that_cannot_name_a_folder_is_refused(make_key, table, key_id):
    with pytest.raises(InputError, match="key_id"):
        make_key(key_id)
    assert table.all() == []


def test_the_key_id_of_who_works_without_a_key_is_reserved(make_key):
    with pytest.raises(InputError, match="'local' is reserved"):
        make_key("local")


def test_a_key_id_in_use_is_refused_and_its_key_stays(make_key, table):
    make_key()
    before = table.active()
    with pytest.raises(InputError, match="'client-1' is taken"):
        make_key(role=Role.ADMIN)
    assert table.active() == before


def test_a_revoked_key_id_is_not_used_again_unless_that_is_said(make_key, table, hasher):
    make_key()
    assert table.revoke("client-1")
    with pytest.raises(InputError, match="'client-1' is taken, by a revoked key perhaps"):
        make_key()
    assert table.active() == []
    key = make_key(role=Role.DEBUGGER, replace=True)
    (active,) = table.active()
    assert (active.digest, active.principal.role) == (hasher.digest(key), "debugger")


def test_replacing_a_key_ends_the_one_before(make_key, table, hasher):
    old, new = make_key(), make_key(replace=True)
    assert old != new
    assert [key.digest for key in table.active()] == [hasher.digest(new)]


def test_a_revoked_key_is_listed_and_no_longer_active(make_key, table):
    make_key("a")
    make_key("b")
    assert table.revoke("a")
    assert not table.revoke("a")
    assert [(key.key_id, key.revoked_at is None) for key in table.all()] == [("a", False), ("b", True)]
    assert [key.principal.key_id for key in table.active()] == ["b"]


def test_revoking_a_key_that_does_not_exist_is_an_error(table):
    with pytest.raises(InputError, match="no key 'nobody'"):
        table.revoke("nobody")


def test_use_is_noted_for_all_keys_at_once_and_never_moved_back(make_key, table, statements):
    make_key("a")
    make_key("b")
    now = datetime.now(UTC)
    statements.clear()
    table.note_use({"a": now, "b": now, "gone": now})
    table.note_use({"a": now - timedelta(minutes=5)})
    assert len(statements) == 2
    assert [key.last_used_at for key in table.all()] == [now, now]


@pytest.mark.parametrize(("pepper", "problem"), [(None, "is not set"), ("x" * 15, "has fewer than 16 characters")])
def test_a_missing_or_short_pepper_is_refused_with_how_to_make_one(pepper, problem):
    settings = Settings(api_key_pepper=pepper, _env_file=None)
    with pytest.raises(ConfigError, match=rf"API_KEY_PEPPER {problem}.*python -c 'import secrets") as info:
        KeyHasher.from_settings(settings)
    assert pepper is None or pepper not in info.value.message
