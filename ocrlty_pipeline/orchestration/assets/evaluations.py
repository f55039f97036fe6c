"""`evaluation`: a batch run scored against the image set's ground truth."""

import asyncio
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.orchestration import descriptions, run_tags
from ocrlty_pipeline.orchestration.asset_checks import EVALUATION, EVALUATION_CHECKS, check_evaluation
from ocrlty_pipeline.orchestration.assets.image_sets import ground_truth
from ocrlty_pipeline.orchestration.baseline_check import NO_REGRESSION, check_baseline
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.jobs import EVALUATE
from ocrlty_pipeline.orchestration.metadata import evaluation_metadata
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.progress import StepContext
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.scoring import Against, score_batch
from ocrlty_pipeline.services import Services

GROUP = "evaluation"


class EvaluationConfig(dg.Config):
    """What to score, and against what."""

    run_id: str | None = Field(
        default=None, description="Batch run to score; null takes this run's own, or the partition's latest."
    )
    evaluate: bool = Field(default=True, description="Whether to score at all.")
    ground_truth: str | None = Field(
        default=None, description="Image set whose ground truth is taken; null takes the batch's own image set."
    )
    gt_image_key: str | None = Field(
        default=None, description="Key under which an entry names its image; null takes the one given with it."
    )
    overrides: str = Field(default="{}", description="The overrides that the batch run was made with, as JSON.")


def build_evaluation(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the partitions that the tasks at hand make."""

    # A subset may be empty: a run over a set without ground truth ends well without an evaluation or its checks.
    @dg.multi_asset(
        name="evaluation",
        specs=[
            dg.AssetSpec(
                EVALUATION,
                deps=["extractions", ground_truth],
                group_name=GROUP,
                kinds={"python", "json"},
                skippable=True,
                description=descriptions.EVALUATION,
            ).with_io_manager_key("artifacts")
        ],
        partitions_def=partitions,
        check_specs=[*EVALUATION_CHECKS, NO_REGRESSION],
        can_subset=True,
    )
    def evaluation(
        context: dg.AssetExecutionContext, config: EvaluationConfig, ocrlty: OcrltyResource
    ) -> Iterator[dg.Output[Evaluation] | dg.AssetCheckResult]:
        services = ocrlty.services
        with as_dagster_failures():
            scored = score_run(context, config, services)
        if scored is None:
            return
        yield dg.Output(
            scored, output_name=EVALUATION.to_python_identifier(), metadata=evaluation_metadata(services, scored)
        )
        yield from check_evaluation(scored)
        yield check_baseline(services, scored)

    return evaluation


def score_run(context: StepContext, config: EvaluationConfig, services: Services) -> Evaluation | None:
    """Score the batch run that is meant; None, said in the log, where there is nothing to score it against."""
    row = _row(context, config, services)
    if not _wanted(context, config, services, row):
        context.log.info("Image set %s has no ground truth: the run is not scored.", row.image_set)
        return None
    against = Against(image_set=config.ground_truth, image_key=config.gt_image_key)
    return score_batch(services, row, against, Overrides.from_json(config.overrides))


def _row(context: StepContext, config: EvaluationConfig, services: Services) -> IndexRow:
    run = context.instance.get_run_by_id(context.run.run_id)
    run_id = config.run_id or (run.tags.get(run_tags.RUN_ID) if run else None)
    return services.runs.find(run_id) if run_id else services.runs.latest(*split_batch_key(context.partition_key))


def _wanted(context: StepContext, config: EvaluationConfig, services: Services, row: IndexRow) -> bool:
    """Whether to score: always where that is all the job does, so that it fails in words without ground truth."""
    if context.job_name == EVALUATE or config.ground_truth is not None:
        return config.evaluate
    stored = asyncio.run(services.image_sets.load_ground_truth(str(row.image_set)))
    return config.evaluate and stored is not None
