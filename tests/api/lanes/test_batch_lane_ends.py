"""How runs of the batch lane end, and what it says of them meanwhile."""

import asyncio

import pytest

from ocrlty_api.lanes.batches import BatchLane, BatchRunRequest
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration.waiting_runs import waiting_of
from ocrlty_pipeline.orchestration.warm.pool import WarmPool
from ocrlty_pipeline.settings import load_settings
from tests.support.waiting import wait_until

REQUEST = BatchRunRequest("batch_extract", "set", "receipt_fields_v1", {}, {})


@pytest.fixture
def in_lane(instance):
    def in_lane(use):
        async def go():
            async with BatchLane(SharedInstance(instance, load_settings()), asyncio.Event()) as lane:
                return await use(lane)

        return asyncio.run(go())

    return in_lane


def test_a_run_that_nobody_waited_for_any_more_is_told_from_one_that_was_cancelled(instance, in_lane, monkeypatch):
    monkeypatch.setattr(WarmPool, "_assign", lambda _pool: None)  # no worker takes them before they are cancelled

    async def use(lane):
        gone, cancelled = await lane.start(REQUEST, {}), await lane.start(REQUEST, {})
        instance.report_run_canceling(instance.get_run_by_id(cancelled))
        await lane.cancel(gone)
        await lane.cancel(cancelled)  # comes too late to be the reason
        return await lane.wait(gone), await lane.wait(cancelled)

    gone, cancelled = in_lane(use)
    assert (gone.canceled, gone.abandoned) == (True, True)
    assert (cancelled.canceled, cancelled.abandoned) == (True, False)


def test_from_its_first_moment_to_its_end_a_run_is_known_to_be_in_hand(in_lane, engine):
    async def use(lane):
        run_id = await lane.start(REQUEST, {})
        held = await asyncio.to_thread(waiting_of, engine, [run_id])
        ended = await lane.wait(run_id)  # there is no such image set
        await asyncio.to_thread(wait_until, lambda: not waiting_of(engine, [run_id]))
        return run_id, held, ended

    run_id, held, ended = in_lane(use)
    assert held == {run_id}
    assert ended.failure is not None


def test_a_run_that_could_not_be_created_is_in_nobodys_hands(in_lane, engine, monkeypatch):
    made = []

    def create_run(*_, run_id, **__):
        made.append(run_id)
        raise ValueError("no such job")

    monkeypatch.setattr("ocrlty_api.lanes.batches.create_run", create_run)

    async def use(lane):
        with pytest.raises(ValueError, match="no such job"):
            await lane.start(REQUEST, {})

    in_lane(use)
    assert made
    assert not waiting_of(engine, made)
