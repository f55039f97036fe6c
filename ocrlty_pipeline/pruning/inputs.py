"""Which uploads, inputs and pages are to go: what only storage knows.

An upload's image set goes with its runs, unless somebody gave it a ground truth, a baseline or a schedule; sets that
were imported stay. An input goes when no image set that stays names it and nobody has given it for as long: what is
given again is written again after a day (`ArtifactStore.put_input`), so that its age tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import date, timedelta

import orjson

from ocrlty_pipeline.artifacts.keys import IMAGE_SETS, UPLOADS, version_of
from ocrlty_pipeline.artifacts.store import RENEW_AFTER, ArtifactStore, Listed
from ocrlty_pipeline.db.models import SCHEMA
from ocrlty_pipeline.image_sets import ImageSet
from ocrlty_pipeline.pruning.plan import PAGE, UPLOADED, Plan
from ocrlty_pipeline.uploads import SOURCE

INPUTS, REPORTS = "inputs", "reports"
# A single extract is younger than its input by the time it waits; and an input is renewed only so often.
SLACK = RENEW_AFTER + timedelta(days=1)
_REFS_AT_ONCE = 10_000
_READS_AT_ONCE = 8

_UNUSED_SETS = f"""
SELECT given.name FROM unnest(CAST(:names AS text[])) AS given (name)
WHERE given.name <> ALL(:kept)
    AND NOT EXISTS (SELECT FROM {SCHEMA}.artifacts WHERE kind = 'batch' AND image_set = given.name
        AND NOT EXISTS (SELECT FROM going_runs WHERE run_id = artifact_id))
    AND NOT EXISTS (SELECT FROM {SCHEMA}.batch_runs WHERE image_set = given.name AND created_at >= :before)
    AND NOT EXISTS (SELECT FROM {SCHEMA}.ground_truths WHERE image_set = given.name AND NOT deleted)
    AND NOT EXISTS (SELECT FROM {SCHEMA}.baselines WHERE image_set = given.name)
    AND NOT EXISTS (SELECT FROM {SCHEMA}.rerun_schedules WHERE image_set = given.name)
"""  # noqa: S608 -- no input in it
_TABLES = """
CREATE TEMPORARY TABLE IF NOT EXISTS going_sets (name text PRIMARY KEY);
CREATE TEMPORARY TABLE IF NOT EXISTS used_inputs (rel text PRIMARY KEY);
TRUNCATE going_sets, used_inputs
"""
_ADD_SET = "INSERT INTO going_sets VALUES (:name) ON CONFLICT DO NOTHING"
_ADD_INPUTS = "INSERT INTO used_inputs SELECT unnest(CAST(:rels AS text[])) ON CONFLICT DO NOTHING"
_UNUSED_INPUTS = (
    "SELECT given.rel FROM unnest(CAST(:rels AS text[])) AS given (rel) "
    "WHERE NOT EXISTS (SELECT FROM used_inputs WHERE used_inputs.rel = given.rel)"
)


async def mark(store: ArtifactStore, plan: Plan) -> None:
    """Note which uploads go, and which inputs the image sets name that stay; reads each manifest once."""
    plan.execute(_TABLES)
    async for page in in_pages(store, IMAGE_SETS):
        names = sorted({_set_of(listed.rel) for listed in page if listed.modified < plan.retention.before})
        uploads = [name for name in names if name.startswith(UPLOADED)]
        unused = {row["name"] for row in plan.rows(_UNUSED_SETS, names=uploads, **_kept(plan))}
        for begin in range(0, len(page), _READS_AT_ONCE):
            rels = [listed.rel for listed in page[begin : begin + _READS_AT_ONCE]]
            for rel, data in zip(rels, await asyncio.gather(*map(store.get_or_none, rels)), strict=True):
                if data is not None:
                    _mark_one(plan, rel, data, unused=_set_of(rel) in unused)


def going_sets(plan: Plan) -> list[str]:
    """Names of the uploads that go."""
    return [row["name"] for row in plan.rows("SELECT name FROM going_sets ORDER BY name")]


async def unused_inputs(store: ArtifactStore, plan: Plan) -> AsyncIterator[list[Listed]]:
    """Inputs, and files of uploads, that go, in pages."""
    before = plan.retention.before - SLACK
    for folder in (INPUTS, UPLOADS):
        async for page in in_pages(store, folder):
            old = {listed.rel: listed for listed in page if listed.modified < before}
            unused = plan.rows(_UNUSED_INPUTS, rels=list(old)) if old else []
            yield [old[row["rel"]] for row in unused]


async def old_pages(store: ArtifactStore, plan: Plan) -> AsyncIterator[list[Listed]]:
    """Pages that go: those of evaluations that go, and comparisons of old runs, which can be made again."""
    async for page in in_pages(store, REPORTS):
        evaluations = {_evaluation_of(listed.rel): listed for listed in page}
        going = plan.kinds(list(evaluations))
        yield [
            listed
            for rel, listed in evaluations.items()
            if rel in going or _is_old_comparison(rel, plan.retention.before.date())
        ]


async def versions_of(store: ArtifactStore, name: str) -> list[Listed]:
    """The versions of an image set's manifest."""
    return [listed async for listed in store.iter_listed(f"{IMAGE_SETS}/{name}")]


def _mark_one(plan: Plan, rel: str, data: bytes, *, unused: bool) -> None:
    if unused and ImageSet.from_bytes(data).images_dir == SOURCE:
        plan.execute(_ADD_SET, name=_set_of(rel))
        return
    refs = [item["input_ref"] for item in orjson.loads(data)["items"] if item["input_ref"] is not None]
    for begin in range(0, len(refs), _REFS_AT_ONCE):
        plan.execute(_ADD_INPUTS, rels=refs[begin : begin + _REFS_AT_ONCE])


async def in_pages(store: ArtifactStore, folder: str) -> AsyncIterator[list[Listed]]:
    """What is below a folder, in pages."""
    page: list[Listed] = []
    async for listed in store.iter_listed(folder):
        page.append(listed)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _kept(plan: Plan) -> dict[str, object]:
    return {"kept": sorted(plan.retention.image_sets), "before": plan.retention.before}


def _set_of(rel: str) -> str:
    return rel.split("/")[1] if version_of(rel) is not None else ""


def _evaluation_of(page_rel: str) -> str:
    return f"evals/{page_rel.removeprefix(f'{REPORTS}/').removesuffix('.html')}.json"


def _is_old_comparison(rel: str, before: date) -> bool:
    _, day, name = (*rel.split("/"), "", "")[:3]
    return name.startswith("compare-") and day < before.isoformat()


def total(listed: Iterable[Listed]) -> int:
    """Bytes of what is listed."""
    return sum(one.size for one in listed)
