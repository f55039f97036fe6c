"""Which extracts a batch run consists of, in its image set's order, so that a page of them needs one query.

Storage stays the source of truth: every row is in its run's batch artifact. An extract may belong to several runs: the
one that made it, and those that continued that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Engine, func, select, text

from ocrlty_pipeline.db.models import SCHEMA, Base

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class RunItem:
    """One item: `position` counts from 0, `rel_ref` is the key of its extract artifact."""

    position: int
    file: str
    request_id: str
    rel_ref: str
    ok: bool


_TABLE = Base.metadata.tables[f"{SCHEMA}.run_items"]
_COLUMNS = [_TABLE.c[field.name] for field in fields(RunItem)]
# One statement for thousands of rows: a large run is written in a second.
_ADD = text(
    f"INSERT INTO {SCHEMA}.run_items (run_id, position, file, request_id, rel_ref, ok) "  # noqa: S608 -- no input in it
    "SELECT :run_id, item.* FROM unnest(CAST(:position AS integer[]), CAST(:file AS text[]), "
    "CAST(:request_id AS text[]), CAST(:rel_ref AS text[]), CAST(:ok AS boolean[])) AS item "
    "ON CONFLICT (run_id, position) DO UPDATE SET request_id = excluded.request_id, rel_ref = excluded.rel_ref, "
    "ok = excluded.ok WHERE run_items.request_id <> excluded.request_id"
)


def items_of(documents: Iterable[Mapping[str, Any] | bytes], first: int = 0) -> Iterator[RunItem]:
    """The items of a batch artifact, each as JSON or as what that holds; `first` is the first one's position."""
    for position, given in enumerate(documents, first):
        item = orjson.loads(given) if isinstance(given, bytes) else given
        yield RunItem(position, item["file"], item["request_id"], item["artifact_rel"], item["ok"])


class RunItems:
    """Rows of items; every method raises `StorageUnavailableError` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, run_id: str, items: Iterable[RunItem]) -> None:
        """Add a run's items, all or none; one that was tried again since replaces what it was."""
        todo = iter(items)
        with self._engine.begin() as connection:
            while rows := list(islice(todo, ROWS_AT_ONCE)):
                columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(RunItem)}
                connection.execute(_ADD, {"run_id": run_id, **columns})

    def counts(self, run_id: str) -> tuple[int, int]:
        """How many items of a run are known: those that gave JSON, and those that did not."""
        ok = func.count().filter(_TABLE.c.ok)
        with self._engine.connect() as connection:
            row = connection.execute(select(ok, func.count()).where(_TABLE.c.run_id == run_id)).one()
        return row[0], row[1] - row[0]

    def page(self, run_id: str, *, limit: int, after: int = -1, ok: bool | None = None) -> list[RunItem]:
        """A run's items in order.

        Args:
            run_id: the run.
            limit: how many at most.
            after: position of the last item of the page before.
            ok: only those that gave JSON, or only those that did not.
        """
        query = select(*_COLUMNS).where(_TABLE.c.run_id == run_id, _TABLE.c.position > after)
        if ok is not None:
            query = query.where(_TABLE.c.ok == ok)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(_TABLE.c.position).limit(limit)).mappings()
            return [RunItem(**row) for row in found]
