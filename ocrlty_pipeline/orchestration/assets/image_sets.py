"""`image_set` and `ground_truth`: a folder of images, and what is expected of them, as versions in the store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.datasets.sources import Format, read_ground_truth
from ocrlty_pipeline.image_folders import EVERY_FILE
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.partitions import image_set_partitions
from ocrlty_pipeline.orchestration.progress import run_progress
from ocrlty_pipeline.orchestration.resources import OcrltyResource

GROUP = "image_sets"


class FolderConfig(dg.Config):
    """A folder on the server's disk."""

    images_dir: str = Field(description="Folder of the images; it must lie under DATA_ROOT.")
    glob: str = Field(default=EVERY_FILE, description="Which files of it, for example '*.jpg'.")


class GroundTruthConfig(dg.Config):
    """A ground-truth file."""

    gt_path: str | None = Field(
        default=None, description="File, or folder of a data set, under DATA_ROOT; null changes nothing."
    )
    gt_format: Format = Field(default="auto", description="Its format; auto goes by a file's suffix.")
    gt_image_key: str = Field(default="file", description="Key under which an entry names its image.")


@dg.asset(
    partitions_def=image_set_partitions,
    group_name=GROUP,
    kinds={"json"},
    description="The manifest of an image set: its images in order, kept by content in the artifact store.",
)
def image_set(
    context: dg.AssetExecutionContext, config: FolderConfig, ocrlty: OcrltyResource
) -> dg.MaterializeResult[None]:
    services = ocrlty.services
    source = FolderSource(
        Path(config.images_dir), services.settings.data_root_path, services.folder_limits, config.glob
    )
    every_s = services.settings.jobs_progress_min_seconds
    with as_dagster_failures(), run_progress(context, min_seconds=every_s) as progress:
        manifest = asyncio.run(services.image_sets.import_folder(context.partition_key, source, progress.imported))
    return dg.MaterializeResult(
        metadata={
            "images": len(manifest.items),
            "distinct_images": len({item.sha256 for item in manifest.items if item.sha256}),
            "unreadable": len(manifest.unreadable),
            "skipped_files": manifest.skipped,
            "bytes": manifest.total_bytes,
            "version": manifest.version,
            "images_dir": dg.MetadataValue.path(manifest.images_dir),
        }
    )


@dg.asset(
    partitions_def=image_set_partitions,
    deps=[image_set],
    group_name=GROUP,
    kinds={"json"},
    output_required=False,
    description="The expected JSON per image of an image set.",
)
def ground_truth(
    context: dg.AssetExecutionContext, config: GroundTruthConfig, ocrlty: OcrltyResource
) -> Iterator[dg.MaterializeResult[None]]:
    if config.gt_path is None:
        context.log.info("No gt_path given: the image set's ground truth stays as it is.")
        return
    services = ocrlty.services
    with as_dagster_failures():
        root, image_key = services.settings.data_root_path, config.gt_image_key
        records = read_ground_truth(Path(config.gt_path), root, config.gt_format, image_key)
        match, stored = asyncio.run(
            services.image_sets.attach_records(
                context.partition_key, records, source=config.gt_path, image_key=image_key
            )
        )
    yield dg.MaterializeResult(
        metadata={
            "images_with_ground_truth": len(match.by_file),
            "images_without": len(match.unmatched_files),
            "entries_without_image": len(match.unmatched_entries),
            "version": stored.version,
        }
    )
