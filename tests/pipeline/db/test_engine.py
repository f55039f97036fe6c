from __future__ import annotations

import socket

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import make_url, text

from ocrlty_pipeline.db.engine import create_engine, describe, to_dagster_url
from ocrlty_pipeline.errors import StorageUnavailableError


def test_a_database_that_is_down_is_named_without_its_password():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        engine = create_engine(f"postgresql+psycopg://me:hidden@127.0.0.1:{port}/receipts")
        sentence = (
            rf"^The database at 127\.0\.0\.1:{port}/receipts cannot be reached: .*refused.*; check DATABASE_URL\.$"
        )
        with pytest.raises(StorageUnavailableError, match=sentence) as failure:
            engine.connect()
    assert "hidden" not in failure.value.message


def test_a_database_that_does_not_exist_is_named(database_url):
    url = make_url(database_url).set(database="nowhere")
    with pytest.raises(StorageUnavailableError, match='database "nowhere" does not exist'):
        create_engine(url.render_as_string(hide_password=False)).connect()


def test_connections_that_the_server_ended_are_replaced_unnoticed(engine, database_url):
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != pid


def test_a_connection_lost_in_mid_use_is_explained(engine):
    with engine.connect() as connection, pytest.raises(StorageUnavailableError, match="check DATABASE_URL"):
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_other_errors_of_the_database_stay_what_they_are(engine):
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.ProgrammingError):
        connection.execute(text("SELECT * FROM nothing"))


def test_dagster_gets_the_same_database_through_psycopg2(database_url):
    url = make_url(to_dagster_url(database_url))
    assert url.drivername == "postgresql+psycopg2"
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == url.database
    engine.dispose()


def test_dagster_s_url_keeps_the_password():
    assert (
        to_dagster_url("postgresql+psycopg://me:p%40ss@host:5433/db") == "postgresql+psycopg2://me:p%40ss@host:5433/db"
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://me:hidden@host:5433/db", "host:5433/db"),
        ("postgresql+psycopg://me@host/db", "host/db"),
        ("postgresql+psycopg://me@/db?host=%2Frun%2Fpg", "/run/pg/db"),
    ],
)
def test_a_url_is_described_without_user_and_password(url, words):
    assert describe(make_url(url)) == words


def test_a_server_that_vanished_is_noticed_within_half_a_minute(engine):
    with engine.connect() as connection:
        options = connection.connection.driver_connection.info.get_parameters()
    idle, interval, count = (int(options[f"keepalives_{name}"]) for name in ("idle", "interval", "count"))
    assert idle + interval * count <= 30
    assert int(options["tcp_user_timeout"]) <= 30_000
