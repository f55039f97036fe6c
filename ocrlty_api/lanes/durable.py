"""The durable lane: jobs, which wait in Dagster's queue and survive every process.

A job is a Dagster run that the API submitted, with the runs by which Dagster retries it; its id is the first one's. All
that is known of it stands in Dagster's storage: there is nothing else that could disagree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
# Runs of one query where a filter passes over some.
READ_AT_LEAST = 100
# Dagster says that a run failed a moment before it says whether the run will be retried.
UNDECIDED = timedelta(seconds=10)

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
    """Submits jobs through Dagster's webserver, and reads them in the shared instance.

    What reads raises `StorageUnavailableError` when the database cannot be reached.
    """

    def __init__(self, shared: SharedInstance, webserver: Webserver) -> None:
        self._shared = shared
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
        return await self._shared.ask(self._job, job_id)

    async def has_run(self, run_id: str) -> bool:
        """Whether there is such a run: a cursor that names none would lead nowhere in silence."""
        return await self._shared.ask(self._instance.has_run, run_id)

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
        return await self._shared.ask(self._page, limit, cursor, owner, status, kind)

    async def cancel(self, job: JobRecord) -> None:
        """Ask a job to end, best effort: what is done stays. One that has ended stays as it is."""
        await self._shared.ask(self._cancel, job)

    async def failure(self, job: JobRecord) -> RunFailure:
        """Why a job failed."""
        return await self._shared.ask(self._failure, job)

    # --- in threads

    def _job(self, job_id: str) -> JobRecord | None:
        first = self._instance.get_run_record_by_id(job_id)
        if first is None or run_tags.JOB not in first.dagster_run.tags or first.dagster_run.parent_run_id is not None:
            return None
        [job] = self._jobs([first])
        return job

    def _jobs(self, firsts: Sequence[dg.RunRecord]) -> list[JobRecord]:
        """The jobs of their first runs; one that failed may have further runs, which one query finds for all."""
        failed = [first.dagster_run.run_id for first in firsts if first.dagster_run.status is Dagster.FAILURE]
        retries: defaultdict[str | None, list[dg.RunRecord]] = defaultdict(list)
        if failed:
            for retry in self._instance.get_run_records(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: failed}), ascending=True):
                retries[retry.dagster_run.root_run_id].append(retry)
        retried = self._instance.run_retries_enabled
        return [_record([first, *retries[first.dagster_run.run_id]], retried=retried) for first in firsts]

    def _page(
        self, limit: int, cursor: str | None, owner: str | None, status: Status | None, kind: Kind | None
    ) -> JobPage:
        tags: dict[str, str | Sequence[str]] = {run_tags.JOB: kind or list(KINDS)}
        if owner is not None:
            tags[run_tags.KEY_ID] = owner
        wanted = dg.RunsFilter(tags=tags, statuses=None if status is None else _OF_FIRST_RUN[status])
        jobs: list[JobRecord] = []
        passed = 0
        count = limit + 1 if status is None else max(limit + 1, READ_AT_LEAST)
        while passed < PASSED_AT_MOST:
            records = self._instance.get_run_records(wanted, limit=count, cursor=cursor)
            firsts = [record for record in records if record.dagster_run.parent_run_id is None]
            of_first = {job.job_id: job for job in self._jobs(firsts)}
            for record in records:
                if len(jobs) == limit:
                    return JobPage(jobs, cursor)
                cursor = record.dagster_run.run_id
                job = of_first.get(cursor)
                jobs += [job] if job is not None and status in (None, job.status) else []
            passed += len(records)
            if len(records) < count:
                return JobPage(jobs, None)
        return JobPage(jobs, cursor)

    def _cancel(self, job: JobRecord) -> None:
        if job.ended:
            return
        self._cancel_run(job.dagster_run_ids[-1])
        now = self._job(job.job_id)
        if now is not None and not now.ended and now.dagster_run_ids != job.dagster_run_ids:
            # It was retried meanwhile.
            self._cancel_run(now.dagster_run_ids[-1])

    def _cancel_run(self, latest: str) -> None:
        self._instance.add_run_tags(latest, {run_tags.CANCEL: latest})
        run = self._instance.get_run_by_id(latest)
        if run is not None and run.status is Dagster.FAILURE:
            # It waits to be retried.
            self._instance.add_run_tags(latest, {WILL_RETRY_TAG: "false"})
        else:
            self._instance.run_coordinator.cancel_run(latest)

    def _failure(self, job: JobRecord) -> RunFailure:
        run = self._instance.get_run_by_id(job.dagster_run_ids[-1])
        return RunFailure("Its run was deleted.") if run is None else run_failure(self._instance, run)


def _record(runs: Sequence[dg.RunRecord], *, retried: bool) -> JobRecord:
    """The job of these runs, oldest first; `retried` says whether Dagster retries any."""
    first, latest = runs[0], runs[-1]
    tags, status = first.dagster_run.tags, _status_of(latest, retried=retried)
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


def _status_of(record: dg.RunRecord, *, retried: bool) -> Status:
    run = record.dagster_run
    if run.status is Dagster.FAILURE:
        if _cancel_asked(run):
            return "canceled"
        will_retry = run.tags.get(WILL_RETRY_TAG)
        if will_retry == "true":
            return "queued"
        if will_retry is None and retried and datetime.now(UTC) - _utc(record.update_timestamp) < UNDECIDED:
            return "running"
    return _STATUS[run.status]


def _told_to_end(run: dg.DagsterRun) -> bool:
    return _cancel_asked(run) or run.status in {Dagster.CANCELING, Dagster.CANCELED}


def _cancel_asked(run: dg.DagsterRun) -> bool:
    return run.tags.get(run_tags.CANCEL) == run.run_id


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
