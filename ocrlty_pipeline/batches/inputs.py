"""Which images a batch takes: those of a set, of its first so many, or those of an earlier run.

Belongs here: finding and checking them, before anything is extracted. Does not: who may use whose run, which the API
decides.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ocrlty_pipeline.errors import ImageSetError, InputError
from ocrlty_pipeline.image_sets import ImageSet, ImageSetItem
from ocrlty_pipeline.records import BatchHeader
from ocrlty_pipeline.services import Services


@dataclass(frozen=True, slots=True)
class BatchInputs:
    """Images of one version of an image set, in its order; `source` is the run they are taken from, if any."""

    image_set: ImageSet
    items: list[ImageSetItem]
    source: BatchHeader | None = None
    only_failed: bool = False


async def inputs_of_set(services: Services, name: str, version: int | None, limit: int | None) -> BatchInputs:
    """
    Raises:
        ImageSetError: there is no such image set.
    """
    image_set = await services.image_sets.load(name, version)
    return BatchInputs(image_set, image_set.items[:limit])


async def inputs_of_run(services: Services, run_id: str, *, only_failed: bool, limit: int | None = None) -> BatchInputs:
    """What a rerun of `run_id` takes: all that it was asked for, or what it has no result for.

    Raises:
        ArtifactNotFoundError: there is no such run.
        ImageSetError: its inputs were not kept.
        InputError: only its failed images are asked for, and none failed.
    """
    source = await source_run(services, run_id, only_failed=only_failed)
    image_set = await services.image_sets.load(source.image_set, source.image_set_version)
    await check_kept(services, run_id, image_set)
    items = await _asked(services, source, image_set)
    if only_failed:
        done = await _files_done(services, run_id)
        items = [item for item in items if item.file not in done]
    return BatchInputs(image_set, items[:limit], source, only_failed)


async def source_run(services: Services, run_id: str, *, only_failed: bool) -> BatchHeader:
    """The run that a rerun names, if it has anything to run again.

    Raises:
        ArtifactNotFoundError, InputError: as `inputs_of_run`.
    """
    row = await asyncio.to_thread(services.runs.find, run_id)
    source = BatchHeader.from_bytes(await services.store.get(row.rel_ref))
    if only_failed and source.error_count + source.pending_count == 0:
        raise InputError(f"Run {run_id!r} has no failed images: all {source.item_count} gave a result.")
    return source


async def check_kept(services: Services, run_id: str, image_set: ImageSet) -> None:
    """
    Raises:
        ImageSetError: the inputs of this set, which `run_id` used, are no longer there.
    """
    first = next((item.input_ref for item in image_set.items if item.input_ref), None)
    if not image_set.kept or first is None or not await services.store.exists(first):
        raise ImageSetError(
            f"The inputs of run {run_id!r} were not kept, so it cannot be run again: "
            "upload the images again, with persist_inputs=true."
        )


async def _asked(services: Services, run: BatchHeader, image_set: ImageSet) -> list[ImageSetItem]:
    """The images that a run was asked for, whether or not it came to them."""
    if run.source_run_id is None:
        return image_set.items[: run.item_count]
    inputs = await inputs_of_run(services, run.source_run_id, only_failed=run.only_failed)
    return inputs.items[: run.item_count]


async def _files_done(services: Services, run_id: str) -> set[str]:
    batch = await services.runs.load(await asyncio.to_thread(services.runs.find, run_id))
    return {item.file for item in batch.items if item.ok}
