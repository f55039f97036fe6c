"""Deleting a batch run: its artifacts in storage, then what the database knows of it.

Belongs here: what belongs to a run alone. Does not: inputs, which stay, or whether its job is active (the caller's to
say).

The run's row in the index goes last: interrupted, a deletion is simply asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Engine, and_, delete, exists, func, select, union
from sqlalchemy.orm import InstrumentedAttribute

from ocrlty_pipeline.artifacts.keys import batch_key, report_of, shards_prefix
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.locks import AdvisoryLock
from ocrlty_pipeline.db.models import ArtifactRow, BatchRunRow, RunItemRow
from ocrlty_pipeline.errors import RunActiveError
from ocrlty_pipeline.services import Services

DELETES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class DeletedRun:
    """What a deletion removed, in artifacts; `kept_extracts` belong to other runs as well."""

    run_id: str
    extracts: int
    evaluations: int
    kept_extracts: int


async def delete_run(
    services: Services, run_id: str, day: date, is_active: Callable[[str], Awaitable[bool]]
) -> DeletedRun:
    """Delete a batch run, its evaluations and their pages, and those of its extracts that no other run has.

    Args:
        services: the domain's objects.
        run_id: the run's; its batch artifact need not be there.
        day: under which its artifacts are.
        is_active: tells whether a job of the run of this id is queued or running.

    Raises:
        RunActiveError: one is, or the run's batch is being executed or continued.
    """
    lineage_id = await asyncio.to_thread(_lineage_of, services.engine, run_id)
    with AdvisoryLock(services.engine, lineage_id) as lock:
        # Whoever executes the batch, or would continue it, holds this lock.
        if not await asyncio.to_thread(lock.try_acquire) or await is_active(run_id):
            raise RunActiveError(f"Run {run_id!r} is active; cancel its job or wait for its end, then delete it.")
        found = await asyncio.to_thread(_Found.of, services.engine, run_id)
        pages = map(report_of, found.evaluations)
        shards = [rel async for rel in services.store.iter_keys(shards_prefix(day, run_id))]
        await delete_all(services.store, [*pages, *found.evaluations, *found.extracts, *shards])
        # Last, for without it nobody could ask for the rest.
        await services.store.delete(batch_key(day, run_id))
        await asyncio.to_thread(_delete_rows, services.engine, run_id)
    return DeletedRun(run_id, len(found.extracts), len(found.evaluations), found.kept)


@dataclass(frozen=True, slots=True)
class _Found:
    """Keys of the artifacts that go, and how many extracts stay."""

    extracts: list[str]
    evaluations: list[str]
    kept: int

    @classmethod
    def of(cls, engine: Engine, run_id: str) -> _Found:
        kept = (
            select(func.count())
            .select_from(RunItemRow)
            .where(RunItemRow.run_id == run_id, _has_other_run(RunItemRow.request_id, run_id))
        )
        with engine.connect() as connection:
            return cls(
                extracts=list(connection.scalars(select(ArtifactRow.rel_ref).where(_own_extracts(run_id)))),
                evaluations=list(connection.scalars(select(ArtifactRow.rel_ref).where(_own_evaluations(run_id)))),
                kept=connection.scalar(kept) or 0,
            )


def _own_extracts(run_id: str) -> ColumnElement[bool]:
    """Extracts that the run made, attempts that came to nothing included, or continued with."""
    made = ArtifactRow.__table__.alias("made")
    # A union, each half of which is one look into an index; with OR, PostgreSQL reads the whole table.
    its_own = union(
        select(RunItemRow.request_id).where(RunItemRow.run_id == run_id),
        select(made.c.artifact_id).where(made.c.kind == "extract", made.c.run_id == run_id),
    )
    return and_(
        ArtifactRow.kind == "extract",
        ArtifactRow.artifact_id.in_(its_own),
        ~_has_other_run(ArtifactRow.artifact_id, run_id),
    )


def _own_evaluations(run_id: str) -> ColumnElement[bool]:
    return and_(ArtifactRow.kind == "eval", ArtifactRow.run_id == run_id)


def _has_other_run(request_id: InstrumentedAttribute[str], run_id: str) -> ColumnElement[bool]:
    other = RunItemRow.__table__.alias("other")
    return exists().where(other.c.request_id == request_id, other.c.run_id != run_id)


async def delete_all(store: ArtifactStore, rels: Iterable[str]) -> None:
    """Delete artifacts, `DELETES_AT_ONCE` at a time; what is not there is no error."""
    todo = iter(rels)

    async def work() -> None:
        for rel in todo:
            await store.delete(rel)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(DELETES_AT_ONCE):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def _lineage_of(engine: Engine, run_id: str) -> str:
    with engine.connect() as connection:
        found = connection.scalar(select(BatchRunRow.lineage_id).where(BatchRunRow.run_id == run_id))
    return found or run_id


def _delete_rows(engine: Engine, run_id: str) -> None:
    later = BatchRunRow.__table__.alias("later")
    is_last = ~exists().where(later.c.lineage_id == BatchRunRow.lineage_id, later.c.created_at > BatchRunRow.created_at)
    with engine.begin() as connection:
        connection.execute(delete(ArtifactRow).where(_own_extracts(run_id)))
        connection.execute(delete(ArtifactRow).where(_own_evaluations(run_id)))
        connection.execute(delete(RunItemRow).where(RunItemRow.run_id == run_id))
        connection.execute(delete(ArtifactRow).where(ArtifactRow.kind == "batch", ArtifactRow.artifact_id == run_id))
        # An earlier execution of a lineage stays in the journal: its number is taken.
        connection.execute(delete(BatchRunRow).where(BatchRunRow.run_id == run_id, is_last))
