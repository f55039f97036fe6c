"""Jobs: what a person launches.

Each is a selection of assets run in one process: what bounds a batch is its backend, not the number of its steps.
"""

from __future__ import annotations

import dagster as dg

from ocrlty_pipeline.orchestration.ops import extract_images

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
    description="Extract single images, each with an artifact and a materialization of its own.",
)
def extract_job() -> None:
    extract_images()


def build_jobs() -> list[dg.UnresolvedAssetJobDefinition | dg.JobDefinition]:
    """Single images; the jobs over image sets, and over image sets × tasks."""
    in_process = dg.in_process_executor
    batch = dg.AssetSelection.assets("extractions", "evaluation")
    return [
        extract_job,
        dg.define_asset_job(
            INGEST,
            dg.AssetSelection.assets("image_set", "ground_truth"),
            description="Register a folder as an image set, with its ground truth where a file is given.",
            executor_def=in_process,
        ),
        dg.define_asset_job(
            BATCH_EXTRACT,
            batch,
            description="Extract one image set through one task, and score the run where there is ground truth; "
            "continues an unfinished run of the same work.",
            executor_def=in_process,
        ),
        dg.define_asset_job(
            BATCH_RERUN,
            batch,
            description="Extract the images of an earlier run (source_run_id) again, through another task, prompt or "
            "model, or only those that failed; what has not changed is not asked again.",
            executor_def=in_process,
        ),
        dg.define_asset_job(
            EVALUATE,
            dg.AssetSelection.assets("evaluation", "leaderboard"),
            description="Score a batch run against the image set's ground truth, and rank the runs.",
            executor_def=in_process,
        ),
    ]
