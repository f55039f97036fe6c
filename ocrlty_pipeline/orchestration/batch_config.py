"""What a batch is asked for in Dagster: its config, and what that comes to.

Belongs here: what one run over an image set and the steps of a run in shards have in common. Does not: extracting.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.batches.execution import BatchRequest
from ocrlty_pipeline.batches.journal import Claim
from ocrlty_pipeline.ground_truth import read_ground_truth_file
from ocrlty_pipeline.image_folders import EVERY_FILE
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.failures import take_back
from ocrlty_pipeline.orchestration.jobs import BATCH_RERUN
from ocrlty_pipeline.orchestration.launch_defaults import run_to_repeat
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.past_runs import retried_runs
from ocrlty_pipeline.orchestration.progress import RunProgress, StepContext
from ocrlty_pipeline.orchestration.work_tags import batch_tags
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.records import Auth
from ocrlty_pipeline.services import Services


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
        default=None,
        description="Run to repeat, on exactly its images; null takes the set's, in batch_rerun the latest run's: of "
        "the partition, or of the set where the task is new to it.",
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


def imported_version(
    context: StepContext, config: BatchConfig, services: Services, progress: RunProgress
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


def batch_request(context: StepContext, config: BatchConfig, services: Services, version: int | None) -> BatchRequest:
    """What the domain is asked for, by the partition and the config of a run."""
    image_set_name, task_id = split_batch_key(context.partition_key)
    return BatchRequest(
        image_set=image_set_name,
        task_id=task_id,
        dagster_run_id=context.run.run_id,
        retries=retried_runs(context.instance, context.run),
        backend=config.backend,
        concurrency=config.concurrency,
        limit=config.limit,
        run_id=config.run_id,
        resume=config.resume,
        auth=Auth(key_id=config.key_id, role=config.role, scopes=config.scopes),
        image_set_version=version,
        source_run_id=_source_of(context, config, services),
        only_failed=config.only_failed,
        reuse_results=config.reuse_results,
        overrides=Overrides.from_json(config.overrides),
    )


def _source_of(context: StepContext, config: BatchConfig, services: Services) -> str | None:
    """The run to repeat; the one that the first attempt took, whatever has become the latest since."""
    if config.source_run_id is not None or context.job_name != BATCH_RERUN:
        return config.source_run_id
    taken = context.run.tags.get(run_tags.SOURCE_RUN_ID)
    if taken is None:
        taken = run_to_repeat(services, *split_batch_key(context.partition_key))
        context.instance.add_run_tags(context.run.run_id, {run_tags.SOURCE_RUN_ID: taken})
        context.log.info("No source_run_id given: the images of run %s are extracted again.", taken)
    return taken


def announce(context: StepContext, claim: Claim, question: Mapping[str, str]) -> None:
    """Tag the Dagster run with what it works on, and with what; close the one whose dead batch it continues."""
    take_back(context)
    tags = {run_tags.RUN_ID: claim.run_id, **batch_tags(context.partition_key), **question}
    context.instance.add_run_tags(context.run.run_id, tags)
    if claim.resumed_from is not None:
        context.log.info("Continuing batch run %s: what it extracted is not extracted again.", claim.resumed_from)
    if claim.interrupted_dagster_run_id is not None:
        _close_interrupted(context, claim.interrupted_dagster_run_id)


def _close_interrupted(context: StepContext, dagster_run_id: str) -> None:
    """Its batch could be claimed, so the earlier run's process is dead, whatever Dagster still believes."""
    run = context.instance.get_run_by_id(dagster_run_id)
    if run is not None and not run.is_finished:
        context.instance.report_run_failed(run, f"Its process died; run {context.run.run_id} continues its batch.")
