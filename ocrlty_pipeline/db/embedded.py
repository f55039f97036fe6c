"""The embedded PostgreSQL: the default where no `DATABASE_URL` is set, shared by all processes that work in one folder.

The first to come starts the server, the last to leave stops it. Each user holds a shared lock on a file beside the data
directory, which the operating system frees when the process dies: a crash never keeps the server alive for ever, nor
takes it from under another.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from sqlalchemy import URL

from ocrlty_pipeline.db.cluster import PORT, SUPERUSER, Cluster
from ocrlty_pipeline.errors import StorageUnavailableError

DATABASE = "ocrlty"


@contextmanager
def embedded_postgres(data_dir: Path) -> Iterator[str]:
    """A PostgreSQL in `data_dir`, made and started where needed, as a `postgresql+psycopg://` URL on a Unix socket.

    Any number of processes, and any number of times within one, may use it at the same time.

    Raises:
        StorageUnavailableError: it cannot be made or started; says why and names its log.
    """
    cluster = Cluster(data_dir.expanduser().resolve())
    with _lock_file(cluster, "users") as users:
        try:
            with _turn(cluster):
                fcntl.flock(users, fcntl.LOCK_SH)
                folder = cluster.running() or cluster.start()
                cluster.await_ready()
                _ensure_database(folder)
            yield _url(folder)
        finally:
            with _turn(cluster):
                fcntl.flock(users, fcntl.LOCK_UN)
                if _nobody_holds(users) and cluster.running():
                    cluster.stop()


@contextmanager
def _turn(cluster: Cluster) -> Iterator[None]:
    """Look at the server, start or stop it, only one process at a time."""
    with _lock_file(cluster, "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _lock_file(cluster: Cluster, suffix: str) -> Iterator[IO[bytes]]:
    path = cluster.data_dir.with_name(f"{cluster.data_dir.name}.{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise StorageUnavailableError(
            f"The embedded database cannot use {path}: {error.strerror}; set OCRLTY_HOME to a folder of your own."
        ) from error
    with file:
        yield file


def _nobody_holds(users: IO[bytes]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ensure_database(folder: Path) -> None:
    with psycopg.connect(host=str(folder), port=PORT, user=SUPERUSER, dbname="postgres", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _url(folder: Path) -> str:
    # The port too: libpq would take it from PGPORT.
    url = URL.create(
        "postgresql+psycopg", username=SUPERUSER, database=DATABASE, query={"host": str(folder), "port": str(PORT)}
    )
    return url.render_as_string(hide_password=False)
