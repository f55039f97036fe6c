"""The index of artifacts in PostgreSQL: finds one by its id, and lists the newest, in one query.

Belongs here: rows of artifacts. Does not: which items a run has (`run_items`), or removing a run (`run_deletion`).

Storage stays the source of truth. `index_row` is the one place that knows which field of a document is which column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, get_args

from sqlalchemy import ARRAY, Engine, Select, Text, any_, bindparam, lateral, select, true, tuple_, union_all
from sqlalchemy.dialects.postgresql import array, distinct_on, insert

from ocrlty_pipeline.artifacts.keys import parse_document_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.models import SCHEMA, ArtifactKind, Base
from ocrlty_pipeline.errors import StorageError
from ocrlty_pipeline.records import REUSE_FIELDS, ExtractRecord, reuse_key

# Where a list continues: created_at and artifact_id of the last row seen.
Cursor = tuple[datetime, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One artifact as the index knows it; the columns of `ocrlty.artifacts`.

    Attributes:
        run_id: for an extract, its batch run; for an evaluation, the batch run it scores; for a batch run, itself.
        created_at: in UTC.
        reuse_key: for an extract with an answer, `records.reuse_key`.
        summary: what lists show beside the columns: of a batch run what it was made with and how long it took, of an
            evaluation its own summary and the version of its ground truth.
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
    reuse_key: str | None = None
    summary: Mapping[str, Any] | None = None

    @property
    def cursor(self) -> Cursor:
        return self.created_at, self.artifact_id


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A batch run in a list, and its latest evaluation: id, version of the ground truth, and summary."""

    row: IndexRow
    eval_id: str | None
    ground_truth_version: int | None
    eval_summary: Mapping[str, Any] | None


_TABLE = Base.metadata.tables[f"{SCHEMA}.artifacts"]
_COLUMNS = [_TABLE.c[field.name] for field in fields(IndexRow)]
_OF_BATCH = (
    "backend",
    "model_id",
    "prompt_sha256",
    "schema_sha256",
    "temperature",
    "max_tokens",
    "code_version",
    "status",
    "source_run_id",
    "shard_size",
)
_NEW = insert(_TABLE)
# Rows from before there were summaries, or these had all that they have now, get theirs when they are added again.
_ADD = _NEW.on_conflict_do_update(
    index_elements=[_TABLE.c.kind, _TABLE.c.artifact_id],
    set_={"summary": _NEW.excluded.summary},
    where=_NEW.excluded.summary.is_not(None)
    & (_TABLE.c.summary.is_(None) | ((_TABLE.c.kind == "batch") & ~_TABLE.c.summary.has_all(array(_OF_BATCH)))),
)
_COUNT_ROWS = {"preserve_rowcount": True}
_OF_EXTRACT = {"request_id", "created_at", "task_id", "run_id", "dagster_run_id", "auth", "input", "error"} | set(
    REUSE_FIELDS
)
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
            reuse_key=reuse_key(document) if kind == "extract" else None,
            summary=_summary(kind, document),
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
        """Add rows in one transaction, passing over artifacts that are there; returns how many were new.

        What is there without its summary gets it, and counts.
        """
        if not rows:
            return 0
        # Row by row through psycopg's pipeline: a seventh of the CPU time of one statement with many VALUES.
        with self._engine.begin() as connection:
            added = connection.execute(_ADD, [asdict(row) for row in rows], execution_options=_COUNT_ROWS)
            return int(added.rowcount)

    def find(self, kind: ArtifactKind, artifact_id: str) -> IndexRow | None:
        return self._first(_rows(kind).where(_TABLE.c.artifact_id == artifact_id))

    def find_all(self, kind: ArtifactKind, artifact_ids: Sequence[str]) -> list[IndexRow | None]:
        """What `find` answers to each, in one query."""
        wanted = bindparam("ids", list(artifact_ids), type_=ARRAY(Text))
        found = {row.artifact_id: row for row in self._all(_rows(kind).where(_TABLE.c.artifact_id == any_(wanted)))}
        return [found.get(artifact_id) for artifact_id in artifact_ids]

    def latest_batch(self, image_set: str, task_id: str | None = None) -> IndexRow | None:
        """The newest batch run of an image set; through one task where it is named."""
        return self._first(_batches_of(image_set, task_id).order_by(*_NEWEST_FIRST))

    def latest_eval(self, run_id: str) -> IndexRow | None:
        """The newest evaluation of a batch run."""
        return self._first(_rows("eval").where(_TABLE.c.run_id == run_id).order_by(*_NEWEST_FIRST))

    def reusable(self, owner: str, keys: Sequence[str]) -> dict[str, str]:
        """Of the reuse keys to which a record of this owner has the answer: the key of the newest such record."""
        newest = (
            select(_TABLE.c.reuse_key, _TABLE.c.rel_ref)
            .ext(distinct_on(_TABLE.c.reuse_key))
            .where(_TABLE.c.reuse_key == any_(bindparam("keys", type_=ARRAY(Text))), _TABLE.c.owner_key_id == owner)
            .order_by(_TABLE.c.reuse_key, _TABLE.c.created_at.desc())
        )
        with self._engine.connect() as connection:
            found = connection.execute(newest, {"keys": list(keys)})
            return {row.reuse_key: row.rel_ref for row in found}

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
        return self._all(_narrowed(kind, limit=limit, cursor=cursor, owner=owner, task_id=task_id))

    def runs(
        self, *, limit: int, cursor: Cursor | None = None, owner: str | None = None, task_id: str | None = None
    ) -> list[ListedRun]:
        """Batch runs, newest first, as `page` has them, each with the summary of its latest evaluation."""
        return self._evaluated(_narrowed("batch", limit=limit, cursor=cursor, owner=owner, task_id=task_id))

    def runs_of(self, image_set: str, task_id: str | None = None) -> list[ListedRun]:
        """All batch runs of an image set, newest first; through one task where it is named."""
        return self._evaluated(_batches_of(image_set, task_id))

    def _evaluated(self, batches: Select[Any]) -> list[ListedRun]:
        page = batches.subquery()
        evals = _TABLE.alias()
        latest = lateral(
            select(
                evals.c.artifact_id.label("eval_id"),
                evals.c.summary["ground_truth_version"].as_integer().label("ground_truth_version"),
                evals.c.summary["summary"].label("eval_summary"),
            )
            .where(evals.c.kind == "eval", evals.c.run_id == page.c.artifact_id)
            .order_by(evals.c.created_at.desc(), evals.c.artifact_id.desc())
            .limit(1)
        )
        query = (
            select(page, *latest.c)
            .select_from(page.outerjoin(latest, true()))
            .order_by(page.c.created_at.desc(), page.c.artifact_id.desc())
        )
        with self._engine.connect() as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
        of_evals = [{name: row.pop(name) for name in latest.c.keys()} for row in found]  # noqa: SIM118 -- no mapping
        return [ListedRun(row=_row(row), **of_eval) for row, of_eval in zip(found, of_evals, strict=True)]

    def newest(self, *, limit: int, day: date | None = None, owner: str | None = None) -> list[IndexRow]:
        """Artifacts of all kinds, newest first.

        Args:
            limit: how many at most.
            day: only those created on this day, in UTC.
            owner: only those of this key.
        """
        of_each = [_narrowed(kind, limit=limit, owner=owner, day=day) for kind in get_args(ArtifactKind)]
        found = union_all(*(query.subquery().select() for query in of_each)).subquery()
        return self._all(select(found).order_by(found.c.created_at.desc(), found.c.artifact_id.desc()).limit(limit))

    def _first(self, query: Select[Any]) -> IndexRow | None:
        return next(iter(self._all(query.limit(1))), None)

    def _all(self, query: Select[Any]) -> list[IndexRow]:
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        return [_row(dict(row)) for row in found]


def _row(found: Mapping[str, Any]) -> IndexRow:
    return IndexRow(**{**found, "created_at": found["created_at"].astimezone(UTC)})


def _rows(kind: ArtifactKind) -> Select[Any]:
    return select(*_COLUMNS).where(_TABLE.c.kind == kind)


def _batches_of(image_set: str, task_id: str | None) -> Select[Any]:
    query = _rows("batch").where(_TABLE.c.image_set == image_set)
    return query if task_id is None else query.where(_TABLE.c.task_id == task_id)


def _narrowed(  # noqa: PLR0913 -- one parameter a condition
    kind: ArtifactKind,
    *,
    limit: int,
    cursor: Cursor | None = None,
    owner: str | None = None,
    task_id: str | None = None,
    day: date | None = None,
) -> Select[Any]:
    """The newest artifacts of a kind under every condition that is given: one backward scan of an index."""
    query = _rows(kind).order_by(*_NEWEST_FIRST).limit(limit)
    if cursor is not None:
        query = query.where(tuple_(_TABLE.c.created_at, _TABLE.c.artifact_id) < cursor)
    if owner is not None:
        query = query.where(_TABLE.c.owner_key_id == owner)
    if task_id is not None:
        query = query.where(_TABLE.c.task_id == task_id)
    if day is not None:
        begin = datetime.combine(day, time(), UTC)
        query = query.where(_TABLE.c.created_at >= begin, _TABLE.c.created_at < begin + timedelta(days=1))
    return query


def _summary(kind: ArtifactKind, document: Mapping[str, Any]) -> dict[str, Any] | None:
    if kind == "batch":
        total = (document.get("timings_ms") or {}).get("total")
        return {**{name: document.get(name) for name in _OF_BATCH}, "total_time": total}
    if kind == "eval":
        return {name: document.get(name) for name in ("summary", "ground_truth_version")}
    return None


def _instant(created_at: str) -> datetime:
    instant = datetime.fromisoformat(created_at)
    if instant.tzinfo is None:
        raise ValueError(f"created_at {created_at!r} names no time zone")
    return instant.astimezone(UTC)
