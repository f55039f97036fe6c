"""The durable lane: jobs, which wait in Dagster's queue and survive every process.

A job is a Dagster run that the API submitted, with the runs by which Dagster retries it; its id is the first one's. All
that is known of it stands in Dagster's storage: there is nothing else that could disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import dagster as dg
import orjson
from dagster._core.storage.tags import PRIORITY_TAG, ROOT_RUN_ID_TAG, WILL_RETRY_TAG

from ocrlty_api.lanes.graphql import Webserver
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.launch import RunFailure, run_failure

Kind = Literal["extract", "batch_extract", "batch_extract_upload", "batch_extract_rerun"]
Status = Literal["queued", "running", "succeeded", "failed", "canceled"]
KINDS: tuple[Kind, ...] = ("extract", "batch_extract", "batch_extract_upload", "batch_extract_rerun")
ENDED: frozenset[Status] = frozenset({"succeeded", "failed", "canceled"})

# Single extracts are taken from the queue before any batch.
PRIORITIES: Mapping[str, str] = {"extract": "10"}
# A list passes over so many runs at most; a page may be shorter than asked for, its cursor still leads on.
PASSED_AT_MOST = 1000

Dagster = dg.DagsterRunStatus
_STATUS: Mapping[Dagster, Status] = {
    Dagster.NOT_STARTED: "queued",
    Dagster.QUEUED: "queued",
    Dagster.MANAGED: "queued",
    Dagster.STARTING: "queued",
    Dagster.STARTED: "running",
    Dagster.CANCELING: "running",
    Dagster.SUCCESS: "succeeded",
    Dagster.CANCELED: "canceled",
    Dagster.FAILURE: "failed",
}
# A run that failed may have been retried, with any outcome.
_OF_FIRST_RUN: Mapping[Status, Sequence[Dagster]] = {
    status: [
        *(dagster for dagster, found in _STATUS.items() if found == status and status != "failed"),
        Dagster.FAILURE,
    ]
    for status in ("queued", "running", "succeeded", "failed", "canceled")
}


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as Dagster's storage has it; times in UTC.

    Attributes:
        asked: the request as JSON text, without files.
        progress: as the run last told; None before its first word.
        named: id of the extract, or of the batch run, that it works on.
        dagster_run_ids: of all its runs, the first one first.
    """

    job_id: str
    kind: Kind
    status: Status
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    owner_key_id: str
    owner_role: str
    cancel_requested: bool
    asked: str
    progress: dict[str, Any] | None
    named: str | None
    dagster_run_ids: tuple[str, ...]

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first; `next_cursor` is None after the last."""

    jobs: list[JobRecord]
    next_cursor: str | None


class DurableLane:
    """Submits jobs through Dagster's webserver, and reads them in the shared instance."""

    def __init__(self, shared: SharedInstance, webserver: Webserver) -> None:
        self._instance = shared.instance
        self._webserver = webserver

    async def launch(self, kind: Kind, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Put a job into the queue; answers its id.

        Args:
            kind: what the job is to clients.
            job: name of the Dagster job.
            run_config: of the run.
            tags: of the run; those of its owner and of what it works on among them.

        Raises:
            DagsterUnavailableError: the webserver cannot be reached.
        """
        priority = {PRIORITY_TAG: PRIORITIES[kind]} if kind in PRIORITIES else {}
        return await self._webserver.launch(job, run_config, {**tags, **priority, run_tags.JOB: kind})

    async def job(self, job_id: str) -> JobRecord | None:
        """A job, or None: no such run, or one that is no job."""
        return await asyncio.to_thread(self._job, job_id)

    async def has_run(self, run_id: str) -> bool:
        """Whether there is such a run: a cursor that names none would lead nowhere in silence."""
        return await asyncio.to_thread(self._instance.has_run, run_id)

    async def page(
        self, *, limit: int, cursor: str | None, owner: str | None, status: Status | None, kind: Kind | None
    ) -> JobPage:
        """Jobs, newest first.

        Args:
            limit: how many at most.
            cursor: id of the last job of the page before.
            owner: only those of this key.
            status: only those.
            kind: only those.
        """
        return await asyncio.to_thread(self._page, limit, cursor, owner, status, kind)

    async def cancel(self, job: JobRecord) -> None:
        """Ask a job to end, best effort: what is done stays. One that has ended stays as it is."""
        await asyncio.to_thread(self._cancel, job)

    async def failure(self, job: JobRecord) -> RunFailure:
        """Why a job failed."""
        return await asyncio.to_thread(self._failure, job)

    # --- in threads

    def _job(self, job_id: str) -> JobRecord | None:
        first = self._instance.get_run_record_by_id(job_id)
        if first is None or run_tags.JOB not in first.dagster_run.tags or first.dagster_run.parent_run_id is not None:
            return None
        return _record(self._runs_of(first))

    def _runs_of(self, first: dg.RunRecord) -> list[dg.RunRecord]:
        """The job's runs, oldest first; only one that failed has more than the first."""
        if first.dagster_run.status is not Dagster.FAILURE:
            return [first]
        retries = dg.RunsFilter(tags={ROOT_RUN_ID_TAG: first.dagster_run.run_id})
        return [first, *reversed(self._instance.get_run_records(retries))]

    def _page(
        self, limit: int, cursor: str | None, owner: str | None, status: Status | None, kind: Kind | None
    ) -> JobPage:
        tags: dict[str, str | Sequence[str]] = {run_tags.JOB: kind or list(KINDS)}
        if owner is not None:
            tags[run_tags.KEY_ID] = owner
        wanted = dg.RunsFilter(tags=tags, statuses=None if status is None else _OF_FIRST_RUN[status])
        jobs: list[JobRecord] = []
        passed = 0
        while passed < PASSED_AT_MOST:
            records = self._instance.get_run_records(wanted, limit=limit + 1, cursor=cursor)
            for record in records:
                if len(jobs) == limit:
                    return JobPage(jobs, cursor)
                cursor = record.dagster_run.run_id
                if record.dagster_run.parent_run_id is None:
                    job = _record(self._runs_of(record))
                    jobs += [job] if status in (None, job.status) else []
            passed += len(records)
            if len(records) <= limit:
                return JobPage(jobs, None)
        return JobPage(jobs, cursor)

    def _cancel(self, job: JobRecord) -> None:
        latest = job.dagster_run_ids[-1]
        if job.ended:
            return
        self._instance.add_run_tags(latest, {run_tags.CANCEL: "true"})
        run = self._instance.get_run_by_id(latest)
        if run is not None and run.status is Dagster.FAILURE:
            # It waits to be retried.
            self._instance.add_run_tags(latest, {WILL_RETRY_TAG: "false"})
        else:
            self._instance.run_coordinator.cancel_run(latest)

    def _failure(self, job: JobRecord) -> RunFailure:
        run = self._instance.get_run_by_id(job.dagster_run_ids[-1])
        return RunFailure("Its run was deleted.") if run is None else run_failure(self._instance, run)


def _record(runs: Sequence[dg.RunRecord]) -> JobRecord:
    first, latest = runs[0], runs[-1]
    tags, status = first.dagster_run.tags, _status_of(latest.dagster_run)
    started = [run.start_time for run in runs if run.start_time is not None]
    told = latest.dagster_run.tags.get(run_tags.PROGRESS)
    kind: Kind = next(kind for kind in KINDS if kind == tags[run_tags.JOB])
    return JobRecord(
        job_id=first.dagster_run.run_id,
        kind=kind,
        status=status,
        created_at=_utc(first.create_timestamp),
        updated_at=_utc(latest.update_timestamp),
        started_at=datetime.fromtimestamp(started[0], UTC) if started else None,
        finished_at=datetime.fromtimestamp(latest.end_time, UTC) if status in ENDED and latest.end_time else None,
        owner_key_id=tags[run_tags.KEY_ID],
        owner_role=tags.get(run_tags.ROLE, "client"),
        cancel_requested=any(_told_to_end(run.dagster_run) for run in runs),
        asked=_asked(first.dagster_run.run_config),
        progress=None if told is None else orjson.loads(told),
        named=latest.dagster_run.tags.get(run_tags.REQUEST_ID if kind == "extract" else run_tags.RUN_ID),
        dagster_run_ids=tuple(run.dagster_run.run_id for run in runs),
    )


def _status_of(run: dg.DagsterRun) -> Status:
    if run.status is Dagster.FAILURE:
        if run_tags.CANCEL in run.tags:
            return "canceled"
        if run.tags.get(WILL_RETRY_TAG) == "true":
            return "queued"
    return _STATUS[run.status]


def _told_to_end(run: dg.DagsterRun) -> bool:
    return run_tags.CANCEL in run.tags or run.status in {Dagster.CANCELING, Dagster.CANCELED}


def _asked(run_config: Mapping[str, Any]) -> str:
    """What the client asked for, from the config of the one op that carries it."""
    for op in run_config.get("ops", {}).values():
        config = op.get("config", {})
        asked = config.get("request") or next((one.get("request") for one in config.get("requests", [])), None)
        if asked:
            return str(asked)
    return "{}"


def _utc(time: datetime) -> datetime:
    """Dagster's storage gives times of UTC without saying so."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
