"""The batch lane where the database goes away and comes back, on a Dagster instance of its own."""

import asyncio

import pytest
from sqlalchemy import make_url

from ocrlty_api.lanes.batches import BatchLane, BatchRunRequest, prepare_run
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.orchestration.partitions import IMAGE_SET
from ocrlty_pipeline.settings import load_settings
from tests.support.database import database_away, end_connections

REQUEST = BatchRunRequest("batch_extract", "set", "receipt_fields_v1", {}, {})


def in_lane(shared, use):
    async def go():
        async with BatchLane(shared, asyncio.Event()) as lane:
            return await use(lane)

    return asyncio.run(go())


def test_while_the_database_is_away_a_batch_is_told_to_come_again_and_makes_no_run(instance, jobs, database_url):
    shared, run_id = SharedInstance(instance, load_settings()), jobs.create()
    with database_away(make_url(database_url)):
        for use in (
            lambda lane: lane.start(REQUEST, {}),
            lambda lane: lane.wait(run_id),
            lambda lane: lane.cancel(run_id),
            lambda _: prepare_run(shared, REQUEST),
        ):
            with pytest.raises(StorageUnavailableError, match="database"):
                in_lane(shared, use)
    assert [run.run_id for run in instance.get_runs()] == [run_id]
    assert not instance.has_dynamic_partition(IMAGE_SET, "set")


def test_a_restart_of_the_database_costs_no_batch(instance, database_url):
    shared = SharedInstance(instance, load_settings())

    async def start(lane):
        end_connections(make_url(database_url))
        return await lane.start(REQUEST, {})

    run_id = in_lane(shared, start)
    assert [run.run_id for run in instance.get_runs()] == [run_id]
