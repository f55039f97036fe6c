"""Submitting once: what a repetition gets, by what became of the run that is there; and what is left of its files."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from weakref import WeakValueDictionary

import pytest

from ocrlty_api import submissions
from ocrlty_api.batch_answers import submit_batch
from ocrlty_api.batching import UPLOAD, BatchDraft
from ocrlty_api.errors import DagsterUnavailableError, LaunchUnknownError, QuotaExceededError
from ocrlty_api.lanes.batches import BatchRunRequest
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_api.submissions import Submission, submit_once
from ocrlty_pipeline.db.locks import AdvisoryLock
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings
from tests.support.waiting import wait_until

SUBMISSION = Submission.of_run("r1", "content")


@pytest.fixture
def state(instance):
    """As much of the application's state as submitting needs."""
    with open_services(load_settings()) as services:
        shared = SharedInstance(instance, load_settings())
        yield SimpleNamespace(shared=shared, services=services, submitting=WeakValueDictionary())


@dataclass
class Launches:
    """Launches that make runs, and end as `outcome` says."""

    jobs: object
    outcome: BaseException | None = None
    made: list = field(default_factory=list)

    async def __call__(self, tags):
        self.made.append(self.jobs.create(**{name.removeprefix("ocrlty/"): value for name, value in tags.items()}))
        if self.outcome is not None:
            raise self.outcome
        return self.made[-1]


@pytest.fixture
def launch(jobs):
    return Launches(jobs)


@pytest.fixture
def upload():
    """A draft of files that are not to be kept, and whether they were removed."""
    removed = []

    async def abandon():
        removed.append(True)

    run = BatchRunRequest("batch_extract", "upload-r1", "receipt_fields_v1", {"run_id": "r1"}, {})
    return BatchDraft(UPLOAD, run, {}, SUBMISSION, 1, abandon=abandon), removed


def submit(state, launch, **options):
    return asyncio.run(submit_once(state, SUBMISSION, launch, **options))


def test_who_waits_gets_the_newest_run_of_a_job_and_a_job_is_known_by_its_first(state, jobs, launch):
    first = submit(state, launch).dagster_run_id
    jobs.fail(first, retried=True)
    retry = jobs.retry(first)
    jobs.succeed(retry)
    waiting, polling = submit(state, launch, waits=True), submit(state, launch)
    assert (waiting.dagster_run_id, waiting.repeated) == (retry, True)
    assert (polling.job_id, polling.repeated) == (first, True)
    assert launch.made == [first]


def test_a_run_that_was_told_to_end_is_given_as_such(state, instance, launch):
    first = submit(state, launch, waits=True)
    assert not first.ending
    instance.report_run_canceling(instance.get_run_by_id(first.dagster_run_id))
    again = submit(state, launch, waits=True)
    assert (again.dagster_run_id, again.ending) == (first.dagster_run_id, True)


@pytest.mark.parametrize("waits", [True, False])
def test_a_batch_that_succeeded_and_was_deleted_since_is_launched_again(state, instance, jobs, launch, waits):
    first = submit(state, launch, waits=waits).dagster_run_id
    instance.add_run_tags(first, {"ocrlty/run_id": "r1"})
    jobs.succeed(first)
    again = submit(state, launch, waits=waits)
    assert not again.repeated
    assert launch.made == [first, again.dagster_run_id]


@pytest.mark.parametrize("outcome", [LaunchUnknownError("late"), asyncio.CancelledError()])
def test_files_of_a_launch_without_an_answer_stay(state, launch, upload, outcome):
    async def lost(_tags):
        raise outcome

    draft, removed = upload
    with pytest.raises(type(outcome)):
        asyncio.run(submit_batch(state, draft, lost))
    assert not removed


@pytest.mark.parametrize("outcome", [DagsterUnavailableError("away"), QuotaExceededError("enough")])
def test_files_of_what_was_not_launched_go(state, upload, outcome):
    async def refused(_tags):
        raise outcome

    draft, removed = upload
    with pytest.raises(type(outcome)):
        asyncio.run(submit_batch(state, draft, refused))
    assert removed


def test_files_of_a_repetition_go_and_those_of_the_first_stay(state, launch, upload):
    draft, removed = upload
    asyncio.run(submit_batch(state, draft, launch))
    assert not removed
    assert asyncio.run(submit_batch(state, draft, launch)).repeated
    assert removed


def test_a_launch_whose_answer_was_lost_is_found_by_what_was_submitted(state, jobs, launch, upload):
    broken = submit(state, launch).dagster_run_id
    jobs.fail(broken)
    launch.outcome = LaunchUnknownError("late")
    submitted = submit(state, launch, waits=True)
    assert submitted.dagster_run_id == launch.made[-1] != broken
    assert not submitted.repeated


def test_a_run_from_before_is_not_taken_for_one_whose_launch_was_not_answered(state, jobs, launch):
    jobs.fail(submit(state, launch).dagster_run_id)

    async def lost(_tags):
        raise LaunchUnknownError("late")

    with pytest.raises(LaunchUnknownError):
        submit(state, lost, waits=True)


def test_of_many_who_wait_for_a_submission_one_asks_the_database(state, launch, monkeypatch):
    asking, looks = set(), []

    class Lock(AdvisoryLock):
        def try_acquire(self):
            asking.add(self)
            looks.append(len(asking))
            return super().try_acquire()

        def release(self):
            asking.discard(self)
            super().release()

    monkeypatch.setattr(submissions, "AdvisoryLock", Lock)

    async def many():
        with AdvisoryLock(state.services.engine, f"submission:{SUBMISSION.id}") as other:
            assert other.try_acquire()
            waiting = [asyncio.create_task(submit_once(state, SUBMISSION, launch)) for _ in range(8)]
            await asyncio.to_thread(wait_until, lambda: len(looks) >= 4)
        return await asyncio.gather(*waiting)

    submitted = asyncio.run(many())
    assert sorted(one.repeated for one in submitted) == [False] + [True] * 7
    assert max(looks) == 1
    assert not state.submitting
