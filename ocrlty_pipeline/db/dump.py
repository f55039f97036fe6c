"""The rows that storage does not have, as JSON: keys' hashes, baselines, schedules, the journal of batches.

Belongs here: reading and writing them, in PostgreSQL's own words for each type. Does not: the index, which `reindex`
rebuilds, or where the rows go (`artifacts.backup`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import orjson
from sqlalchemy import Engine, text

from ocrlty_pipeline.db.models import SCHEMA, Base
from ocrlty_pipeline.errors import InputError

# Made from artifacts, by `artifacts.reindex`.
REBUILT = frozenset({"artifacts", "run_items", "ground_truths"})
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table: a JSON array of objects, one for each."""

    table: str
    number: int
    data: bytes


def kept_tables() -> list[str]:
    """Names of the tables that only the database has, those first to which others refer."""
    return [table.name for table in Base.metadata.sorted_tables if table.name not in REBUILT]


def dump_rows(engine: Engine) -> Generator[Rows]:
    """Every kept table, as it is at one moment.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    snapshot = {"isolation_level": "REPEATABLE READ", "stream_results": True, "yield_per": ROWS_AT_ONCE}
    with engine.connect().execution_options(**snapshot) as connection:
        for table in kept_tables():
            query = text(f"SELECT CAST(to_jsonb(kept) AS text) FROM {SCHEMA}.{table} AS kept")  # noqa: S608 -- our own name
            for number, part in enumerate(connection.scalars(query).partitions(), start=1):
                yield Rows(table, number, b"[" + ",\n".join(part).encode() + b"]")


def load_rows(engine: Engine, table: str, data: bytes) -> int:
    """Put rows back that are not there; returns how many. What is there under the same key stays as it is.

    Raises:
        InputError: there is no such table, or the rows are none of its own.
        StorageUnavailableError: the database cannot be reached.
    """
    if table not in kept_tables():
        raise InputError(f"There is no table {table!r} to restore: the backup is of a later version, so update first.")
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"The rows of table {table!r} cannot be read: {error}; make the backup again.") from None
    own = f"{SCHEMA}.{table}"
    statement = text(
        f"INSERT INTO {own} SELECT * FROM jsonb_populate_recordset(CAST(NULL AS {own}), CAST(:rows AS jsonb)) "  # noqa: S608
        "ON CONFLICT DO NOTHING"
    )
    with engine.begin() as connection:
        return int(connection.execute(statement, {"rows": orjson.dumps(rows).decode()}).rowcount)
