"""The index of artifacts in PostgreSQL: finds one by its id, and lists the newest, in one query.

Storage stays the source of truth. `index_row` is the one place that knows which field of a document is which column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine, Select, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from ocrlty_pipeline.artifacts.keys import parse_document_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.models import SCHEMA, ArtifactKind, Base
from ocrlty_pipeline.errors import StorageError
from ocrlty_pipeline.records import ExtractRecord

# Where a list continues: created_at and artifact_id of the last row seen.
Cursor = tuple[datetime, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One artifact as the index knows it; the columns of `ocrlty.artifacts`.

    Attributes:
        run_id: for an extract, its batch run; for an evaluation, the batch run it scores; for a batch run, itself.
        created_at: in UTC.
    """

    kind: ArtifactKind
    artifact_id: str
    owner_key_id: str | None
    day: date
    storage: str
    full_ref: str
    rel_ref: str
    created_at: datetime
    task_id: str | None = None
    image_set: str | None = None
    run_id: str | None = None
    dagster_run_id: str | None = None
    item_count: int | None = None
    ok_count: int | None = None
    error_count: int | None = None

    @property
    def cursor(self) -> Cursor:
        return self.created_at, self.artifact_id


_TABLE = Base.metadata.tables[f"{SCHEMA}.artifacts"]
_COLUMNS = [_TABLE.c[field.name] for field in fields(IndexRow)]
_ADD = insert(_TABLE).on_conflict_do_nothing()
_COUNT_ROWS = {"preserve_rowcount": True}
_OF_EXTRACT = {"request_id", "created_at", "task_id", "run_id", "dagster_run_id", "auth", "input", "error"}
_NEWEST_FIRST = (_TABLE.c.created_at.desc(), _TABLE.c.artifact_id.desc())


def index_row(rel: str, document: Mapping[str, Any], store: ArtifactStore) -> IndexRow:
    """The row of an artifact.

    Args:
        rel: its key, which tells kind, day and id.
        document: its JSON.
        store: where it lies.

    Raises:
        StorageError: the key or the document is not an artifact's; names the key.
    """
    named = parse_document_key(rel)
    if named is None:
        raise StorageError(f"{store.full_ref(rel)} is not the key of an extract, a batch run or an evaluation.")
    kind, day, artifact_id = named
    try:
        return IndexRow(
            kind=kind,
            artifact_id=artifact_id,
            owner_key_id=(document.get("auth") or {}).get("key_id"),
            day=day,
            storage=store.kind,
            full_ref=store.full_ref(rel),
            rel_ref=rel,
            created_at=_instant(document["created_at"]),
            task_id=document.get("task_id"),
            image_set=document.get("image_set"),
            run_id=document.get("run_id"),
            dagster_run_id=document.get("dagster_run_id"),
            item_count=document.get("item_count"),
            ok_count=document.get("ok_count"),
            error_count=document.get("error_count"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{store.full_ref(rel)} is not an artifact's document: {error!r}.") from error


def extract_row(rel: str, record: ExtractRecord, store: ArtifactStore) -> IndexRow:
    """The row of an extract artifact from its record, without the cost of its JSON."""
    return index_row(rel, record.model_dump(include=_OF_EXTRACT), store)


class ArtifactIndex:
    """Rows of artifacts; every method raises `StorageUnavailableError` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, rows: Sequence[IndexRow]) -> int:
        """Add rows in one transaction, passing over artifacts that are there; returns how many were new."""
        if not rows:
            return 0
        # Row by row through psycopg's pipeline: a seventh of the CPU time of one statement with many VALUES.
        with self._engine.begin() as connection:
            added = connection.execute(_ADD, [asdict(row) for row in rows], execution_options=_COUNT_ROWS)
            return int(added.rowcount)

    def find(self, kind: ArtifactKind, artifact_id: str) -> IndexRow | None:
        return self._first(_rows(kind).where(_TABLE.c.artifact_id == artifact_id))

    def latest_batch(self, image_set: str, task_id: str) -> IndexRow | None:
        """The newest batch run of an image set through a task."""
        same = _rows("batch").where(_TABLE.c.image_set == image_set, _TABLE.c.task_id == task_id)
        return self._first(same.order_by(*_NEWEST_FIRST))

    def batches(self, image_set: str, task_id: str | None = None) -> list[IndexRow]:
        """The batch runs of an image set, newest first; through one task where it is named."""
        query = _rows("batch").where(_TABLE.c.image_set == image_set)
        if task_id is not None:
            query = query.where(_TABLE.c.task_id == task_id)
        return self._all(query.order_by(*_NEWEST_FIRST))

    def latest_eval(self, run_id: str) -> IndexRow | None:
        """The newest evaluation of a batch run."""
        return self._first(_rows("eval").where(_TABLE.c.run_id == run_id).order_by(*_NEWEST_FIRST))

    def page(
        self,
        kind: ArtifactKind,
        *,
        limit: int,
        cursor: Cursor | None = None,
        owner: str | None = None,
        task_id: str | None = None,
    ) -> list[IndexRow]:
        """Artifacts of a kind, newest first.

        Args:
            kind: extract, batch or eval.
            limit: how many rows at most.
            cursor: `cursor` of the last row of the page before; equal times are told apart by the id.
            owner: only those of this key.
            task_id: only those of this task.
        """
        query = _rows(kind).order_by(*_NEWEST_FIRST).limit(limit)
        if cursor is not None:
            query = query.where(tuple_(_TABLE.c.created_at, _TABLE.c.artifact_id) < cursor)
        if owner is not None:
            query = query.where(_TABLE.c.owner_key_id == owner)
        if task_id is not None:
            query = query.where(_TABLE.c.task_id == task_id)
        return self._all(query)

    def _first(self, query: Select[Any]) -> IndexRow | None:
        return next(iter(self._all(query.limit(1))), None)

    def _all(self, query: Select[Any]) -> list[IndexRow]:
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        return [IndexRow(**{**row, "created_at": row["created_at"].astimezone(UTC)}) for row in found]


def _rows(kind: ArtifactKind) -> Select[Any]:
    return select(*_COLUMNS).where(_TABLE.c.kind == kind)


def _instant(created_at: str) -> datetime:
    instant = datetime.fromisoformat(created_at)
    if instant.tzinfo is None:
        raise ValueError(f"created_at {created_at!r} names no time zone")
    return instant.astimezone(UTC)
