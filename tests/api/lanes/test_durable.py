"""Jobs as Dagster's storage has them: what a run's status means, retries, pages, a database that goes away."""

import asyncio
from contextlib import contextmanager

import dagster as dg
import pytest
from sqlalchemy import event, make_url, text

from ocrlty_api.lanes.durable import PASSED_AT_MOST, READ_AT_LEAST
from ocrlty_api.lanes.submitted import find_all_submitted, find_submitted
from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.orchestration.jobs import EXTRACT
from ocrlty_pipeline.orchestration.launch import resolved_job
from tests.support.dagster_jobs import CONFIG
from tests.support.database import database_away, end_connections

UNFILTERED = {"cursor": None, "owner": None, "status": None, "kind": None}


def job(lane, job_id):
    return asyncio.run(lane.job(job_id))


def page(lane, limit, **filters):
    return asyncio.run(lane.page(limit=limit, **UNFILTERED | filters))


@contextmanager
def statements(instance):
    """The queries for runs that the storage is asked meanwhile."""
    said = []

    def note(_connection, _cursor, statement, *_):
        said.extend([statement] if "FROM runs" in statement else [])

    engine = instance.run_storage._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)


# --- statuses


def test_a_job_has_not_failed_before_dagster_says_that_it_is_not_retried(instance, lane, jobs):
    job_id = jobs.create()
    jobs.fail_undecided(job_id)
    assert (job(lane, job_id).status, job(lane, job_id).finished_at) == ("running", None)
    jobs.fail(job_id, retried=True)
    assert job(lane, job_id).status == "queued"
    jobs.fail(job_id)
    assert job(lane, job_id).status == "failed"


def test_a_failure_of_which_dagster_says_nothing_more_is_one_after_a_while(instance, lane, jobs):
    job_id = jobs.create()
    jobs.fail_undecided(job_id)
    with instance.run_storage.connect() as connection:
        connection.execute(text("UPDATE runs SET update_timestamp = update_timestamp - INTERVAL '1 minute'"))
    assert job(lane, job_id).status == "failed"


def test_a_job_is_what_its_latest_run_is_and_keeps_its_id_and_times(lane, jobs):
    job_id = jobs.create(request_id="one")
    created = job(lane, job_id).created_at
    jobs.fail(job_id, retried=True)
    retry = jobs.retry(job_id)
    now = job(lane, job_id)
    assert (now.status, now.job_id, now.created_at) == ("queued", job_id, created)
    assert now.dagster_run_ids == (job_id, retry)
    assert job(lane, retry) is None
    jobs.fail(retry)
    assert job(lane, job_id).status == "failed"
    assert [found.job_id for found in page(lane, 10).jobs] == [job_id]


# --- cancelling


def test_a_job_that_waits_to_be_retried_is_cancelled_and_not_retried(instance, lane, jobs):
    job_id = jobs.create()
    jobs.fail(job_id, retried=True)
    asyncio.run(lane.cancel(job(lane, job_id)))
    assert (job(lane, job_id).status, job(lane, job_id).cancel_requested) == ("canceled", True)
    assert instance.get_run_by_id(job_id).tags["dagster/will_retry"] == "false"


def test_a_job_that_is_retried_in_the_moment_of_cancelling_is_cancelled_all_the_same(instance, lane, jobs):
    job_id = jobs.create()
    jobs.fail(job_id, retried=True)
    known = job(lane, job_id)
    retry = jobs.retry(job_id)
    asyncio.run(lane.cancel(known))
    assert instance.get_run_by_id(retry).status in {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}
    assert job(lane, job_id).cancel_requested


def test_a_run_that_a_person_executes_again_is_not_cancelled_with_the_first(instance, lane, jobs, cancel_tag):
    job_id = jobs.create()
    jobs.fail(job_id)
    instance.add_run_tags(job_id, {cancel_tag: job_id})
    again = jobs.retry(job_id)
    assert instance.get_run_by_id(again).tags[cancel_tag] == job_id
    assert job(lane, job_id).status == "queued"


# --- pages and look-ups


def test_a_page_costs_as_many_queries_whatever_became_of_its_jobs(instance, lane, jobs):
    for number in range(12):
        job_id = jobs.create()
        jobs.fail(job_id, retried=number % 2 == 0)
        if number % 4 == 0:
            jobs.retry(job_id)
    with statements(instance) as said:
        found = page(lane, 12)
    assert [one.status for one in found.jobs] == ["failed", "queued"] * 6
    # Its runs, the retries among which, and both once more for those that the retries took the places of.
    assert len(said) <= 4


def test_a_filter_passes_over_what_it_does_not_want_in_few_queries(instance, lane, jobs):
    wanted = jobs.create()
    for _ in range(READ_AT_LEAST):
        jobs.fail(jobs.create())
    with statements(instance) as said:
        found = page(lane, 1, status="queued")
    assert [one.job_id for one in found.jobs] == [wanted]
    assert len(said) <= 6 < PASSED_AT_MOST / READ_AT_LEAST


def test_a_list_is_read_to_its_end_by_its_cursors(lane, jobs):
    made = [jobs.create(key_id=("alice", "bob")[number % 2]) for number in range(7)]
    seen, cursor = [], None
    while True:
        found = page(lane, 2, cursor=cursor, owner="alice")
        seen += [one.job_id for one in found.jobs]
        cursor = found.next_cursor
        if cursor is None:
            break
    assert seen == made[::-2]


def test_a_submission_is_looked_up_in_one_query(instance, lane, jobs):
    job_id = jobs.create(submission="s", content="c")
    with statements(instance) as said:
        found = asyncio.run(find_submitted(lane._shared, "s"))
    assert (found.dagster_run_id, found.content, found.is_job, found.broken_off) == (job_id, "c", True, False)
    assert len(said) == 1


def test_many_submissions_are_looked_up_in_one_query_and_the_newest_run_of_each_is_found(instance, lane, jobs):
    jobs.create(submission="s", content="c")
    newest, other = jobs.create(submission="s", content="d"), jobs.create(submission="t", content="c")
    with statements(instance) as said:
        found = asyncio.run(find_all_submitted(lane._shared, ["t", "none", "s"]))
    assert [one and (one.dagster_run_id, one.content) for one in found] == [(other, "c"), None, (newest, "d")]
    assert len(said) == 1


def test_runs_that_are_no_jobs_are_not_listed(instance, lane):
    run = instance.create_run_for_job(resolved_job(EXTRACT), run_config=CONFIG)
    assert (page(lane, 10).jobs, job(lane, run.run_id)) == ([], None)


# --- a database that goes away


def test_a_database_that_goes_away_is_told_as_such_and_its_return_costs_nothing(lane, jobs, database_url):
    job_id = jobs.create()
    assert job(lane, job_id).status == "queued"
    url = make_url(database_url)
    end_connections(url)
    # Its pooled connections are gone, and a restarted server takes new ones.
    assert job(lane, job_id).status == "queued"
    with database_away(url):
        for asking in (lane.job(job_id), lane.page(limit=1, **UNFILTERED), find_submitted(lane._shared, "s")):
            with pytest.raises(StorageUnavailableError, match="database"):
                asyncio.run(asking)
    assert job(lane, job_id).status == "queued"
