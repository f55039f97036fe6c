"""The Dagster code location: one `build_defs`, which the location and the tests both call, and one lazy `defs`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from ocrlty_pipeline.orchestration import jobs
from ocrlty_pipeline.orchestration.assets.evaluations import build_evaluation
from ocrlty_pipeline.orchestration.assets.extractions import build_extractions
from ocrlty_pipeline.orchestration.assets.image_sets import ground_truth, image_set
from ocrlty_pipeline.orchestration.assets.leaderboards import build_leaderboard
from ocrlty_pipeline.orchestration.io_managers import ArtifactIOManager
from ocrlty_pipeline.orchestration.ops import extracts_spec
from ocrlty_pipeline.orchestration.partitions import batch_partitions
from ocrlty_pipeline.orchestration.pruning import nightly_prune, prune_job
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.orchestration.schedules import scheduled_image_sets
from ocrlty_pipeline.orchestration.sensors import build_sensors
from ocrlty_pipeline.orchestration.sharded import SHARD_NAMES, ShardNames, build_sharded_job
from ocrlty_pipeline.orchestration.webhooks import webhooks
from ocrlty_pipeline.settings import load_settings
from ocrlty_pipeline.tasks.registry import load_tasks


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Build the code location from the settings of this process: the tasks there are become partitions.

    Raises:
        ConfigError: a setting is bad.
        TaskError: a task's files are broken.
    """
    settings = load_settings()
    partitions = batch_partitions(load_tasks(settings.ocrlty_tasks_dir).ids)
    extractions, evaluation = build_extractions(partitions, settings.inference_backend), build_evaluation(partitions)
    ocrlty = OcrltyResource()
    resources = {"ocrlty": ocrlty, "artifacts": ArtifactIOManager(ocrlty=ocrlty), SHARD_NAMES: ShardNames()}
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
        image_set,
        ground_truth,
        extractions,
        evaluation,
        build_leaderboard(partitions),
        extracts_spec,
    ]
    owned = dg.map_asset_specs(lambda spec: spec.replace_attributes(owners=settings.ocrlty_owners), assets)
    all_jobs = [*jobs.build_jobs(partitions), build_sharded_job(partitions, settings)]
    return dg.Definitions(
        assets=_with_code_references(owned),
        jobs=[*all_jobs, prune_job],
        schedules=[scheduled_image_sets, nightly_prune],
        sensors=[*build_sensors(all_jobs), webhooks],
        resources={**resources, **(resource_overrides or {})},
        # One step bounds itself: a process of its own for it would only add seconds.
        executor=dg.in_process_executor,
    )


def _with_code_references(assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> Sequence[Any]:
    """Where each asset's code is, for the UI; that Dagster may still change how is nothing to tell every command."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs()
