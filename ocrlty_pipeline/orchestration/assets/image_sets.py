"""`image_set` and `ground_truth`: a folder of images, and what is expected of them, as versions in the store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from pydantic import Field

from ocrlty_pipeline.artifacts.keys import ground_truth_key, image_set_key
from ocrlty_pipeline.datasets.sources import Format, read_ground_truth
from ocrlty_pipeline.image_folders import EVERY_FILE
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.orchestration import descriptions
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.launch_defaults import folder_of
from ocrlty_pipeline.orchestration.partitions import image_set_partitions
from ocrlty_pipeline.orchestration.progress import run_progress
from ocrlty_pipeline.orchestration.resources import OcrltyResource
from ocrlty_pipeline.services import Services

GROUP = "image_sets"


class FolderConfig(dg.Config):
    """A folder on the server's disk."""

    images_dir: str | None = Field(
        default=None,
        description="Folder of the images, under DATA_ROOT; null takes the one that the set was imported from, for a "
        "new set the one of its name in DATA_ROOT or its inbox.",
    )
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
    kinds={"python", "json"},
    description=descriptions.IMAGE_SET,
)
def image_set(
    context: dg.AssetExecutionContext, config: FolderConfig, ocrlty: OcrltyResource
) -> dg.MaterializeResult[None]:
    services = ocrlty.services
    with as_dagster_failures(), run_progress(context, services.settings) as progress:
        source = _source(context.partition_key, config, services)
        context.log.info("Importing %s.", source.folder)
        manifest = asyncio.run(services.image_sets.import_folder(context.partition_key, source, progress.imported))
    return dg.MaterializeResult(
        metadata={
            "artifact": dg.MetadataValue.path(services.store.full_ref(image_set_key(manifest.name, manifest.version))),
            "images": len(manifest.items),
            "distinct_images": len({item.sha256 for item in manifest.items if item.sha256}),
            "unreadable": len(manifest.unreadable),
            "skipped_files": manifest.skipped,
            "bytes": manifest.total_bytes,
            "version": manifest.version,
            "images_dir": dg.MetadataValue.path(manifest.images_dir),
        }
    )


def _source(name: str, config: FolderConfig, services: Services) -> FolderSource:
    folder, glob = (
        folder_of(services, name, config.glob) if config.images_dir is None else (Path(config.images_dir), config.glob)
    )
    return FolderSource(folder, services.settings.data_root_path, services.folder_limits, glob)


@dg.asset(
    partitions_def=image_set_partitions,
    deps=[image_set],
    group_name=GROUP,
    kinds={"python", "json"},
    output_required=False,
    description=descriptions.GROUND_TRUTH,
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
            "artifact": dg.MetadataValue.path(
                services.store.full_ref(ground_truth_key(context.partition_key, stored.version))
            ),
            "images_with_ground_truth": len(match.by_file),
            "images_without": len(match.unmatched_files),
            "entries_without_image": len(match.unmatched_entries),
            "version": stored.version,
            "source": config.gt_path,
        }
    )
