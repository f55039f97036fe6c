"""Telling what a plan comes to, and carrying it out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import text

from ocrlty_pipeline.artifacts.keys import preview_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.models import SCHEMA
from ocrlty_pipeline.errors import RunActiveError
from ocrlty_pipeline.pruning.inputs import going_sets, in_pages, mark, old_pages, total, unused_inputs, versions_of
from ocrlty_pipeline.pruning.plan import Kind, Plan, PlannedRun
from ocrlty_pipeline.run_deletion import delete_all, delete_run
from ocrlty_pipeline.services import Services

RUNS_AT_ONCE = 4
LABELS: dict[Kind, str] = {
    "run": "batch runs",
    "record": "records of their images",
    "evaluation": "evaluations",
    "extract": "single extracts",
}
PAGES, SETS, INPUTS = "report pages", "image sets of uploads", "inputs"

IsActive = Callable[[str], Awaitable[bool]]
_DELETE_ROWS = f"DELETE FROM {SCHEMA}.artifacts WHERE kind = 'extract' AND artifact_id = ANY(:ids)"  # noqa: S608


@dataclass(slots=True)
class Amount:
    """So many things, and their bytes in storage."""

    count: int = 0
    bytes: int = 0

    def add(self, count: int, size: int) -> None:
        self.count += count
        self.bytes += size


@dataclass(slots=True)
class Pruned:
    """What a pruning removed.

    Attributes:
        image_sets: names of those that are gone.
        active: ids of runs that stayed, for a job of theirs goes on.
    """

    runs: int = 0
    extracts: int = 0
    pages: int = 0
    inputs: int = 0
    image_sets: list[str] = field(default_factory=list)
    active: list[str] = field(default_factory=list)


async def survey(store: ArtifactStore, plan: Plan) -> dict[str, Amount]:
    """What would go, by what it is; sizes come from the store's listing.

    Raises:
        StorageUnavailableError: storage or database cannot be used.
    """
    amounts = {label: Amount() for label in (*LABELS.values(), PAGES, SETS, INPUTS)}
    for kind, count in plan.counts().items():
        amounts[LABELS[kind]].count = count
    for folder in plan.folders():
        async for page in in_pages(store, folder):
            sizes = {listed.rel: listed.size for listed in page}
            for rel, kind in plan.kinds(list(sizes)).items():
                amounts[LABELS[kind]].bytes += sizes[rel]
    async for pages in old_pages(store, plan):
        amounts[PAGES].add(len(pages), total(pages))
    await mark(store, plan)
    for name in going_sets(plan):
        amounts[SETS].add(1, total(await versions_of(store, name)))
    async for inputs in unused_inputs(store, plan):
        amounts[INPUTS].add(len(inputs), total(inputs))
    return amounts


async def prune(services: Services, plan: Plan, is_active: IsActive) -> Pruned:
    """Remove what `survey` told of; asked for again after a crash, it goes on.

    Args:
        services: the domain's objects.
        plan: `survey` was called with it.
        is_active: tells whether a job of the run of this id is queued or running.

    Raises:
        StorageUnavailableError: storage or database cannot be used.
    """
    done = Pruned()
    async for pages in old_pages(services.store, plan):
        await delete_all(services.store, [listed.rel for listed in pages])
        done.pages += len(pages)
    for runs in plan.runs():
        await _delete_runs(services, runs, is_active, done)
    for extracts in plan.extracts():
        await delete_all(services.store, extracts.values())
        with services.engine.begin() as connection:
            connection.execute(text(_DELETE_ROWS), {"ids": list(extracts)})
        done.extracts += len(extracts)
    if done.active:
        # Their images stay with them: which are used is found out again.
        plan.keep(done.active)
        await mark(services.store, plan)
    await _delete_sets(services.store, plan, done)
    await _delete_inputs(services.store, plan, done)
    return done


async def _delete_runs(services: Services, runs: list[PlannedRun], is_active: IsActive, done: Pruned) -> None:
    todo = iter(runs)

    async def work() -> None:
        for run in todo:
            try:
                await delete_run(services, run.run_id, run.day, is_active)
            except RunActiveError:
                done.active.append(run.run_id)
            else:
                done.runs += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(RUNS_AT_ONCE):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _delete_sets(store: ArtifactStore, plan: Plan, done: Pruned) -> None:
    for name in going_sets(plan):
        await delete_all(store, [listed.rel for listed in await versions_of(store, name)])
        done.image_sets.append(name)


async def _delete_inputs(store: ArtifactStore, plan: Plan, done: Pruned) -> None:
    async for inputs in unused_inputs(store, plan):
        previews = [rel for listed in inputs if (rel := preview_key(listed.rel)) is not None]
        await delete_all(store, [*previews, *(listed.rel for listed in inputs)])
        done.inputs += len(inputs)
