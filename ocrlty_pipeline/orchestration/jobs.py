"""Jobs: what a person launches.

Each is a selection of assets run in one process: what bounds a batch is its backend, not the number of its steps.
"""

from __future__ import annotations

import dagster as dg

from ocrlty_pipeline.orchestration.partitions import image_set_partitions

INGEST = "ingest"
BATCH_EXTRACT = "batch_extract"
EVALUATE = "evaluate"


def build_jobs(partitions: dg.MultiPartitionsDefinition) -> list[dg.UnresolvedAssetJobDefinition]:
    """The jobs over image sets, and over image sets × tasks."""
    in_process = dg.in_process_executor
    return [
        dg.define_asset_job(
            INGEST,
            dg.AssetSelection.assets("image_set", "ground_truth"),
            description="Register a folder as an image set, with its ground truth where a file is given.",
            partitions_def=image_set_partitions,
            executor_def=in_process,
        ),
        dg.define_asset_job(
            BATCH_EXTRACT,
            dg.AssetSelection.assets("extractions"),
            description="Extract one image set through one task; continues an unfinished run of the same work.",
            partitions_def=partitions,
            executor_def=in_process,
        ),
        dg.define_asset_job(
            EVALUATE,
            dg.AssetSelection.assets("evaluation"),
            description="Score a batch run against the image set's ground truth.",
            partitions_def=partitions,
            executor_def=in_process,
        ),
    ]
