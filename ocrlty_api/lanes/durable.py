"""The durable lane: jobs, which wait in Dagster's queue and survive every process.

All that is known of a job stands in Dagster's storage, which `orchestration.job_records` reads: there is nothing else
that could disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PRIORITY_TAG, WILL_RETRY_TAG

from ocrlty_api.lanes.graphql import Webserver
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.job_records import KINDS, STATUS_OF, JobRecord, Kind, Status, jobs_of
from ocrlty_pipeline.orchestration.launch import RunFailure, run_failure

# Single extracts are taken from the queue before any batch.
PRIORITIES: Mapping[str, str] = {"extract": "10"}
# A list passes over so many runs at most; a page may be shorter than asked for, its cursor still leads on.
PASSED_AT_MOST = 1000
# Runs of one query where a filter passes over some.
READ_AT_LEAST = 100

Dagster = dg.DagsterRunStatus
# A run that failed may have been retried, with any outcome.
_OF_FIRST_RUN: Mapping[Status, Sequence[Dagster]] = {
    status: [
        *(dagster for dagster, found in STATUS_OF.items() if found == status and status != "failed"),
        Dagster.FAILURE,
    ]
    for status in ("queued", "running", "succeeded", "failed", "canceled")
}


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
        [job] = jobs_of(self._instance, [first])
        return job

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
            of_first = {job.job_id: job for job in jobs_of(self._instance, firsts)}
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
