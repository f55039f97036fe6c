"""Jobs: what a person launches.

Each is a selection of assets run in one process: what bounds a batch is its backend, not the number of its steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from ocrlty_pipeline.orchestration.ops import extract_images
from ocrlty_pipeline.orchestration.partitions import image_set_partitions
from ocrlty_pipeline.orchestration.work_tags import batch_tags, image_set_tags

EXTRACT = "extract"
INGEST = "ingest"
BATCH_EXTRACT = "batch_extract"
BATCH_RERUN = "batch_rerun"
BATCH_EXTRACT_SHARDED = "batch_extract_sharded"
EVALUATE = "evaluate"
# Of batch_extract_sharded, where the config is given: `ops: extraction_in_shards: config: ...`.
IN_SHARDS = "extraction_in_shards"


@dg.job(
    name=EXTRACT,
    executor_def=dg.in_process_executor,
    description="Extract single images, each with an artifact and a materialization of its own. Nothing typed: a "
    "small receipt drawn for the purpose, to try the backend.",
)
def extract_job() -> None:
    extract_images()


def build_jobs(batches: dg.MultiPartitionsDefinition) -> list[dg.UnresolvedAssetJobDefinition | dg.JobDefinition]:
    """Single images; the jobs over image sets, and over `batches`, image sets × tasks."""
    of_set = _config(image_set_partitions, image_set_tags)
    of_batch = config_of_batches(batches)
    batch = dg.AssetSelection.assets("extractions", "evaluation")

    def over(
        config: dg.PartitionedConfig[Any], name: str, selection: dg.AssetSelection, description: str
    ) -> dg.UnresolvedAssetJobDefinition:
        # A step in a process of its own would only add seconds.
        executor = dg.in_process_executor
        return dg.define_asset_job(name, selection, config=config, description=description, executor_def=executor)

    return [
        extract_job,
        over(
            of_set,
            INGEST,
            dg.AssetSelection.assets("image_set", "ground_truth"),
            "Register a folder as an image set, with its ground truth where a file is given. Nothing typed: the "
            "folder that the set was imported from, or the one of its name in DATA_ROOT.",
        ),
        over(
            of_batch,
            BATCH_EXTRACT,
            batch,
            "Extract one image set through one task, and score the run where there is ground truth; continues an "
            "unfinished run of the same work.",
        ),
        over(
            of_batch,
            BATCH_RERUN,
            batch,
            "Extract the images of an earlier run (source_run_id) again, through another task, prompt or model, or "
            "only those that failed; what has not changed is not asked again. Nothing typed: the latest run.",
        ),
        over(
            of_batch,
            EVALUATE,
            dg.AssetSelection.assets("evaluation", "leaderboard"),
            "Score a batch run against the image set's ground truth, and rank the runs. Nothing typed: the latest run.",
        ),
    ]


def config_of_batches(batches: dg.MultiPartitionsDefinition) -> dg.PartitionedConfig[Any]:
    """What a job over image sets × tasks has for each of them where nothing is typed."""
    return _config(batches, batch_tags)


def _config(partitions: dg.PartitionsDefinition, tags: Callable[[str], dict[str, str]]) -> dg.PartitionedConfig[Any]:
    """No config, since every field has its default, and the tags by which people find a partition's runs."""
    return dg.PartitionedConfig(
        partitions, run_config_for_partition_key_fn=lambda _: {}, tags_for_partition_key_fn=tags
    )
