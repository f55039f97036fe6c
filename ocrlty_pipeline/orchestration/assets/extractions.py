"""`extractions`: one image set through one task, as one batch run."""

from collections.abc import Iterator

import dagster as dg
from dagster import DagsterExecutionInterruptedError
from pydantic import Field

from ocrlty_pipeline.batches.execution import (
    BatchRequest,
    OpenBatch,
    StoredBatch,
    finish_batch,
    open_batch,
)
from ocrlty_pipeline.batches.runner import BatchOutcome
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.asset_checks import EXTRACTIONS_CHECKS, check_extractions
from ocrlty_pipeline.orchestration.assets.image_sets import image_set
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.metadata import batch_metadata
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.progress import run_progress
from ocrlty_pipeline.orchestration.resources import OcrltyResource

GROUP = "extraction"


class BatchConfig(dg.Config):
    """How to extract; the defaults are the settings of the process."""

    backend: str | None = Field(default=None, description="mock, vllm or ocr; null takes INFERENCE_BACKEND.")
    concurrency: int = Field(default=16, ge=1, description="Calls in flight, at most JOBS_MAX_CONCURRENCY.")
    limit: int | None = Field(default=None, ge=1, description="Only the first so many images; null takes all.")
    run_id: str | None = Field(default=None, description="Id of the batch run; null derives one from the Dagster run.")
    resume: bool = Field(
        default=True, description="Continue an unfinished batch run of the same inputs and parameters, if there is one."
    )


def build_extractions(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the partitions that the tasks at hand make."""

    @dg.asset(
        partitions_def=partitions,
        deps=[image_set],
        group_name=GROUP,
        kinds={"json"},
        io_manager_key="artifacts",
        check_specs=EXTRACTIONS_CHECKS,
        description="One image set through one task: a batch run with a record per image.",
    )
    def extractions(
        context: dg.AssetExecutionContext, config: BatchConfig, ocrlty: OcrltyResource
    ) -> Iterator[dg.Output[BatchOutcome] | dg.AssetCheckResult]:
        services = ocrlty.services
        every_s = services.settings.jobs_progress_min_seconds
        with as_dagster_failures(), run_progress(context, min_seconds=every_s) as progress:
            # Held until the IO manager has stored the outcome, so that nobody takes the batch for a dead one.
            batch = ocrlty.held_open(open_batch(services, _request(context, config)))
            _announce(context, batch)
            outcome = batch.run(progress)
            if outcome.header.status != "succeeded":
                finish_batch(services, outcome)
        _raise_unless_succeeded(outcome)
        yield dg.Output(outcome, metadata=batch_metadata(outcome))
        yield from check_extractions(outcome.header)

    return extractions


def _request(context: dg.AssetExecutionContext, config: BatchConfig) -> BatchRequest:
    image_set_name, task_id = split_batch_key(context.partition_key)
    return BatchRequest(
        image_set=image_set_name,
        task_id=task_id,
        dagster_run_id=context.run_id,
        backend=config.backend,
        concurrency=config.concurrency,
        limit=config.limit,
        run_id=config.run_id,
        resume=config.resume,
    )


def _announce(context: dg.AssetExecutionContext, batch: OpenBatch | StoredBatch) -> None:
    claim = batch.claim
    image_set_name, task_id = split_batch_key(context.partition_key)
    tags = {run_tags.RUN_ID: claim.run_id, run_tags.IMAGE_SET: image_set_name, run_tags.TASK_ID: task_id}
    context.instance.add_run_tags(context.run_id, tags)
    if claim.resumed_from is not None:
        context.log.info("Continuing batch run %s: what it extracted is not extracted again.", claim.resumed_from)
    if claim.interrupted_dagster_run_id is not None:
        _close_interrupted(context, claim.interrupted_dagster_run_id)


def _close_interrupted(context: dg.AssetExecutionContext, dagster_run_id: str) -> None:
    """The lock on its batch was free, so the earlier run's process is dead, whatever Dagster still believes."""
    run = context.instance.get_run_by_id(dagster_run_id)
    if run is not None and not run.is_finished:
        context.instance.report_run_failed(run, f"Its process died; run {context.run_id} continues its batch.")


def _raise_unless_succeeded(outcome: BatchOutcome) -> None:
    header = outcome.header
    if header.status == "canceled":
        raise DagsterExecutionInterruptedError
    if header.status == "failed":
        done = f"{header.ok_count} of {header.item_count} images extracted, kept in {outcome.rel}"
        raise dg.Failure(f"{header.status_reason} ({done})", metadata=batch_metadata(outcome), allow_retries=False)
