"""A database that goes away and comes back, as its clients see it."""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
from psycopg import sql


@contextmanager
def database_away(url):
    """Nobody can connect to the database while the block lasts, and who was connected is no more."""
    _alter(url, "ALTER DATABASE {} ALLOW_CONNECTIONS false")
    end_connections(url)
    try:
        yield
    finally:
        _alter(url, "ALTER DATABASE {} ALLOW_CONNECTIONS true")


def end_connections(url):
    """End all connections to the database, as its restart does."""
    with _server(url) as connection:
        query = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(query, (url.database,))


def _alter(url, statement):
    with _server(url) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(url.database)))


def _server(url):
    return psycopg.connect(user=url.username, dbname="postgres", autocommit=True, **url.query)
