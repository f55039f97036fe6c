"""`evaluation`: a batch run scored against the image set's ground truth."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.orchestration.asset_checks import EVALUATION_CHECKS, check_evaluation
from ocrlty_pipeline.orchestration.assets.image_sets import ground_truth
from ocrlty_pipeline.orchestration.baseline_check import NO_REGRESSION, check_baseline
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.metadata import evaluation_metadata
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.scoring import score_batch

GROUP = "evaluation"


class EvaluationConfig(dg.Config):
    """What to score."""

    run_id: str | None = Field(default=None, description="Batch run to score; null takes the partition's latest.")


def build_evaluation(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the partitions that the tasks at hand make."""

    @dg.asset(
        partitions_def=partitions,
        deps=["extractions", ground_truth],
        group_name=GROUP,
        kinds={"json"},
        io_manager_key="artifacts",
        check_specs=[*EVALUATION_CHECKS, NO_REGRESSION],
        description="A batch run scored against ground truth: per field, per sample, per run.",
    )
    def evaluation(
        context: dg.AssetExecutionContext, config: EvaluationConfig, ocrlty: OcrltyResource
    ) -> Iterator[dg.Output[Evaluation] | dg.AssetCheckResult]:
        services = ocrlty.services
        with as_dagster_failures():
            runs = services.runs
            row = runs.find(config.run_id) if config.run_id else runs.latest(*split_batch_key(context.partition_key))
            scored = score_batch(services, row)
        yield dg.Output(scored, metadata=evaluation_metadata(scored))
        yield from check_evaluation(scored)
        yield check_baseline(services, scored)

    return evaluation
