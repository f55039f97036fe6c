"""The real parts that tests stand on: one PostgreSQL and one S3 endpoint a session, a database and a bucket a test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.db.engine import create_engine, migrate
from tests.support.s3_server import running_s3

# How long an example takes, on a machine shared with others, says nothing about what it shows.
hypothesis.settings.register_profile(
    "ocrlty", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("ocrlty")

TEMPLATE = "ocrlty"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url():
    """A running server; its database `ocrlty` is migrated and stays empty: each test gets a copy of it."""
    folder = Path(tempfile.mkdtemp(prefix="ocrlty-tests-"))
    try:
        with embedded_postgres(folder / "postgres") as url:
            engine = create_engine(url)
            migrate(engine)
            engine.dispose()
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def empty_database_url(postgres_url):
    """A database of this test without any table."""
    yield from _database(postgres_url, template="template0")


@pytest.fixture
def database_url(postgres_url):
    """A database of this test with our tables, all empty."""
    yield from _database(postgres_url, template=TEMPLATE)


@pytest.fixture
def second_database_url(postgres_url):
    """Another one like `database_url`."""
    yield from _database(postgres_url, template=TEMPLATE)


@pytest.fixture
def engine(database_url):
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def s3_server():
    with running_s3() as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server):
    """The name of an empty bucket of this test."""
    name = f"bucket-{next(_numbers)}"
    s3_server.create_bucket(name)
    return name


def _database(server, template):
    name = f"test_{next(_numbers)}"
    _execute(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    _execute(server, "DROP DATABASE {} WITH (FORCE)", name)


def _execute(server, statement, *names):
    url = make_url(server)
    with psycopg.connect(user=url.username, dbname="postgres", autocommit=True, **url.query) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
