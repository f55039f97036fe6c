"""The job `batch_extract_sharded`: a large image set in shards, which an executor spreads and which fail alone.

Between the steps goes nothing but the shards' names, as keys of the dynamic outputs: what they did is in storage. So
any executor will do, whether or not its processes share a disk.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.batches.progress import Progress
from ocrlty_pipeline.batches.shards import Shard, close_shards, extract_shard, open_shards
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.orchestration.asset_checks import EVALUATION, EXTRACTIONS, check_evaluation, check_extractions
from ocrlty_pipeline.orchestration.assets.evaluations import EvaluationConfig, score_run
from ocrlty_pipeline.orchestration.assets.extractions import raise_unless_succeeded
from ocrlty_pipeline.orchestration.baseline_check import check_baseline
from ocrlty_pipeline.orchestration.batch_config import BatchConfig, announce, batch_request, imported_version
from ocrlty_pipeline.orchestration.failures import as_dagster_failures, end_canceled
from ocrlty_pipeline.orchestration.io_managers import save_outcome
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT_SHARDED, IN_SHARDS, config_of_batches
from ocrlty_pipeline.orchestration.metadata import evaluation_metadata, extraction_metadata
from ocrlty_pipeline.orchestration.past_runs import execution_of
from ocrlty_pipeline.orchestration.progress import RunProgress, run_progress, told_progress
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.orchestration.warm.processes import PRELOAD
from ocrlty_pipeline.orchestration.work_tags import question_tags
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings

SHARD_NAMES = "shard_names"
# Each step has its own copy of the config; the graph takes it once.
STEPS = ("plan", "shard", "close")
# Beyond the retries of each call: a shard whose process died, or whose service was away, waits 5 s, then 10, then 20.
RETRIES = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL)


class ShardNames(dg.IOManager):
    """Hands a step the name of its shard, which is the key of the dynamic output that it maps."""

    def handle_output(self, context: dg.OutputContext, obj: str) -> None:
        """Nothing is kept: the name is in the run's own events."""

    def load_input(self, context: dg.InputContext) -> str:
        upstream = context.upstream_output
        assert upstream is not None  # noqa: S101 -- only dynamic outputs are loaded here
        assert upstream.mapping_key is not None  # noqa: S101
        return upstream.mapping_key


class ShardedBatchConfig(BatchConfig):
    """How to extract in shards; the defaults are the settings of the process."""

    concurrency: int = Field(
        default=16, ge=1, description="Calls in flight in each process, at most JOBS_MAX_CONCURRENCY."
    )
    shard_size: int | None = Field(default=None, ge=1, description="Images a shard; null takes JOBS_SHARD_SIZE.")


@dg.op(name="plan", out=dg.DynamicOut(str, io_manager_key=SHARD_NAMES), description="Claim the batch and cut it.")
def plan_shards(
    context: dg.OpExecutionContext, config: ShardedBatchConfig, ocrlty: OcrltyResource
) -> Iterator[dg.DynamicOutput[str]]:
    services = ocrlty.services
    with as_dagster_failures(), run_progress(context, services.settings) as progress:
        request = batch_request(context, config, services, imported_version(context, config, services, progress))
        size = config.shard_size or services.settings.jobs_shard_size
        with open_shards(services, request, size, partial(execution_of, context.instance)) as batch:
            announce(context, batch.claim, question_tags(batch.context) if batch.context else {})
    for name in map(str, batch.shards):
        yield dg.DynamicOutput(name, mapping_key=name)


def build_shard_op(pool: str) -> dg.OpDefinition:
    """The step of one shard; `pool` bounds how many runs use the backend at once."""

    @dg.op(name="shard", out=dg.Out(dg.Nothing), retry_policy=RETRIES, pool=pool, description="Extract one shard.")
    def shard(context: dg.OpExecutionContext, config: ShardedBatchConfig, ocrlty: OcrltyResource, name: str) -> None:
        extract_one_shard(context, config, ocrlty.services, Shard.parse(name))

    return shard


def extract_one_shard(
    context: dg.OpExecutionContext, config: ShardedBatchConfig, services: Services, shard: Shard
) -> None:
    # An attempt before this one may have done some of it.
    shard = Shard(shard.number, again=shard.again or context.retry_number > 0)
    with as_dagster_failures(), run_progress(context, services.settings) as progress:
        header = extract_shard(
            services, batch_request(context, config, services, None), shard, partial(_ahead, context, progress)
        )
    if header.status == "canceled":
        end_canceled(context)
    context.log.info(
        "%s: %d images, %d failed, %d reused.", shard, header.item_count, header.error_count, header.reused_count
    )


def _ahead(context: dg.OpExecutionContext, progress: RunProgress, now: Progress) -> bool:
    """Tell the run's progress unless another shard has told of more; whether somebody wants the run to end."""
    told = told_progress(context.instance, context.run.run_id)
    return progress.stopping() if told is not None and told["done"] > now.done else progress(now)


@dg.op(
    name="close",
    ins={"done": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    retry_policy=RETRIES,
    description="Write the batch artifact once every shard is done.",
)
def close_run(context: dg.OpExecutionContext, config: ShardedBatchConfig, ocrlty: OcrltyResource) -> None:
    services = ocrlty.services
    with as_dagster_failures():
        outcome = close_shards(services, batch_request(context, config, services, None))
        places = save_outcome(services, outcome, context.log)
        raise_unless_succeeded(context, outcome)
        _materialize(context, EXTRACTIONS, {**extraction_metadata(services, outcome), **places})
    _check(context, check_extractions(outcome.header))


@dg.op(
    name="score",
    ins={"closed": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    description="Score the run where there is ground truth.",
)
def evaluate_run(context: dg.OpExecutionContext, config: EvaluationConfig, ocrlty: OcrltyResource) -> None:
    services = ocrlty.services
    with as_dagster_failures():
        scored = score_run(context, config, services)
        if scored is None:
            return
        places = save_outcome(services, scored, context.log)
        _materialize(context, EVALUATION, {**evaluation_metadata(services, scored), **places})
    _check(context, [*check_evaluation(scored), check_baseline(services, scored)])


def _materialize(context: dg.OpExecutionContext, key: dg.AssetKey, metadata: Mapping[str, Any]) -> None:
    """Show what came of a step where the same done in one step is shown: on its asset's partition."""
    dimensions = {name: value for name, value in context.run.tags.items() if name.startswith("dagster/partition/")}
    context.log_event(dg.AssetMaterialization(key, partition=context.partition_key, tags=dimensions, metadata=metadata))


def _check(context: dg.OpExecutionContext, results: list[dg.AssetCheckResult]) -> None:
    for result in results:
        assert result.asset_key is not None  # noqa: S101 -- our checks name theirs
        evaluation = dg.AssetCheckEvaluation(
            asset_key=result.asset_key,
            check_name=str(result.check_name),
            passed=result.passed,
            severity=result.severity,
            metadata=result.metadata,
            description=result.description,
        )
        context.log_event(evaluation)  # type: ignore[arg-type]  # Dagster logs it; its signature does not say so


@dg.config_mapping
def _config_of_each_step(config: ShardedBatchConfig) -> dict[str, Any]:
    # Dagster's config has no nulls: a field that is not given has its default.
    given = {name: value for name, value in config.model_dump().items() if value is not None}
    return {step: {"config": given} for step in STEPS}


def build_sharded_job(partitions: dg.MultiPartitionsDefinition, settings: Settings) -> dg.JobDefinition:
    """The job over image sets × tasks; which executor spreads its shards is a setting.

    Raises:
        ConfigError: the package of that executor is not installed.
    """
    shard = build_shard_op(settings.inference_backend)

    @dg.graph(name=IN_SHARDS, config=_config_of_each_step, out={"closed": dg.GraphOut()})
    def extraction_in_shards() -> Any:
        """One batch run."""
        return close_run(plan_shards().map(shard).collect())

    @dg.job(
        name=BATCH_EXTRACT_SHARDED,
        config=config_of_batches(partitions),
        executor_def=_executor(settings),
        # A retry plans again, and finds the shards that are done: nothing is kept between runs but in storage.
        tags={"dagster/retry_strategy": "ALL_STEPS"},
        description="As batch_extract, for large image sets: in shards, spread over processes or machines "
        "(JOBS_SHARD_EXECUTOR), each retried alone. Cancelled or failed, it goes on when it is launched again.",
    )
    def batch_extract_sharded() -> None:
        evaluate_run(extraction_in_shards())

    return batch_extract_sharded


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    return _EXECUTORS[settings.jobs_shard_executor](settings)


def _multiprocess(settings: Settings) -> dg.ExecutorDefinition:
    if multiprocessing.current_process().daemon:
        # A task of Celery: such a process may start no others.
        return dg.in_process_executor
    # A copy of a process that has imported everything is there in no time; a new one takes seconds.
    start = {"forkserver": {"preload_modules": [PRELOAD]}}
    config = {"max_concurrent": settings.jobs_shard_processes, "start_method": start}
    return dg.multiprocess_executor.configured(config)


def _celery(_settings: Settings) -> dg.ExecutorDefinition:
    try:
        from dagster_celery import celery_executor  # noqa: PLC0415 -- an extra
    except ImportError:
        raise ConfigError("JOBS_SHARD_EXECUTOR=celery needs `pip install '.[celery]'` in the checkout.") from None
    config = {"broker": {"env": "CELERY_BROKER_URL"}, "backend": {"env": "CELERY_RESULT_BACKEND"}}
    return celery_executor.configured(config)


def _k8s(settings: Settings) -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor  # noqa: PLC0415 -- an extra
    except ImportError:
        raise ConfigError("JOBS_SHARD_EXECUTOR=k8s needs `pip install '.[k8s]'` in the checkout.") from None
    return k8s_job_executor.configured({"max_concurrent": settings.jobs_shard_processes})


_EXECUTORS: dict[str, Callable[[Settings], dg.ExecutorDefinition]] = {
    "in_process": lambda _settings: dg.in_process_executor,
    "multiprocess": _multiprocess,
    "celery": _celery,
    "k8s": _k8s,
}
