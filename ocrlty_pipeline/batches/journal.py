"""Which batches were started, and which unfinished one an execution continues.

A lineage is one attempt at one image set with one task and one set of parameters, over however many executions it
takes. Its id is what the items' request ids derive from, so every execution of it finds what the earlier ones did.
Each execution that ends writes a batch artifact under a run id of its own; one that crashed wrote none, and its run id
is used again.

A live execution holds an advisory lock in the database, which the server releases the moment its process dies: no
time-out, no heartbeat, no look at process ids of other machines. One in shards holds it only while a shard is being
extracted: of those, whoever started them tells whether they go on (`Executions`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

import orjson
from sqlalchemy import ColumnElement, Engine, func, select, update
from sqlalchemy.orm import Session

from ocrlty_pipeline.artifacts.keys import batch_key
from ocrlty_pipeline.db.locks import AdvisoryLock
from ocrlty_pipeline.db.models import BatchRunRow
from ocrlty_pipeline.errors import ArtifactConflictError
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.image_sets import ImageSet, ImageSetItem, content_sha256
from ocrlty_pipeline.records import BatchStatus

State = Literal["running", "finished", "failed", "canceled"]
STATE_OF: dict[BatchStatus, State] = {"succeeded": "finished", "failed": "failed", "canceled": "canceled"}
# What is left of an execution that has ended notices within a second, and lets the calls in flight come home.
LEFT_BEHIND_S = 60.0
LOOK_EVERY_S = 1.0

# What is known of an execution, by its Dagster run: it goes on, even where nobody holds its lock; it has ended, and
# what still holds its lock is about to let go; or nothing, so that the lock alone tells.
Execution = Literal["goes_on", "ended", "unknown"]
Executions = Callable[[str], Execution]


def unknown(_dagster_run_id: str) -> Execution:
    """Where nobody knows of executions but by their locks."""
    return "unknown"


@dataclass(frozen=True, slots=True)
class BatchIdentity:
    """What makes two batches the same work: equal identities give equal answers from a deterministic backend.

    Attributes:
        image_set_version: not part of it: the same images may come again in another version.
        fingerprint: of the images taken, everything that determines answers, and whose they are.
    """

    image_set: str
    image_set_version: int = field(compare=False)
    task_id: str
    fingerprint: str

    @classmethod
    def of(cls, image_set: ImageSet, inputs: Sequence[ImageSetItem], context: ExtractionContext) -> BatchIdentity:
        parameters = [
            content_sha256(inputs),
            context.auth.key_id,
            context.backend.name,
            context.backend.model_id,
            context.task.prompt_sha256,
            context.task.schema_sha256,
            context.policy.temperature,
            context.policy.max_tokens,
        ]
        fingerprint = hashlib.sha256(orjson.dumps(parameters)).hexdigest()
        return cls(image_set.name, image_set.version, context.task.task_id, fingerprint)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to execute one run of a lineage.

    Attributes:
        day: UTC day under which the lineage's extract artifacts are kept.
        resumed_from: run id of the execution that is continued; None for a fresh start.
        interrupted_dagster_run_id: the Dagster run that died without a word, if that is what is continued.
    """

    run_id: str
    lineage_id: str
    day: date
    resumed_from: str | None = None
    interrupted_dagster_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """The last execution of a lineage, and how it stands."""

    run_id: str
    lineage_id: str
    state: State
    identity: BatchIdentity


class BatchJournal:
    """The table of started batches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def finished(self, run_id: str, identity: BatchIdentity) -> bool:
        """Whether the run of this id ended well, so that asking for it again is answered by its artifact.

        Raises:
            ArtifactConflictError: the id belongs to a batch with other content.
        """
        row = self._row(run_id)
        if row is None:
            return False
        if _identity(row) != identity:
            raise ArtifactConflictError(
                f"run_id {run_id!r} is in use by a batch with other inputs or parameters; choose another."
            )
        return row.state == "finished"

    def begun_by(self, dagster_run_ids: Collection[str]) -> Begun | None:
        """How the lineage stands that one of these Dagster runs began or continued, whoever went on with it since."""
        row = self._latest(BatchRunRow.dagster_run_id.in_(dagster_run_ids)) if dagster_run_ids else None
        last = row and self._latest(BatchRunRow.lineage_id == row.lineage_id)
        return None if last is None else Begun(last.run_id, last.lineage_id, last.state, _identity(last))

    def ended(self, run_id: str) -> bool:
        """Whether the run's artifact is written, whatever became of it."""
        row = self._row(run_id)
        return row is not None and row.state != "running"

    @contextmanager
    def claim(  # noqa: PLR0913 -- one parameter a condition
        self,
        identity: BatchIdentity,
        *,
        new_id: str,
        dagster_run_id: str | None,
        has_artifact: Callable[[str], bool],
        resume: bool = True,
        executions: Executions = unknown,
    ) -> Iterator[Claim]:
        """Continue the latest unfinished lineage of this identity that nobody executes, or start one named `new_id`.

        Args:
            identity: the work.
            new_id: run id of a fresh start.
            dagster_run_id: the Dagster run that executes it.
            has_artifact: tells whether there is an artifact of a given key.
            resume: False starts afresh, unless `new_id` itself is an unfinished lineage.
            executions: tells what is known of those that were begun.

        Raises:
            ArtifactConflictError: `new_id` is being executed by another process.
        """
        for row in self._unfinished(identity, only=None if resume else new_id):
            execution = executions(row.dagster_run_id) if row.state == "running" and row.dagster_run_id else "unknown"
            if execution == "goes_on" and row.dagster_run_id != dagster_run_id:
                continue
            with AdvisoryLock(self._engine, row.lineage_id) as lock:
                if _acquired(lock, LEFT_BEHIND_S if execution == "ended" else 0.0):
                    yield self._continue(row, dagster_run_id, has_artifact)
                    return
        with AdvisoryLock(self._engine, new_id) as lock:
            if not lock.try_acquire() or self._row(new_id) is not None:
                raise ArtifactConflictError(f"run {new_id!r} is being executed by another process; wait for it to end.")
            yield self._start(identity, new_id, dagster_run_id)

    def executed_by(self, dagster_run_id: str) -> Claim | None:
        """The claim of the run that a Dagster run executes; None when it has none, or it was taken from it."""
        row = self._latest(BatchRunRow.dagster_run_id == dagster_run_id)
        if row is None:
            return None
        before = self._latest(BatchRunRow.lineage_id == row.lineage_id, BatchRunRow.created_at < row.created_at)
        return Claim(row.run_id, row.lineage_id, row.day, resumed_from=None if before is None else before.run_id)

    @contextmanager
    def taking_part(self, claim: Claim) -> Iterator[None]:
        """Execute a part of a claimed run, beside others that do: nobody can claim its lineage meanwhile.

        Raises:
            ArtifactConflictError: somebody has just claimed it.
        """
        with AdvisoryLock(self._engine, claim.lineage_id, shared=True) as lock:
            if not lock.try_acquire():
                raise ArtifactConflictError(f"Run {claim.run_id!r} is being claimed by another process; run it again.")
            yield

    def close(self, run_id: str, status: BatchStatus) -> None:
        """Note how a run ended; called after its batch artifact is written."""
        with Session(self._engine) as session, session.begin():
            session.execute(update(BatchRunRow).where(BatchRunRow.run_id == run_id).values(state=STATE_OF[status]))

    def _latest(self, *conditions: ColumnElement[bool]) -> BatchRunRow | None:
        with Session(self._engine) as session:
            latest = select(BatchRunRow).where(*conditions).order_by(BatchRunRow.created_at.desc()).limit(1)
            return session.scalars(latest).first()

    def _row(self, run_id: str) -> BatchRunRow | None:
        with Session(self._engine) as session:
            return session.get(BatchRunRow, run_id)

    def _unfinished(self, identity: BatchIdentity, *, only: str | None) -> list[BatchRunRow]:
        """The last execution of each lineage of this identity that did not end well, newest first."""
        same = (
            select(BatchRunRow)
            .where(
                BatchRunRow.image_set == identity.image_set,
                BatchRunRow.task_id == identity.task_id,
                BatchRunRow.fingerprint == identity.fingerprint,
            )
            .order_by(BatchRunRow.created_at.desc())
        )
        if only is not None:
            same = same.where(BatchRunRow.lineage_id == only)
        with Session(self._engine) as session:
            rows = session.scalars(same).all()
        last: dict[str, BatchRunRow] = {}
        for row in rows:
            last.setdefault(row.lineage_id, row)
        return [row for row in last.values() if row.state != "finished"]

    def _start(self, identity: BatchIdentity, run_id: str, dagster_run_id: str | None) -> Claim:
        now = datetime.now(UTC)
        claim = Claim(run_id, run_id, now.date())
        self._insert(identity, claim, now, dagster_run_id)
        return claim

    def _continue(self, row: BatchRunRow, dagster_run_id: str | None, has_artifact: Callable[[str], bool]) -> Claim:
        if not has_artifact(batch_key(row.day, row.run_id)):
            return self._take_over(row, dagster_run_id)
        claim = Claim(self._next_run_id(row.lineage_id), row.lineage_id, row.day, resumed_from=row.run_id)
        self._insert(_identity(row), claim, datetime.now(UTC), dagster_run_id)
        return claim

    def _take_over(self, row: BatchRunRow, dagster_run_id: str | None) -> Claim:
        with Session(self._engine) as session, session.begin():
            session.execute(
                update(BatchRunRow).where(BatchRunRow.run_id == row.run_id).values(dagster_run_id=dagster_run_id)
            )
        interrupted = row.dagster_run_id if row.dagster_run_id != dagster_run_id else None
        return Claim(
            row.run_id, row.lineage_id, row.day, resumed_from=row.run_id, interrupted_dagster_run_id=interrupted
        )

    def _next_run_id(self, lineage_id: str) -> str:
        with Session(self._engine) as session:
            count = session.scalar(
                select(func.count()).select_from(BatchRunRow).where(BatchRunRow.lineage_id == lineage_id)
            )
        return f"{lineage_id}-{(count or 0) + 1}"

    def _insert(self, identity: BatchIdentity, claim: Claim, now: datetime, dagster_run_id: str | None) -> None:
        row = BatchRunRow(
            run_id=claim.run_id,
            lineage_id=claim.lineage_id,
            image_set=identity.image_set,
            image_set_version=identity.image_set_version,
            task_id=identity.task_id,
            fingerprint=identity.fingerprint,
            day=claim.day,
            created_at=now,
            dagster_run_id=dagster_run_id,
            state="running",
        )
        with Session(self._engine) as session, session.begin():
            session.add(row)


def _identity(row: BatchRunRow) -> BatchIdentity:
    return BatchIdentity(row.image_set, row.image_set_version, row.task_id, row.fingerprint)


def _acquired(lock: AdvisoryLock, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not (acquired := lock.try_acquire()) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    return acquired
