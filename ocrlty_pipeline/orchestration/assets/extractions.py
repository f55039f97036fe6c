"""`extractions`: one image set through one task, as one batch run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster import DagsterExecutionInterruptedError
from dagster._core.storage.tags import MAX_RETRIES_TAG, RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from pydantic import Field

from ocrlty_pipeline.batches.execution import (
    BatchRequest,
    OpenBatch,
    StoredBatch,
    finish_batch,
    open_batch,
)
from ocrlty_pipeline.batches.runner import BatchOutcome
from ocrlty_pipeline.ground_truth import read_ground_truth_file
from ocrlty_pipeline.image_folders import EVERY_FILE
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.asset_checks import EXTRACTIONS_CHECKS, check_extractions
from ocrlty_pipeline.orchestration.assets.image_sets import image_set
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.metadata import batch_metadata
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.progress import RunProgress, run_progress
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.records import Auth
from ocrlty_pipeline.services import Services

GROUP = "extraction"
# Code of a batch of which nothing came, or which gave up; its artifact says what was done.
BATCH_FAILED = "batch_failed"


class BatchConfig(dg.Config):
    """How to extract; the defaults are the settings of the process."""

    backend: str | None = Field(default=None, description="mock, vllm or ocr; null takes INFERENCE_BACKEND.")
    concurrency: int = Field(default=16, ge=1, description="Calls in flight, at most JOBS_MAX_CONCURRENCY.")
    limit: int | None = Field(default=None, ge=1, description="Only the first so many images; null takes all.")
    run_id: str | None = Field(default=None, description="Id of the batch run; null derives one from the Dagster run.")
    resume: bool = Field(
        default=True, description="Continue an unfinished batch run of the same inputs and parameters, if there is one."
    )
    image_set_version: int | None = Field(default=None, ge=1, description="Version of the set; null takes the latest.")
    images_dir: str | None = Field(
        default=None, description="Folder under DATA_ROOT to import as the image set first; null takes it as it is."
    )
    glob: str = Field(default=EVERY_FILE, description="With images_dir: which files of it, for example '*.jpg'.")
    gt_path: str | None = Field(
        default=None, description="Ground-truth file under DATA_ROOT to attach to the image set first; null for none."
    )
    gt_image_key: str = Field(default="file", description="With gt_path: key under which an entry names its image.")
    source_run_id: str | None = Field(
        default=None, description="Batch run whose images are extracted again, exactly those; null takes the set's."
    )
    only_failed: bool = Field(
        default=False, description="With source_run_id: only the images for which that run has no result."
    )
    reuse_results: bool | None = Field(
        default=None,
        description="Take over answers of earlier records whose image, prompt, schema, model and parameters are all "
        "the same; null does so with source_run_id.",
    )
    overrides: str = Field(
        default="{}",
        description="JSON object with some of prompt, schema, temperature, max_tokens and model, for this run only.",
    )
    key_id: str = Field(default=Auth().key_id, description="Whose run it is, as its artifacts say.")
    role: str = Field(default=Auth().role, description="Role of that key.")
    scopes: list[str] = Field(default=[], description="Scopes of that key.")
    request: str | None = Field(default=None, description="What the API was asked, as it shows it again.")


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
        with as_dagster_failures(), run_progress(context, services.settings) as progress:
            request = _request(context, config, _imported(context, config, services, progress))
            # Held until the IO manager has stored the outcome, so that nobody takes the batch for a dead one.
            batch = ocrlty.held_open(open_batch(services, request))
            _announce(context, batch)
            outcome = batch.run(progress)
            ocrlty.at_end(lambda: _release_inputs(context, services, batch, outcome))
            if outcome.header.status != "succeeded":
                finish_batch(services, outcome)
        _raise_unless_succeeded(context, outcome)
        yield dg.Output(outcome, metadata=batch_metadata(outcome))
        yield from check_extractions(outcome.header)

    return extractions


def _imported(
    context: dg.AssetExecutionContext, config: BatchConfig, services: Services, progress: RunProgress
) -> int | None:
    """Bring the image set up to date from its folder and its ground truth, where they are given; its version."""
    name, _ = split_batch_key(context.partition_key)
    version = config.image_set_version
    image_sets, root = services.image_sets_of(config.key_id), services.settings.data_root_path
    if config.images_dir is not None:
        source = FolderSource(Path(config.images_dir), root, services.folder_limits, config.glob, config.limit)
        version = asyncio.run(image_sets.import_folder(name, source, progress.imported)).version
    if config.gt_path is not None:
        given = read_ground_truth_file(Path(config.gt_path), root)
        attached = image_sets.attach_ground_truth(name, given, source=config.gt_path, image_key=config.gt_image_key)
        asyncio.run(attached)
    return version


def _request(context: dg.AssetExecutionContext, config: BatchConfig, version: int | None) -> BatchRequest:
    image_set_name, task_id = split_batch_key(context.partition_key)
    return BatchRequest(
        image_set=image_set_name,
        task_id=task_id,
        dagster_run_id=context.run.run_id,
        backend=config.backend,
        concurrency=config.concurrency,
        limit=config.limit,
        run_id=config.run_id,
        resume=config.resume,
        auth=Auth(key_id=config.key_id, role=config.role, scopes=config.scopes),
        image_set_version=version,
        source_run_id=config.source_run_id,
        only_failed=config.only_failed,
        reuse_results=config.reuse_results,
        overrides=Overrides.from_json(config.overrides),
    )


def _announce(context: dg.AssetExecutionContext, batch: OpenBatch | StoredBatch) -> None:
    claim = batch.claim
    image_set_name, task_id = split_batch_key(context.partition_key)
    tags = {run_tags.RUN_ID: claim.run_id, run_tags.IMAGE_SET: image_set_name, run_tags.TASK_ID: task_id}
    context.instance.add_run_tags(context.run.run_id, tags)
    if claim.resumed_from is not None:
        context.log.info("Continuing batch run %s: what it extracted is not extracted again.", claim.resumed_from)
    if claim.interrupted_dagster_run_id is not None:
        _close_interrupted(context, claim.interrupted_dagster_run_id)


def _close_interrupted(context: dg.AssetExecutionContext, dagster_run_id: str) -> None:
    """The lock on its batch was free, so the earlier run's process is dead, whatever Dagster still believes."""
    run = context.instance.get_run_by_id(dagster_run_id)
    if run is not None and not run.is_finished:
        context.instance.report_run_failed(run, f"Its process died; run {context.run.run_id} continues its batch.")


def _release_inputs(
    context: dg.AssetExecutionContext, services: Services, batch: OpenBatch | StoredBatch, outcome: BatchOutcome
) -> None:
    """Remove inputs that are not to be kept, unless a retry of this run may need them.

    A batch that was interrupted without anybody asking for it is handed back: its worker was told to stop.
    """
    if not services.journal.ended(outcome.header.run_id):
        return
    if outcome.header.status != "canceled" or _asked_to_end(context):
        batch.release_inputs()


def _asked_to_end(context: dg.AssetExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status in {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}


def _raise_unless_succeeded(context: dg.AssetExecutionContext, outcome: BatchOutcome) -> None:
    header = outcome.header
    if header.status == "canceled" and _asked_to_end(context):
        raise DagsterExecutionInterruptedError
    if header.status == "canceled":
        # Its worker was told to stop: as a failure that is retried, the batch is handed back.
        retried = {MAX_RETRIES_TAG: str(context.instance.run_retries_max_retries)}
        context.instance.add_run_tags(context.run.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "true", **retried})
        raise dg.Failure("Its worker was told to stop; the batch continues in a retry.", allow_retries=False)
    if header.status == "failed":
        done = f"{header.ok_count} of {header.item_count} images extracted, kept in {outcome.rel}"
        metadata = {**batch_metadata(outcome), "code": BATCH_FAILED}
        raise dg.Failure(f"{header.status_reason} ({done})", metadata=metadata, allow_retries=False)
