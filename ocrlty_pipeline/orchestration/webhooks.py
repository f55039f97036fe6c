"""The sensor that has clients' servers called when jobs end.

Belongs here: finding the jobs that have ended, what is told of one, how long a tick takes. Does not: who is called,
signing, sending and trying again (`ocrlty_pipeline.webhooks`).

A tick looks back over what earlier ones have seen: whatever is found twice is noted once.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from ocrlty_pipeline.blocking import result_of
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.job_records import ENDED, KINDS, STATUS_OF, JobRecord, artifact_of, jobs_with
from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.outbound import OutboundClient
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.webhooks.model import EVENTS, EndedJob, Event, event_body
from ocrlty_pipeline.webhooks.sending import Sender, Sent

LOOK_EVERY_S = 10
# The clocks of those who write differ, and whether a failed run is retried is said up to 10 s after its failure.
LOOK_BACK = timedelta(seconds=30)
# Of a sensor that begins, or was off: not longer than deliveries are kept, by which repetitions are known.
MADE_UP_FOR = timedelta(days=1)
RUNS_OF_A_QUERY = 200
# Dagster gives a tick 60 s; a call that is begun takes up to ten.
NOTING_S = 10.0
SENDING_S = 25.0

Tags = Mapping[str, str | Sequence[str]]
_ENDED_RUNS = [status for status, of_job in STATUS_OF.items() if of_job in ENDED]


@dg.sensor(
    name="webhooks",
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Calls the webhooks of the keys whose jobs have ended, and those given with single jobs; "
    "calls that failed are made again, less and less often, for a day.",
)
def webhooks(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One tick; it starts no run."""
    services, now = process_services(), datetime.now(UTC)
    since = datetime.fromisoformat(context.cursor) if context.cursor else now - MADE_UP_FOR
    noted = note_ended_jobs(context.instance, services, max(since, now - MADE_UP_FOR), now)
    sent = send_due(services) if services.deliveries.is_any_due(now) else Sent()
    context.update_cursor(noted.reached.isoformat())
    if not (noted.count or sent.delivered or sent.failed):
        return dg.SkipReason("No webhook is due.")
    return dg.SkipReason(f"{noted.count} deliveries noted; {sent.delivered} delivered, {sent.failed} failed.")


@dataclass(frozen=True, slots=True)
class Noted:
    """How many deliveries are new, and the time from which the next tick is to look."""

    count: int
    reached: datetime


def note_ended_jobs(instance: dg.DagsterInstance, services: Services, since: datetime, now: datetime) -> Noted:
    """Note a delivery for everyone who wants to know of a job whose run has changed since then.

    Jobs that nobody wants to know of are not read, but for one query.
    """
    deadline = time.monotonic() + NOTING_S
    count, reached = 0, now - LOOK_BACK
    for tags in _wanted(services):
        for runs in _ended_runs(instance, tags, since):
            count += services.deliveries.note(_ends(instance, services, runs), now)
            if len(runs) == RUNS_OF_A_QUERY and time.monotonic() > deadline:
                reached = min(reached, runs[-1].update_timestamp)
                break
    return Noted(count, reached)


def send_due(services: Services) -> Sent:
    """Send what is due, for so long as a tick may."""

    async def send() -> Sent:
        async with OutboundClient(services.settings) as outbound:
            return await Sender(services.deliveries, outbound, services.signer).send(for_s=SENDING_S)

    sent = result_of(send())
    services.deliveries.prune(datetime.now(UTC))
    return sent


def _wanted(services: Services) -> Iterator[Tags]:
    """Tags of the runs of jobs whose end somebody wants to know of."""
    yield {run_tags.WEBHOOK: run_tags.OF_JOB}
    if keys := services.webhooks.called_keys():
        yield {run_tags.JOB: list(KINDS), run_tags.KEY_ID: keys}


def _ended_runs(instance: dg.DagsterInstance, tags: Tags, since: datetime) -> Iterator[Sequence[dg.RunRecord]]:
    """Runs that have ended, those that changed last at the end, a query's at a time."""
    while True:
        filters = dg.RunsFilter(tags=tags, statuses=_ENDED_RUNS, updated_after=since)
        runs = instance.get_run_records(filters, RUNS_OF_A_QUERY, order_by="update_timestamp", ascending=True)
        if runs:
            yield runs
        if len(runs) < RUNS_OF_A_QUERY:
            return
        # Another run may have changed in the same microsecond.
        since = runs[-1].update_timestamp - timedelta(microseconds=1)


def _ends(instance: dg.DagsterInstance, services: Services, runs: Sequence[dg.RunRecord]) -> list[EndedJob]:
    """What is to be told of the jobs of these runs, but for what was noted before; no job that goes on."""
    jobs = [job for job in jobs_with(instance, runs) if job.ended]
    noted = services.deliveries.noted([(job.job_id, _event(job)) for job in jobs])
    return [_end(services, job) for job in jobs if (job.job_id, _event(job)) not in noted]


def _end(services: Services, job: JobRecord) -> EndedJob:
    ended_at = job.finished_at or job.updated_at
    body = event_body(_event(job), ended_at, job_facts(services, job))
    return EndedJob(job.job_id, _event(job), job.owner_key_id, ended_at, body, job.webhook_url)


def job_facts(services: Services, job: JobRecord) -> dict[str, Any]:
    """What a call tells of a job: small, and nothing of what was extracted."""
    row = artifact_of(services.index, job)
    is_batch = job.kind != "extract"
    counts = {"items": row.item_count, "ok": row.ok_count, "errors": row.error_count} if row and is_batch else None
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "status": job.status,
        "run_id" if is_batch else "request_id": job.named,
        "counts": counts,
        "result_url": None if row is None else f"/v1/jobs/{job.job_id}/result",
        "error_url": None if job.status == "succeeded" else f"/v1/jobs/{job.job_id}/error",
    }


def _event(job: JobRecord) -> Event:
    return next(event for event in EVENTS if event == f"job.{job.status}")
