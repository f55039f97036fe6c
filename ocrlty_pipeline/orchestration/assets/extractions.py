"""`extractions`: one image set through one task, as one batch run."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from ocrlty_pipeline.batches.execution import (
    OpenBatch,
    StoredBatch,
    finish_batch,
    open_batch,
)
from ocrlty_pipeline.batches.runner import BatchOutcome
from ocrlty_pipeline.orchestration import descriptions
from ocrlty_pipeline.orchestration.asset_checks import EXTRACTIONS_CHECKS, check_extractions
from ocrlty_pipeline.orchestration.assets.image_sets import image_set
from ocrlty_pipeline.orchestration.batch_config import BatchConfig, announce, batch_request, imported_version
from ocrlty_pipeline.orchestration.failures import as_dagster_failures, asked_to_end, end_canceled
from ocrlty_pipeline.orchestration.metadata import batch_metadata, extraction_metadata
from ocrlty_pipeline.orchestration.past_runs import execution_of
from ocrlty_pipeline.orchestration.progress import StepContext, run_progress
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.orchestration.work_tags import header_tags, question_tags
from ocrlty_pipeline.services import Services

GROUP = "extraction"
# Code of a batch of which nothing came, or which gave up; its artifact says what was done.
BATCH_FAILED = "batch_failed"


def build_extractions(partitions: dg.MultiPartitionsDefinition, pool: str) -> dg.AssetsDefinition:
    """The asset over the partitions of the tasks at hand; `pool` bounds how many runs use the backend at once."""

    @dg.asset(
        partitions_def=partitions,
        deps=[image_set],
        group_name=GROUP,
        kinds={"python", "json"},
        io_manager_key="artifacts",
        pool=pool,
        check_specs=EXTRACTIONS_CHECKS,
        description=descriptions.EXTRACTIONS,
    )
    def extractions(
        context: dg.AssetExecutionContext, config: BatchConfig, ocrlty: OcrltyResource
    ) -> Iterator[dg.Output[BatchOutcome] | dg.AssetCheckResult]:
        services = ocrlty.services
        with as_dagster_failures(), run_progress(context, services.settings) as progress:
            request = batch_request(context, config, services, imported_version(context, config, services, progress))
            # Held until the IO manager has stored the outcome, so that nobody takes the batch for a dead one.
            batch = ocrlty.held_open(open_batch(services, request, partial(execution_of, context.instance)))
            announce(context, batch.claim, question_tags(batch.context) if isinstance(batch, OpenBatch) else {})
            outcome = batch.run(progress)
            if isinstance(batch, StoredBatch):
                context.instance.add_run_tags(context.run.run_id, header_tags(outcome.header))
            ocrlty.at_end(lambda: _release_inputs(context, services, batch, outcome))
            if outcome.header.status != "succeeded":
                finish_batch(services, outcome)
        raise_unless_succeeded(context, outcome)
        yield dg.Output(outcome, metadata=extraction_metadata(services, outcome))
        yield from check_extractions(outcome.header)

    return extractions


def _release_inputs(
    context: dg.AssetExecutionContext, services: Services, batch: OpenBatch | StoredBatch, outcome: BatchOutcome
) -> None:
    """Remove inputs that are not to be kept, unless a retry of this run may need them.

    A batch that was interrupted without anybody asking for it is handed back: its worker was told to stop.
    """
    if not services.journal.ended(outcome.header.run_id):
        return
    if outcome.header.status != "canceled" or asked_to_end(context):
        batch.release_inputs()


def raise_unless_succeeded(context: StepContext, outcome: BatchOutcome) -> None:
    """End the step of a batch that was stopped, or of which nothing came."""
    header = outcome.header
    if header.status == "canceled":
        end_canceled(context)
    if header.status == "failed":
        done = f"{header.ok_count} of {header.item_count} images extracted, kept in {outcome.rel}"
        metadata = {**batch_metadata(outcome), "code": BATCH_FAILED}
        raise dg.Failure(f"{header.status_reason} ({done})", metadata=metadata, allow_retries=False)
