"""Connections to PostgreSQL, and bringing its tables up to date.

One place turns a failed connection into words a person can act on. Which URL is used is the caller's decision.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import sqlalchemy
from sqlalchemy import URL, Connection, Engine, ExceptionContext, column, event, func, make_url, select, table
from sqlalchemy.schema import CreateSchema

from ocrlty_pipeline.db.locks import lock_key
from ocrlty_pipeline.db.models import SCHEMA
from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.errors import StorageUnavailableError

CONNECT_TIMEOUT_S = 5
# A server that vanished without a word (power, network, failover) is noticed in about half a minute; by TCP's own
# defaults a query would hang for a quarter of an hour, a quiet connection for two hours.
VANISHED = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
VERSION_TABLE = "alembic_version"


def create_engine(url: str) -> Engine:
    """An engine with a small pool; connections that the server has closed meanwhile are replaced unnoticed.

    Every use of it that cannot connect, or loses its connection, raises `StorageUnavailableError`.
    """
    engine = sqlalchemy.create_engine(
        url,
        pool_size=4,
        max_overflow=12,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "ocrlty", **VANISHED},
    )
    event.listen(engine, "handle_error", _explain_lost_connection)
    return engine


def to_dagster_url(url: str) -> str:
    """The same database for Dagster, whose storage speaks psycopg2 only.

    A bare `postgresql://` would not do: SQLAlchemy 2.1 reads it as psycopg 3.
    """
    return make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def describe(url: URL) -> str:
    """`host:port/database`, or `socket folder/database`, without user and password."""
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"{host}{port}/{url.database or ''}"


def migrate(engine: Engine) -> None:
    """Bring schema `ocrlty` to the newest version; one query when it is there already.

    Several processes may call it at once: an advisory lock lets one migrate, the others wait and find it done.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    folder = deployment_file("migrations")
    with engine.begin() as connection:
        if _current_version(connection) == newest_version(folder):
            return
        connection.execute(select(func.pg_advisory_xact_lock(lock_key("migrate"))))
        connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
        _upgrade(connection, folder)


def newest_version(folder: Path) -> str:
    """By the files' names, `<version>_<subject>.py`: alembic, which would know, takes half a second to import."""
    return max(path.stem.split("_")[0] for path in (folder / "versions").glob("[0-9]*.py"))


def _current_version(connection: Connection) -> str | None:
    if connection.scalar(select(func.to_regclass(f"{SCHEMA}.{VERSION_TABLE}"))) is None:
        return None
    version: str | None = connection.scalar(
        select(column("version_num")).select_from(table(VERSION_TABLE, schema=SCHEMA))
    )
    return version


def _upgrade(connection: Connection, folder: Path) -> None:
    from alembic import command  # noqa: PLC0415  # slow to import and seldom needed
    from alembic.config import Config  # noqa: PLC0415  # likewise

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")


def _explain_lost_connection(context: ExceptionContext) -> None:
    error = context.original_exception
    lost = context.connection is None or context.is_disconnect
    # A failed ping is the pool's business: it connects anew, which may fail in turn.
    if not isinstance(error, psycopg.OperationalError) or not lost or context.is_pre_ping:
        return
    where = describe(context.engine.url) if context.engine is not None else "DATABASE_URL"
    reason = " ".join(str(error).split()).rstrip(".")
    raise StorageUnavailableError(
        f"The database at {where} cannot be reached: {reason}; check DATABASE_URL."
    ) from error
