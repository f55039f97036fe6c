"""A job as clients see it: Dagster's record of it joined with the artifact that it made.

Belongs here: whose job may be seen, what it came to. Does not: reading Dagster (`orchestration.job_records`).
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from ocrlty_api.auth.roles import Principal
from ocrlty_api.errors import JobNotEndedError, NotFoundError
from ocrlty_api.schemas.jobs import JobErrorAnswer, JobFailure, JobProgress, JobSummary, JobView
from ocrlty_api.state import AppState
from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.orchestration.job_records import JobRecord, artifact_of
from ocrlty_pipeline.records import ExtractRecord

SHOWN_CHARACTERS = 160
CANCELED = JobFailure(code="canceled", message="The job was cancelled; what it had done is kept.")


async def job_of(state: AppState, key: Principal, job_id: str) -> JobRecord:
    """
    Raises:
        NotFoundError: no such job, or another's: nobody learns which.
    """
    job = await state.durable.job(job_id)
    if job is None or not key.may_see(job.owner_key_id):
        raise NotFoundError(f"There is no job {job_id[:SHOWN_CHARACTERS]!r} of key {key.key_id!r}.")
    return job


def summary(job: JobRecord) -> JobSummary:
    return JobSummary.model_validate(_facts(job))


async def view(state: AppState, job: JobRecord) -> JobView:
    """The job with what came of it; reads its artifact once it has ended."""
    made = await _made(state, job) if job.ended else None
    error = await _error(state, job, made)
    meta = None if made is None else made.meta
    return JobView(
        **_facts(job),
        result_rel=None if made is None else made.row.rel_ref,
        result_meta=meta,
        result_bytes=None if made is None else made.size,
        result_sha256=None if made is None else made.sha256,
        result=meta,
        error_rel=made.row.rel_ref if made is not None and error is not None else None,
        error=error,
    )


async def result_row(state: AppState, job: JobRecord) -> IndexRow:
    """The artifact that a job made.

    Raises:
        JobNotEndedError: it goes on.
        NotFoundError: it ended before it had made any.
    """
    _refuse_unless_ended(job)
    row = await asyncio.to_thread(artifact_of, state.services.index, job)
    if row is None:
        if job.status == "succeeded":
            raise NotFoundError(f"Job {job.job_id} succeeded, and its result was deleted since.")
        raise NotFoundError(f"Job {job.job_id} {job.status} without a result; /v1/jobs/{job.job_id}/error says why.")
    return row


async def error_of(state: AppState, job: JobRecord) -> JobErrorAnswer:
    """
    Raises:
        JobNotEndedError: it goes on.
        NotFoundError: it succeeded.
    """
    _refuse_unless_ended(job)
    made = await _made(state, job)
    error = await _error(state, job, made)
    if error is None:
        raise NotFoundError(f"Job {job.job_id} succeeded: it has no error.")
    return JobErrorAnswer(job_id=job.job_id, error=error, error_rel=None if made is None else made.row.rel_ref)


@dataclass(frozen=True, slots=True)
class _Made:
    """A job's artifact; `error` is its record's, of an extract that came to nothing."""

    row: IndexRow
    meta: dict[str, Any]
    size: int | None = None
    sha256: str | None = None
    error: JobFailure | None = None


async def _made(state: AppState, job: JobRecord) -> _Made | None:
    row = await asyncio.to_thread(artifact_of, state.services.index, job)
    if row is None:
        return None
    if row.kind == "batch":
        return _Made(row, _batch_meta(row))
    try:
        data = await state.services.store.get(row.rel_ref)
    except ArtifactNotFoundError:
        return None  # deleted meanwhile
    record = ExtractRecord.from_bytes(data)
    error = None if record.error is None else JobFailure(code=record.error.code, message=record.error.message)
    return _Made(row, _extract_meta(record, row.rel_ref), len(data), hashlib.sha256(data).hexdigest(), error)


def _extract_meta(record: ExtractRecord, rel: str) -> dict[str, Any]:
    names = {"task_id", "request_id", "schema_valid", "model_id", "prompt_sha256", "schema_sha256"}
    return {"type": "extract", "artifact_rel": rel, **record.model_dump(include=names)}


def _batch_meta(row: IndexRow) -> dict[str, Any]:
    return {
        "type": "batch",
        "task_id": row.task_id,
        "run_id": row.artifact_id,
        "artifact_rel": row.rel_ref,
        "item_count": row.item_count,
        "ok_count": row.ok_count,
        "error_count": row.error_count,
    }


async def _error(state: AppState, job: JobRecord, made: _Made | None) -> JobFailure | None:
    if job.status == "canceled":
        return CANCELED
    if job.status != "failed":
        return None
    if made is not None and made.error is not None:
        return made.error
    failure = await state.durable.failure(job)
    if failure.code is not None:
        return JobFailure(code=failure.code, message=failure.message)
    # What raised it is none of our own errors: its words may hold anything.
    latest = job.dagster_run_ids[-1]
    return JobFailure(
        code="run_failed", message=f"Something went wrong here: the log of Dagster run {latest} says what."
    )


def _facts(job: JobRecord) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "status": job.status,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "owner_key_id": job.owner_key_id,
        "owner_role": job.owner_role,
        "cancel_requested": job.cancel_requested,
        "request": orjson.loads(job.asked),
        "progress": _progress(job),
    }


def _progress(job: JobRecord) -> JobProgress:
    """A run's last word may come a moment before its end, or never: the status is what counts."""
    told = job.progress or {}
    stage = job.status if job.ended or not told else told["stage"]
    return JobProgress.model_validate({**told, "stage": stage, "current": None if job.ended else told.get("current")})


def _refuse_unless_ended(job: JobRecord) -> None:
    if not job.ended:
        raise JobNotEndedError(f"Job {job.job_id} is {job.status}; its end can be waited for with ?wait=20.")
