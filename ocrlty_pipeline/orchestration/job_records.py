"""Jobs as Dagster's storage has them: what a client submitted through the API, with all the runs that it took.

Belongs here: reading them. Does not: submitting or cancelling them, which is the API's.

A job is a Dagster run with the tag `JOB`, and the runs by which Dagster retries it; its id is the first one's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import dagster as dg
import orjson
from dagster._core.storage.tags import ROOT_RUN_ID_TAG, WILL_RETRY_TAG

from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow
from ocrlty_pipeline.orchestration import run_tags

Kind = Literal["extract", "batch_extract", "batch_extract_upload", "batch_extract_rerun"]
Status = Literal["queued", "running", "succeeded", "failed", "canceled"]
KINDS: tuple[Kind, ...] = ("extract", "batch_extract", "batch_extract_upload", "batch_extract_rerun")
ENDED: frozenset[Status] = frozenset({"succeeded", "failed", "canceled"})
# Dagster says that a run failed a moment before it says whether the run will be retried.
UNDECIDED = timedelta(seconds=10)

Dagster = dg.DagsterRunStatus
STATUS_OF: Mapping[Dagster, Status] = {
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
    def webhook_url(self) -> str | None:
        """The address that the request says is to be called when the job ends."""
        url = orjson.loads(self.asked).get("webhook_url")
        return None if url is None else str(url)

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def jobs_of(instance: dg.DagsterInstance, firsts: Sequence[dg.RunRecord]) -> list[JobRecord]:
    """The jobs of their first runs; one that failed may have further runs, which one query finds for all."""
    failed = [first.dagster_run.run_id for first in firsts if first.dagster_run.status is Dagster.FAILURE]
    retries: defaultdict[str | None, list[dg.RunRecord]] = defaultdict(list)
    if failed:
        for retry in instance.get_run_records(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: failed}), ascending=True):
            retries[retry.dagster_run.root_run_id].append(retry)
    retried = instance.run_retries_enabled
    return [_record([first, *retries[first.dagster_run.run_id]], retried=retried) for first in firsts]


def jobs_with(instance: dg.DagsterInstance, runs: Sequence[dg.RunRecord]) -> list[JobRecord]:
    """The jobs that these runs belong to, first runs or retries; each once."""
    firsts = {run.dagster_run.run_id: run for run in runs if run.dagster_run.root_run_id is None}
    others = {run.dagster_run.root_run_id for run in runs} - {None, *firsts}
    if others:
        found = instance.get_run_records(dg.RunsFilter(run_ids=[run_id for run_id in others if run_id]))
        firsts |= {first.dagster_run.run_id: first for first in found if run_tags.JOB in first.dagster_run.tags}
    return jobs_of(instance, list(firsts.values()))


def artifact_of(index: ArtifactIndex, job: JobRecord) -> IndexRow | None:
    """The artifact under the job's id, if the job may claim it: one that refused an id in use made none."""
    if job.named is None:
        return None
    row = index.find("extract" if job.kind == "extract" else "batch", job.named)
    if row is None or row.owner_key_id != job.owner_key_id:
        return None
    return row if job.status == "succeeded" or row.dagster_run_id in job.dagster_run_ids else None


def cancel_asked(run: dg.DagsterRun) -> bool:
    """Whether a client asked for the end of this very run."""
    return run.tags.get(run_tags.CANCEL) == run.run_id


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
        if cancel_asked(run):
            return "canceled"
        will_retry = run.tags.get(WILL_RETRY_TAG)
        if will_retry == "true":
            return "queued"
        if will_retry is None and retried and datetime.now(UTC) - _utc(record.update_timestamp) < UNDECIDED:
            return "running"
    return STATUS_OF[run.status]


def _told_to_end(run: dg.DagsterRun) -> bool:
    return cancel_asked(run) or run.status in {Dagster.CANCELING, Dagster.CANCELED}


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
