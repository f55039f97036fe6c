"""Which batch runs a Dagster run works on now, or will: such a run is not to be deleted."""

from __future__ import annotations

import dagster as dg

from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUSPENDED,
    dg.DagsterRunStatus.CANCELING,
]


async def active_owners(shared: SharedInstance, run_id: str) -> list[str | None]:
    """Whose Dagster runs of this batch run have not ended, by key id."""
    filters = dg.RunsFilter(tags={run_tags.RUN_ID: run_id}, statuses=ACTIVE)
    runs = await shared.ask(shared.instance.get_runs, filters)
    return [run.tags.get(run_tags.KEY_ID) for run in runs]
