"""Schedules: what starts runs by the clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.cron import following, latest
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT
from ocrlty_pipeline.orchestration.partitions import batch_partition_key, image_set_partitions
from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.rerun_schedules import RerunSchedule
from ocrlty_pipeline.services import Services

EVERY_MINUTE = "* * * * *"
# Longer than an outage, and shorter than runs are kept: one that was deleted must not be taken for one that was missed.
MADE_UP_FOR = timedelta(days=1)


@dg.schedule(
    name="scheduled_image_sets",
    job_name=BATCH_EXTRACT,
    cron_schedule=EVERY_MINUTE,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Runs image sets again as `ocrlty schedule` says; looks once a minute. Stopped, it holds all of them.",
)
def scheduled_image_sets(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
    now = context.scheduled_execution_time.astimezone(UTC)
    services = process_services()
    entries = services.rerun_schedules.all(active_only=True)
    due = [(entry, at) for entry in entries if (at := due_at(entry, now)) is not None]
    # The run itself tells that it was started: a tick that Dagster evaluates twice, or a minute missed, loses nothing.
    waiting = [(entry, at) for entry, at in due if not _started(context.instance, entry, at)]
    missing = _missing(context.instance, services, [entry for entry, _ in waiting])
    for reason in missing.values():
        context.log.warning(reason)
    requests = [run_request(entry, at) for entry, at in waiting if entry.name not in missing]
    return requests or dg.SkipReason(" ".join(missing.values()) or _nothing_due(entries, now))


def _missing(instance: dg.DagsterInstance, services: Services, entries: Sequence[RerunSchedule]) -> dict[str, str]:
    """Of the entries whose image set or task is gone, by name, what is to be said: they must not hold up the rest."""
    image_sets = set(instance.get_dynamic_partitions(str(image_set_partitions.name)))
    gone = {}
    for entry in entries:
        what = None if entry.task_id in services.tasks.ids else f"task {entry.task_id!r}"
        what = what if entry.image_set in image_sets else f"image set {entry.image_set!r}"
        if what is not None:
            gone[entry.name] = (
                f"{entry.name} is due, but there is no {what} any more: `ocrlty schedule remove {entry.name}` ends it."
            )
    return gone


def due_at(entry: RerunSchedule, now: datetime) -> datetime | None:
    """The time of the run that should have begun by `now`; None while there is none since the entry was made.

    A machine that was off starts the last run that it missed, unless that is long past.
    """
    at = latest(entry.cron, entry.timezone, now)
    return at.astimezone(UTC) if at > max(entry.since, now - MADE_UP_FOR) else None


def run_request(entry: RerunSchedule, at: datetime) -> dg.RunRequest:
    """A run of the entry's image set that continues none: the model may have changed behind the same name."""
    return dg.RunRequest(
        run_key=_mark(entry, at),
        partition_key=batch_partition_key(entry.image_set, entry.task_id),
        run_config={"ops": {"extractions": {"config": {"resume": False}}}},
        tags={run_tags.SCHEDULE: entry.name, run_tags.SCHEDULED: _mark(entry, at)},
    )


def _started(instance: dg.DagsterInstance, entry: RerunSchedule, at: datetime) -> bool:
    return bool(instance.get_runs_count(dg.RunsFilter(tags={run_tags.SCHEDULED: _mark(entry, at)})))


def _mark(entry: RerunSchedule, at: datetime) -> str:
    return f"{entry.name}@{at:%Y-%m-%dT%H:%MZ}"


def _nothing_due(entries: Sequence[RerunSchedule], now: datetime) -> str:
    if not entries:
        return "No image set is scheduled; `ocrlty schedule add` does that."
    upcoming = min((following(entry.cron, entry.timezone, now), entry.name) for entry in entries)
    return f"Nothing is due; next is {upcoming[1]} at {upcoming[0].astimezone(UTC):%Y-%m-%d %H:%M} UTC."
