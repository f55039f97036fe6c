from __future__ import annotations

import multiprocessing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from ocrlty_pipeline.db.engine import create_engine, migrate, newest_version
from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.deployment import deployment_file


@pytest.fixture
def empty(empty_database_url):
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_migrations_make_the_tables_that_the_models_describe(empty):
    migrate(empty)
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        "version_table_schema": SCHEMA,
        "compare_server_default": True,
    }
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    checks = {
        constraint["name"]
        for table in Base.metadata.tables.values()
        for constraint in inspect(empty).get_check_constraints(table.name, schema=SCHEMA)
    }
    assert checks == {"artifacts_kind_check", "batch_runs_state_check"}


def test_nothing_of_ours_lies_where_dagster_keeps_its_tables(empty):
    migrate(empty)
    assert inspect(empty).get_table_names(schema="public") == []
    assert "alembic_version" in inspect(empty).get_table_names(schema=SCHEMA)


def test_a_database_that_is_up_to_date_is_asked_for_its_version_only(engine):
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    migrate(engine)
    assert len(statements) == 2
    assert all(statement.startswith("SELECT") for statement in statements)


def test_two_processes_may_migrate_at_once(empty, empty_database_url):
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    processes = [context.Process(target=_migrate, args=(empty_database_url, together)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    ours = {table.name for table in Base.metadata.tables.values()}
    assert set(inspect(empty).get_table_names(schema=SCHEMA)) == {"alembic_version", *ours}


def test_a_migration_that_fails_leaves_nothing_behind(empty):
    with empty.begin() as connection:
        connection.execute(text("CREATE SCHEMA ocrlty"))
        connection.execute(text("CREATE TABLE ocrlty.batch_runs (run_id text)"))
    with pytest.raises(Exception, match="already exists"):
        migrate(empty)
    assert inspect(empty).get_table_names(schema=SCHEMA) == ["batch_runs"]


def test_the_newest_version_by_file_name_is_alembic_s_head():
    config = Config()
    config.set_main_option("script_location", str(deployment_file("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [newest_version(deployment_file("migrations"))]


def _migrate(url, together):
    engine = create_engine(url)
    with engine.connect():
        together.wait()
    migrate(engine)
    engine.dispose()
