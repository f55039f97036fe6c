"""The sensor as Dagster's daemon evaluates it: from jobs that end to calls of a client's server."""

import dagster as dg
import pytest
from sqlalchemy import text

from ocrlty_pipeline import definitions
from ocrlty_pipeline.orchestration import run_tags, webhooks
from ocrlty_pipeline.webhooks.model import EVENTS
from tests.support.dagster_jobs import REQUEST, Jobs
from tests.support.in_process import own_services
from tests.support.stored_runs import record, store_record
from tests.support.webhook_receiver import webhook_receiver


@pytest.fixture(scope="module")
def server():
    with webhook_receiver() as server:
        yield server


@pytest.fixture
def receiver(server):
    server.calls.clear()
    return server


@pytest.fixture
def services(settings, monkeypatch):
    monkeypatch.setenv("API_KEY_PEPPER", "a pepper of the tests, and of nothing else")
    monkeypatch.setenv("OUTBOUND_ALLOW_PRIVATE", "*")
    with own_services() as services:
        yield services


@pytest.fixture
def jobs(instance):
    return Jobs(instance)


class Daemon:
    """Evaluates the sensor, and keeps its cursor."""

    def __init__(self, instance):
        self.instance = instance
        self.repository = definitions.build_defs().get_repository_def()
        self.cursor = None

    def tick(self):
        """What a tick says it has done."""
        with dg.SensorEvaluationContext(
            self.instance.get_ref(), None, None, self.cursor, None, self.repository.name, repository_def=self.repository
        ) as context:
            found = self.repository.get_sensor_def("webhooks").evaluate_tick(context)
        self.cursor = found.cursor
        assert found.run_requests == []
        return found.skip_message


@pytest.fixture
def daemon(instance, services):
    return Daemon(instance)


def told(receiver):
    return sorted((call.json["data"]["job_id"], call.json["type"]) for call in receiver.calls)


def test_every_end_of_a_job_is_told_once_to_its_keys_webhook(services, jobs, daemon, receiver, instance):
    services.webhooks.add("alice", receiver.at("/alice"), EVENTS)
    ok, bad, stopped, going = (jobs.create() for _ in range(4))
    bobs = jobs.create(key_id="bob")
    jobs.succeed(ok)
    jobs.fail(bad)
    jobs.cancel(stopped)
    jobs.succeed(bobs)
    assert daemon.tick() == "3 deliveries noted; 3 delivered, 0 failed."
    assert daemon.tick() == "No webhook is due."
    ends = [(ok, "job.succeeded"), (bad, "job.failed"), (stopped, "job.canceled")]
    assert told(receiver) == sorted(ends)
    # One that has lost its cursor, as one that was killed before it was stored, tells nobody anything again.
    daemon.cursor = None
    assert daemon.tick() == "No webhook is due."
    jobs.succeed(going)
    daemon.tick()
    assert told(receiver) == sorted([*ends, (going, "job.succeeded")])


def test_a_job_that_is_retried_has_not_ended(services, jobs, daemon, receiver):
    services.webhooks.add("alice", receiver.at("/"), EVENTS)
    job_id = jobs.create()
    jobs.fail_undecided(job_id)
    daemon.tick()
    jobs.fail(job_id, retried=True)
    daemon.tick()
    retry = jobs.retry(job_id)
    daemon.tick()
    assert receiver.calls == []
    jobs.succeed(retry)
    daemon.tick()
    assert told(receiver) == [(job_id, "job.succeeded")]


def test_a_failure_of_which_dagster_says_nothing_more_is_told_after_a_while(services, jobs, daemon, receiver, instance):
    services.webhooks.add("alice", receiver.at("/"), EVENTS)
    job_id = jobs.create()
    jobs.fail_undecided(job_id)
    daemon.tick()
    assert receiver.calls == []
    with instance.run_storage.connect() as connection:
        connection.execute(text("UPDATE runs SET update_timestamp = update_timestamp - INTERVAL '11 seconds'"))
    daemon.tick()
    assert told(receiver) == [(job_id, "job.failed")]


def test_the_address_of_a_single_job_is_called_for_that_job_only(services, jobs, daemon, receiver):
    url = receiver.at("/one")
    one = jobs.create(request=REQUEST | {"webhook_url": url}, webhook=run_tags.OF_JOB, request_id="one")
    jobs.succeed(one)
    jobs.succeed(jobs.create())
    daemon.tick()
    [call] = receiver.calls
    assert call.path == "/one"
    assert call.json["data"] == {
        "job_id": one,
        "kind": "extract",
        "status": "succeeded",
        "request_id": "one",
        "counts": None,
        "result_url": None,
        "error_url": None,
    }


def test_a_call_names_the_result_and_holds_nothing_of_it(services, jobs, daemon, receiver, instance):
    services.webhooks.add("alice", receiver.at("/"), EVENTS)
    job_id = jobs.create(request_id="one")
    store_record(services, record(services, "one", answer={"total": "77.77"}))
    jobs.succeed(job_id)
    daemon.tick()
    [call] = receiver.calls
    assert call.json["data"]["result_url"] == f"/v1/jobs/{job_id}/result"
    assert call.json["timestamp"].endswith("Z")
    assert b"77.77" not in call.body
    assert len(call.body) < 1000


def test_what_was_noted_and_not_sent_is_sent_by_the_next_tick(services, jobs, daemon, receiver, monkeypatch):
    services.webhooks.add("alice", receiver.at("/"), EVENTS)
    job_id = jobs.create()
    jobs.succeed(job_id)

    def died(_services):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "send_due", died)
        with pytest.raises(KeyboardInterrupt):
            daemon.tick()
    assert daemon.tick() == "0 deliveries noted; 1 delivered, 0 failed."
    assert told(receiver) == [(job_id, "job.succeeded")]


def test_ends_beyond_one_query_are_noted_in_one_tick_or_the_next(services, jobs, daemon, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "RUNS_OF_A_QUERY", 2)
    services.webhooks.add("alice", receiver.at("/"), EVENTS)
    job_ids = [jobs.create() for _ in range(7)]
    for job_id in job_ids:
        jobs.succeed(job_id)
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "NOTING_S", 0.0)
        assert daemon.tick() == "2 deliveries noted; 2 delivered, 0 failed."
    assert daemon.tick() == "5 deliveries noted; 5 delivered, 0 failed."
    assert told(receiver) == sorted((job_id, "job.succeeded") for job_id in job_ids)


def test_without_webhooks_a_tick_reads_no_jobs_but_those_that_name_an_address(
    services, jobs, daemon, instance, monkeypatch
):
    jobs.succeed(jobs.create())
    asked = []
    read = type(instance).get_run_records

    def noted(self, filters, *arguments, **options):
        asked.append(filters.tags)
        return read(self, filters, *arguments, **options)

    monkeypatch.setattr(type(instance), "get_run_records", noted)
    assert daemon.tick() == "No webhook is due."
    assert asked == [{run_tags.WEBHOOK: run_tags.OF_JOB}]
