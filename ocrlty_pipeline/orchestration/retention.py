"""Dagster's own history: which of its runs are old, and removing them with their events and what they printed.

A run stays while a batch run that stays was made by it, and while it made the latest materialization of an asset's
partition: Dagster's UI would show that partition as missing.

`delete_run` is Dagster's only public way, one run at a time; several at once hide the time of its commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.partitions import image_set_partitions

PAGE = 500
DELETES_AT_ONCE = 8
ACTIVE = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
# Of what runs over image sets are configured with, what names batch runs.
NAMING_RUNS = ("source_run_id", "run_id")

# Of some Dagster run ids those that batch runs which stay were made by.
Kept = Callable[[Sequence[str]], set[str]]


@dataclass(frozen=True, slots=True)
class InUse:
    """What active Dagster runs work on: batch runs, those whose images they take again, and image sets."""

    runs: frozenset[str]
    image_sets: frozenset[str]


def in_use(instance: dg.DagsterInstance) -> InUse:
    """What must not be pruned just now."""
    active = [run for page in _pages(instance, dg.RunsFilter(statuses=ACTIVE)) for run in page]
    partitions = [run.tags.get("dagster/partition", "").partition("|")[0] for run in active]
    tagged = [run.tags.get(run_tags.IMAGE_SET) for run in active]
    return InUse(
        runs=frozenset(filter(None, chain.from_iterable(map(_runs_of, active)))),
        image_sets=frozenset(filter(None, [*partitions, *tagged])),
    )


def is_active(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a Dagster run of this batch run has not ended."""
    return bool(instance.get_runs_count(dg.RunsFilter(tags={run_tags.RUN_ID: run_id}, statuses=ACTIVE)))


def old_runs(
    instance: dg.DagsterInstance, before: datetime, kept: Kept, gone: Sequence[str] = ()
) -> Iterator[list[str]]:
    """Ids of ended Dagster runs that nothing has changed since `before`, in pages; each page may be deleted at once.

    Args:
        instance: whose runs.
        before: in UTC.
        kept: tells which of them stay for what they made.
        gone: image sets that go, whose partitions nothing has to show.
    """
    shown = _shown_materializations(instance, frozenset(gone))
    filters = dg.RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before)
    for page in _pages(instance, filters):
        stay = kept([run.run_id for run in page])
        others = (run.run_id for run in page if run.run_id not in stay)
        yield [run_id for run_id in others if shown.isdisjoint(_materializations(instance, run_id))]


def delete_runs(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> None:
    """Remove runs, their events, and what they printed; a crash leaves whole runs, to be found again."""
    with ThreadPoolExecutor(DELETES_AT_ONCE) as pool:
        for _ in pool.map(lambda run_id: _delete(instance, run_id), run_ids):
            pass


def forget_image_sets(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Remove the partitions of image sets that are gone."""
    for name in names:
        instance.delete_dynamic_partition(str(image_set_partitions.name), name)


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    # First, for nothing would lead to them once the run is gone.
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.delete_run(run_id)


def _runs_of(run: dg.DagsterRun) -> Iterator[str | None]:
    yield run.tags.get(run_tags.RUN_ID)
    config: Mapping[str, Any] = run.run_config
    for op in config.get("ops", {}).values():
        yield from map(((op or {}).get("config") or {}).get, NAMING_RUNS)


def _pages(instance: dg.DagsterInstance, filters: dg.RunsFilter) -> Iterator[Sequence[dg.DagsterRun]]:
    page = instance.get_runs(filters, limit=PAGE)
    while page:
        # Asked for first: Dagster finds no page after a run that was deleted.
        following = instance.get_runs(filters, cursor=page[-1].run_id, limit=PAGE)
        yield page
        page = following


def _materializations(instance: dg.DagsterInstance, run_id: str) -> Iterator[int]:
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    return (record.storage_id for record in records)


def _shown_materializations(instance: dg.DagsterInstance, gone: frozenset[str]) -> frozenset[int]:
    """Storage ids of the events by which Dagster's UI tells the state of each asset and partition."""
    image_sets = set(instance.get_dynamic_partitions(str(image_set_partitions.name))) - gone
    shown = set()
    for record in instance.get_asset_records():
        entry = record.asset_entry
        if entry.last_materialization_storage_id is not None:
            shown.add(entry.last_materialization_storage_id)
        latest = instance.get_latest_storage_id_by_partition(entry.asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        shown.update(event for key, event in latest.items() if key.partition("|")[0] in image_sets)
    return frozenset(shown)
