"""Waiting for news of a job: one looks for all, while somebody waits."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ocrlty_api.job_events import job_events
from ocrlty_api.lanes.watching import JobWatcher
from ocrlty_pipeline.errors import StorageUnavailableError


class Looks:
    """The lane, with its looks counted; it fails as long as it is told to."""

    def __init__(self, lane):
        self._lane = lane
        self.count = 0
        self.failing = False

    async def job(self, job_id):
        self.count += 1
        if self.failing:
            raise StorageUnavailableError("The database is away.")
        return await self._lane.job(job_id)


async def until(condition, pause_s=0.01):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(pause_s)


def test_one_looks_for_all_who_wait_and_stops_when_they_have_their_news(lane, jobs):
    async def follow():
        looks = Looks(lane)
        watcher = JobWatcher(looks)
        job_id = jobs.create()
        known = await lane.job(job_id)
        waiting = [asyncio.create_task(watcher.change(known, 60)) for _ in range(50)]
        await until(lambda: looks.count >= 2)
        await asyncio.to_thread(jobs.fail, job_id)
        told = await asyncio.gather(*waiting)
        assert {job.status for job in told} == {"failed"}
        looked = looks.count
        assert looked < 50
        await asyncio.sleep(0.6)
        assert looks.count == looked

    asyncio.run(follow())


def test_who_knows_less_than_there_is_hears_it_at_once_and_who_knows_all_when_time_is_up(lane, jobs):
    async def follow():
        watcher = JobWatcher(lane)
        now = await lane.job(jobs.create())
        assert await watcher.change(replace(now, status="running"), 60) == now
        assert await watcher.change(now, 0.3) == now

    asyncio.run(follow())


def test_whoever_comes_after_a_failed_look_is_looked_for_again(lane, jobs):
    async def follow():
        looks = Looks(lane)
        watcher = JobWatcher(looks)
        job_id = jobs.create()
        known = await lane.job(job_id)
        looks.failing = True
        refused = asyncio.create_task(watcher.change(known, 60))
        await until(lambda: looks.count, pause_s=0)
        looks.failing = False
        assert not refused.done()
        failing = asyncio.get_running_loop().run_in_executor(None, jobs.fail, job_id)
        async with asyncio.timeout(30):
            # Begins before the first one has heard that it was refused.
            assert (await watcher.change(known, 60)).status == "failed"
        await failing
        with pytest.raises(StorageUnavailableError):
            await refused

    asyncio.run(follow())


def test_a_stream_of_events_ends_without_a_last_word_when_the_database_goes_away(lane, jobs, caplog):
    async def follow():
        looks = Looks(lane)
        looks.failing = True
        state = SimpleNamespace(durable=looks, watcher=JobWatcher(looks), closing=asyncio.Event())
        known = await lane.job(jobs.create())
        return [event async for event in job_events(state, known, last_id=None)]

    [event] = asyncio.run(follow())
    assert "\nevent: progress\n" in event
    assert "The database is away." in caplog.text
