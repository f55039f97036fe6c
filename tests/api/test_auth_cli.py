"""The command as a person runs it; its refusals in this process, which is quicker."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import subprocess
import sys

import pytest
from sqlalchemy import text

from ocrlty_api.auth.keys import KeyTable
from ocrlty_api.auth_cli import run

PEPPER = "a pepper of the tests"


@pytest.fixture
def refused(database_url, monkeypatch, capsys, tmp_path):
    """Run a command and answer the one line with which it refuses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("API_KEY_PEPPER", PEPPER)

    def refused(*arguments):
        assert run(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        return line.removeprefix("Error: ")

    return refused


def _command(*arguments, cwd, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "API_KEY_PEPPER"}}
    return subprocess.run(
        [sys.executable, "-m", "ocrlty_api.auth_cli", *arguments],
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_key_is_made_listed_and_revoked_in_an_empty_database(empty_database_url, tmp_path):
    def command(*arguments):
        done = _command("--database-url", empty_database_url, *arguments, cwd=tmp_path, API_KEY_PEPPER=PEPPER)
        assert done.returncode == 0, done.stderr
        return done

    created = command("create-key", "--key-id", "client-1", "--role", "client")
    # Standard output holds the key alone, so that `KEY=$(...)` is the key.
    assert re.fullmatch(r"ocrlty_[A-Za-z0-9_-]{43}\n", created.stdout)
    key = created.stdout.strip()
    assert key not in created.stderr

    revoked = command("revoke-key", "--key-id", "client-1")
    assert "client-1 is revoked" in revoked.stderr
    listed = command("list-keys")
    header, line = listed.stdout.splitlines()
    assert header.split()[:3] == ["KEY_ID", "ROLE", "SCOPES"]
    assert re.fullmatch(r"client-1  client  extract:run  20\S+ \S+  - +20\S+ \S+", line)
    assert key not in listed.stdout
    assert hmac.new(PEPPER.encode(), key.encode(), hashlib.sha256).hexdigest() not in listed.stdout


def test_without_a_database_url_the_embedded_database_is_used(tmp_path):
    done = _command(
        "create-key", "--key-id", "a", "--role", "admin", cwd=tmp_path, API_KEY_PEPPER=PEPPER, OCRLTY_HOME="home"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ocrlty_")
    assert (tmp_path / "home" / "postgres" / "PG_VERSION").exists()


def test_init_db_makes_the_tables_and_may_be_run_again(empty_database_url, monkeypatch, capsys):
    for _ in range(2):
        monkeypatch.setenv("DATABASE_URL", empty_database_url)
        assert run(["init-db"]) == 0
    assert capsys.readouterr().err.count("up to date") == 2


@pytest.mark.parametrize("scopes", ["debug:run, extract:run", '["debug:run", "extract:run"]', "extract:run,debug:run,"])
def test_scopes_are_a_list_in_csv_or_json_and_grant_just_these(refused, engine, scopes):
    assert run(["create-key", "--key-id", "k", "--role", "admin", "--scopes", scopes]) == 0
    (key,) = KeyTable(engine).all()
    assert (key.role, key.scopes) == ("admin", ("debug:run", "extract:run"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--scopes", "foo:bar"), "Unknown scope 'foo:bar'"),
        (("--scopes", "extract:run,foo:bar"), "Unknown scope 'foo:bar'"),
        (("--scopes", '["foo:bar"]'), "Unknown scope 'foo:bar'"),
        (("--scopes", ""), "list of scopes is empty"),
        (("--scopes", "[]"), "list of scopes is empty"),
        (("--scopes", '["extract:run"'), "no JSON list of strings"),
        (("--scopes", "[1]"), "no JSON list of strings"),
        (("--role", "root"), "Unknown role 'root'"),
        (("--key-id", "../k"), "key_id '../k' is not allowed"),
        (("--key-id", "local"), "'local' is reserved"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_nothing_is_made(refused, engine, arguments, expected):
    """PITFALLS "key scopes": an unknown scope was accepted and granted extract:run."""
    assert expected in refused("create-key", "--key-id", "k", "--role", "client", *arguments)
    assert KeyTable(engine).all() == []


def test_a_name_in_use_is_refused_unless_its_key_shall_end(refused, engine, capsys):
    create = ("create-key", "--key-id", "k", "--role", "client")
    assert run(create) == 0
    first = capsys.readouterr().out
    assert "'k' is taken" in refused(*create)
    assert run([*create, "--replace"]) == 0
    assert capsys.readouterr().out not in {"", first}
    assert len(KeyTable(engine).active()) == 1


def test_what_is_missing_is_named(refused, monkeypatch, capsys):
    assert "no key 'nobody'" in refused("revoke-key", "--key-id", "nobody")
    monkeypatch.delenv("API_KEY_PEPPER")
    assert "API_KEY_PEPPER is not set" in refused("create-key", "--key-id", "k", "--role", "client")
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://u@127.0.0.1:9/x")
    assert "127.0.0.1:9/x cannot be reached" in refused("list-keys")
    assert run(["create-key", "--role", "client"]) == 2
    assert "--key-id" in capsys.readouterr().err


def test_a_database_that_forbids_it_is_told_in_one_line(refused, engine):
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE ocrlty.api_keys RENAME TO other"))
    assert 'relation "ocrlty.api_keys" does not exist' in refused("list-keys")
