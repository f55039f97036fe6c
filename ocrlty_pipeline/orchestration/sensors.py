"""Sensors: what starts runs because something happened."""

import time
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from ocrlty_pipeline.inbox import Arrival, Seen, look
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, INGEST
from ocrlty_pipeline.orchestration.partitions import batch_partition_key, image_set_partitions
from ocrlty_pipeline.orchestration.resources import process_services

LOOK_EVERY_S = 15
Job = dg.JobDefinition | UnresolvedAssetJobDefinition


def build_sensors(jobs: Sequence[Job]) -> list[dg.SensorDefinition]:
    """The sensors over the code location's jobs."""
    by_name = {job.name: job for job in jobs}

    @dg.sensor(
        name="inbox",
        jobs=[by_name[INGEST], by_name[BATCH_EXTRACT]],
        minimum_interval_seconds=LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes each folder that is complete under DATA_ROOT/inbox an image set of its name, "
        "and extracts it through the tasks of INBOX_TASKS.",
    )
    def inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look_into_inbox(context)

    return [inbox]


def look_into_inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One evaluation: ask for the image sets of complete folders, and for the extraction of those that are there.

    Asking twice starts nothing twice, since Dagster honours a run key once; a folder whose content changes has others.
    """
    settings = process_services().settings
    before = Seen.model_validate_json(context.cursor) if context.cursor else Seen()
    found = look(settings.data_root_path / "inbox", before, time.time(), settings.inbox_stable_s)
    for problem in found.refused:
        context.log.warning(problem)
    registered = [arrival for arrival in found.arrivals if _is_registered(context.instance, arrival)]
    names = [arrival.name for arrival in found.arrivals]
    requests = [
        *map(_ingest, found.arrivals),
        *(request for arrival in registered for request in _extractions(arrival, settings.inbox_tasks)),
    ]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[image_set_partitions.build_add_request(names)] if names else [],
        cursor=found.seen.done(arrival.name for arrival in registered).model_dump_json(),
    )


def _ingest(arrival: Arrival) -> dg.RunRequest:
    truth = {"gt_path": str(arrival.ground_truth)} if arrival.ground_truth else {}
    return dg.RunRequest(
        job_name=INGEST,
        run_key=_mark(arrival),
        partition_key=arrival.name,
        run_config={
            "ops": {
                "image_set": {"config": {"images_dir": str(arrival.folder)}},
                "ground_truth": {"config": truth},
            }
        },
        tags={run_tags.INBOX: _mark(arrival)},
    )


def _is_registered(instance: dg.DagsterInstance, arrival: Arrival) -> bool:
    succeeded = dg.RunsFilter(
        job_name=INGEST, statuses=[dg.DagsterRunStatus.SUCCESS], tags={run_tags.INBOX: _mark(arrival)}
    )
    return bool(instance.get_runs_count(succeeded))


def _extractions(arrival: Arrival, task_ids: Sequence[str]) -> Iterator[dg.RunRequest]:
    for task_id in task_ids:
        yield dg.RunRequest(
            job_name=BATCH_EXTRACT,
            run_key=f"{_mark(arrival)}|{task_id}",
            partition_key=batch_partition_key(arrival.name, task_id),
            tags={run_tags.INBOX: _mark(arrival)},
        )


def _mark(arrival: Arrival) -> str:
    return f"{arrival.name}@{arrival.signature}"
