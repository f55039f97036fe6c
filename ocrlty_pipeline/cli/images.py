"""Commands over what goes in and what is kept: `import`, `reindex`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ocrlty_pipeline.artifacts.reindex import reindex as rebuild_index
from ocrlty_pipeline.cli.following import follow
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.datasets.sources import Format, read_ground_truth
from ocrlty_pipeline.ground_truth import ground_truth_of
from ocrlty_pipeline.image_folders import EVERY_FILE, folder_files
from ocrlty_pipeline.image_sets import check_image_set_name
from ocrlty_pipeline.orchestration.jobs import INGEST
from ocrlty_pipeline.orchestration.launch import RunRequest, register_image_set, single_worker
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.processes import warm_up
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings


def import_(  # noqa: PLR0913, PLR0917 -- one parameter an option
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of images, under DATA_ROOT.")],
    name: Annotated[str, typer.Option(help="Name of the image set.")],
    glob: Annotated[str, typer.Option(help="Which files of the folder.")] = EVERY_FILE,
    gt: Annotated[
        Path | None,
        typer.Option(help="Ground truth under DATA_ROOT: a JSON, JSONL or CSV file, or the folder of a data set."),
    ] = None,
    gt_format: Annotated[
        Format,
        typer.Option(help="Its format: sroie reads key files, cord gt_parse JSON; auto goes by a file's suffix."),
    ] = "auto",
    gt_image_key: Annotated[str, typer.Option(help="Key under which an entry names its image.")] = "file",
) -> None:
    """Register a folder as an image set, with its ground truth if there is some."""
    warm_up()
    settings = load_settings()
    # What the run would refuse is refused before anything is registered.
    check_image_set_name(name)
    files = folder_files(folder, glob, settings.data_root_path)
    if gt is not None:
        records = read_ground_truth(gt, settings.data_root_path, gt_format, gt_image_key)
        ground_truth_of(records, gt_image_key).match(files.names)
    request = RunRequest(
        job=INGEST,
        partition_key=name,
        ops={
            "image_set": {"images_dir": str(folder.resolve()), "glob": glob},
            "ground_truth": {
                "gt_path": str(gt.resolve()) if gt else None,
                "gt_format": gt_format,
                "gt_image_key": gt_image_key,
            },
        },
    )
    with running_stack(settings) as running, dagster_instance() as instance, open_services(running) as services:
        register_image_set(instance, name)
        with single_worker(instance, running) as pool:
            follow(instance, pool, request, title=f"Importing {name}")
        manifest = asyncio.run(services.image_sets.load(name))
        truth = asyncio.run(services.image_sets.load_ground_truth(name))
    say(f"Image set {name} (version {manifest.version}): {len(manifest.items)} images.")
    for item in manifest.unreadable:
        say(f"  {item.file}: {item.error.message if item.error else ''}")
    if truth is not None:
        say(f"Ground truth of {name}: version {truth.version}, from {truth.source}.")


def reindex() -> None:
    """Rebuild the index from the stored artifacts, which are the source of truth."""
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        report = asyncio.run(rebuild_index(services.store, services.index))
    say(f"{report.seen} artifacts read, {report.added} index rows added.")
    for rel in report.unreadable:
        say(f"  unreadable: {rel}")
    if report.unreadable:
        raise typer.Exit(1)
