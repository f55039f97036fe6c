"""The IO manager of batch runs and evaluations: JSON artifacts on disk or in a bucket, as the settings say."""

import asyncio
from typing import Any

import dagster as dg

from ocrlty_pipeline.batches.execution import finish_batch
from ocrlty_pipeline.batches.runner import BatchOutcome
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.records import BatchRun
from ocrlty_pipeline.report.stored import write_report
from ocrlty_pipeline.scoring import save_evaluation
from ocrlty_pipeline.services import Services


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Writes an asset's artifact once, with its index row; loads the latest batch run of a partition."""

    ocrlty: dg.ResourceDependency[OcrltyResource]

    def handle_output(self, context: dg.OutputContext, obj: BatchOutcome | Evaluation) -> None:
        with as_dagster_failures():
            context.add_output_metadata(save_outcome(self.ocrlty.services, obj, context.log))

    def load_input(self, context: dg.InputContext) -> BatchRun:
        runs = self.ocrlty.services.runs
        with as_dagster_failures():
            return asyncio.run(runs.load(runs.latest(*split_batch_key(context.partition_key))))


def save_outcome(services: Services, outcome: BatchOutcome | Evaluation, log: dg.DagsterLogManager) -> dict[str, Any]:
    """Store the artifact of a batch run or an evaluation, with its index row; where it is, as metadata."""
    if isinstance(outcome, BatchOutcome):
        return _places(services, finish_batch(services, outcome))
    return {**_places(services, save_evaluation(services, outcome)), **_report_metadata(services, outcome, log)}


def _places(services: Services, rel: str) -> dict[str, Any]:
    return {"artifact": dg.MetadataValue.path(services.store.full_ref(rel)), "artifact_rel": rel}


def _report_metadata(services: Services, evaluation: Evaluation, log: dg.DagsterLogManager) -> dict[str, Any]:
    """Write the page that shows an evaluation, and say where it is.

    The evaluation is stored by now: a page that cannot be written is no reason to lose it, and `ocrlty report` makes
    it later.
    """
    try:
        rel = write_report(services, evaluation)
    except OcrltyError as error:
        log.warning("The report could not be written: %s", error.message)
        return {}
    return {"report_file": dg.MetadataValue.path(services.store.full_ref(rel)), "report_rel": rel}
