"""The online lane when its workers do not start, and while one is being replaced."""

import asyncio
import itertools

import pytest

from ocrlty_pipeline.errors import BusyError, WorkerDiedError
from ocrlty_pipeline.orchestration.warm import lane as lanes
from ocrlty_pipeline.orchestration.warm.processes import WorkerProcess
from tests.pipeline.orchestration.test_online_lane import a_request, all_of, in_lane, slow_server
from tests.support import warm_jobs
from tests.support.job_requests import slow
from tests.support.waiting import wait_until

__all__ = ["slow_server"]


@pytest.fixture
def starts(monkeypatch):
    """Says of each start of a worker, by its number, whether it succeeds; answers how many were tried."""
    numbers = itertools.count()
    tried = []

    def starts(succeeds):
        def start(*arguments, **options):
            number = next(numbers)
            tried.append(number)
            if not succeeds(number):
                raise OSError(24, "Too many open files")
            return WorkerProcess(*arguments, **options)

        monkeypatch.setattr(lanes, "WorkerProcess", start)
        return tried

    monkeypatch.setattr(lanes, "RESTART_PAUSE_S", 0.05)
    return starts


def test_a_worker_that_cannot_be_started_is_tried_again(instance, starts):
    tried = starts(lambda number: number >= 2)
    assert in_lane(instance, lambda lane: lane.extract(a_request())).record.ok
    assert tried == [0, 1, 2]


def test_a_worker_that_cannot_be_replaced_at_once_is_replaced_later(instance, starts):
    tried = starts(lambda number: number not in {1, 2})

    async def two(lane):
        await lane.extract(a_request())
        await asyncio.to_thread(wait_until, lambda: lane.settled)
        return await lane.extract(a_request())

    assert in_lane(instance, two, max_runs=1).record.ok
    assert tried[:4] == [0, 1, 2, 3]


def test_requests_are_told_when_no_worker_can_be_started(instance, starts):
    tried = starts(lambda _: False)
    answers = in_lane(instance, lambda lane: all_of(lane, [a_request(), a_request()]))
    assert [type(answer) for answer in answers] == [WorkerDiedError] * 2
    assert "No worker can be started" in answers[0].message
    # One more may have been tried since.
    assert lanes.MAX_FAILED_STARTS <= len(tried) <= lanes.MAX_FAILED_STARTS + 1


def test_no_request_is_handed_to_a_worker_that_does_not_come_up(instance, monkeypatch):
    monkeypatch.setattr(lanes, "RESTART_PAUSE_S", 0.05)
    served = itertools.count()
    real = lanes.serve

    def start(_target, *arguments, **options):
        target = warm_jobs.dying_at_start if next(served) < lanes.MAX_FAILED_STARTS - 1 else real
        return WorkerProcess(target, *arguments, **options)

    monkeypatch.setattr(lanes, "WorkerProcess", start)
    answers = in_lane(instance, lambda lane: all_of(lane, [a_request() for _ in range(3)]))
    assert all(answer.record.ok for answer in answers)


def test_while_workers_start_as_many_requests_are_taken_as_they_will_have_places(instance):
    requests = [a_request() for _ in range(6)]
    answers = in_lane(instance, lambda lane: all_of(lane, requests), max_in_flight=3, max_waiting=2)
    assert [isinstance(answer, BusyError) for answer in answers] == [False] * 5 + [True]


def test_a_call_in_a_worker_that_was_replaced_can_be_given_up(instance, slow_server, runs):
    async def use(lane):
        quick = asyncio.create_task(lane.extract(a_request()))
        given_up = [asyncio.create_task(lane.extract(a_request(backend="vllm"))) for _ in range(2)]
        # Its run is recorded while the calls go on, and the worker is replaced then.
        await quick
        await asyncio.to_thread(wait_until, lambda: len(lane._retired) == 1 and slow_server.calls().calls == 2)
        assert lane.in_flight == 2
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: lane.in_flight == 0)
        return quick.result()

    slow_server.script(*slow(2, 8_000))
    assert in_lane(instance, use, max_runs=1, max_shared=1).record.ok
    assert not runs.unfinished()
    # Neither call was waited for: nothing came of these two runs.
    assert sorted(run.status.value for run in instance.get_runs()) == ["FAILURE", "FAILURE", "SUCCESS"]
