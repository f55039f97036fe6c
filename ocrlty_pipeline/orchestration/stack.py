"""What a command needs running: the database (embedded where none is named), its schema, and Dagster's home.

Started on entry where it is not running, and left as it was found. Child processes find all of it in their environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.db.engine import create_engine, migrate, to_dagster_url
from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.environment import environment
from ocrlty_pipeline.settings import Settings, load_settings

STACK_VARIABLES = ("DATABASE_URL", "DAGSTER_HOME", "DAGSTER_POSTGRES_URL")


@contextmanager
def running_stack(settings: Settings) -> Iterator[Settings]:
    """Database up and migrated, Dagster's home written, both named in the environment of this process.

    Yields:
        The settings with the database named.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    with ExitStack() as stack:
        url = _database_url(settings, stack)
        engine = create_engine(url)
        try:
            migrate(engine)
        finally:
            engine.dispose()
        home = _dagster_home(settings)
        variables = {"DATABASE_URL": url, "DAGSTER_HOME": str(home)}
        if "DAGSTER_POSTGRES_URL" not in os.environ:
            variables["DAGSTER_POSTGRES_URL"] = to_dagster_url(url)
        stack.enter_context(environment(variables))
        yield load_settings()


def dagster_instance() -> dg.DagsterInstance:
    """The instance of the running stack."""
    return dg.DagsterInstance.get()


def _database_url(settings: Settings, stack: ExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return stack.enter_context(embedded_postgres(settings.home / "postgres"))


def _dagster_home(settings: Settings) -> Path:
    """A folder holding `dagster.yaml`: the one that DAGSTER_HOME names, else our own."""
    if "DAGSTER_HOME" in os.environ:
        return Path(os.environ["DAGSTER_HOME"])
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(deployment_file("dagster.yaml").read_text())
    return home
