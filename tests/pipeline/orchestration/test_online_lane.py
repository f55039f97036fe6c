"""The online lane: answers when the record is durable, and Dagster has a true record of every request soon after."""

import asyncio
import os
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psutil
import psycopg
import pytest
from dagster._serdes import serialize_value
from sqlalchemy import make_url

from ocrlty_pipeline.db.cluster import Cluster
from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.errors import ArtifactConflictError, BusyError, StorageUnavailableError, TaskError, WorkerDiedError
from ocrlty_pipeline.extracts import ExtractRequest
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.ops import EXTRACTS
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.orchestration.warm.lane import LaneOptions, OnlineLane
from ocrlty_pipeline.records import Auth
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings
from tests.pipeline.orchestration.conftest import FAILURE, SUCCESS, Runs
from tests.support.openai_server import openai_server
from tests.support.receipts import receipt
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
IMAGE = receipt(["TOTAL\t9.00"])
OPTIONS = LaneOptions(
    workers=1, max_in_flight=32, max_waiting=8, max_shared=16, max_runs=1000, max_mb=4096, log=Path(os.devnull)
)


def a_request(image=IMAGE, **changes):
    given = {"request_id": uuid.uuid4().hex, "task_id": "receipt_fields_v1", "image": image, "backend": "mock"}
    return ExtractRequest(**given | changes)


async def settle(lane):
    async with asyncio.timeout(60):
        while not lane.settled:  # noqa: ASYNC110 -- a test looks from outside
            await asyncio.sleep(0.02)


def in_lane(instance, use, **options):
    """What `use` of an open lane gives, once every run is recorded."""

    async def go():
        async with OnlineLane(instance.get_ref(), replace(OPTIONS, **options)) as lane:
            result = await use(lane)
            await settle(lane)
            return result

    return asyncio.run(go())


def all_of(lane, requests):
    return asyncio.gather(*map(lane.extract, requests), return_exceptions=True)


@pytest.fixture
def slow_server(monkeypatch):
    with openai_server(latency_ms=1000) as server:
        monkeypatch.setenv("VLLM_BASE_URL", server.base_url)
        monkeypatch.setenv("VLLM_MODEL", "test-model")
        yield server


def test_one_request_is_one_run_with_its_record_and_materialization(instance, runs, settings):
    request = a_request(auth=Auth(key_id="k1", role="client"), described={"image_base64_len": 99})
    stored = in_lane(instance, lambda lane: lane.extract(request))
    with open_services(settings) as services:
        assert services.index.find("extract", request.request_id).rel_ref == stored.rel
        assert asyncio.run(services.store.get(stored.rel)) == stored.record.to_bytes()
    (run,) = instance.get_runs()
    assert (run.job_name, run.status, run.run_id) == ("extract", SUCCESS, stored.record.dagster_run_id)
    assert run.tags[run_tags.REQUEST_ID] == request.request_id
    assert run.tags[run_tags.KEY_ID] == "k1"
    event = instance.get_latest_materialization_event(EXTRACTS)
    assert event.asset_materialization.metadata["artifact_rel"].value == stored.rel
    assert stored.record.input["image_base64_len"] == 99


def test_the_images_bytes_stand_in_no_run(instance):
    in_lane(instance, lambda lane: lane.extract(a_request()))
    (run,) = instance.get_runs()
    assert len(serialize_value(run)) < len(IMAGE)
    assert set(run.run_config["ops"]["extract_images"]["config"]["requests"][0]) == {"task_id", "request_id", "backend"}


def test_requests_that_come_faster_than_runs_are_recorded_share_runs(instance):
    requests = [a_request() for _ in range(30)]
    answers = in_lane(instance, lambda lane: all_of(lane, requests))
    assert [answer.record.request_id for answer in answers] == [request.request_id for request in requests]
    recorded = instance.get_runs()
    assert {run.status for run in recorded} == {SUCCESS}
    assert 2 <= len(recorded) < 30  # at most 16 share one
    assert {answer.record.dagster_run_id for answer in answers} == {run.run_id for run in recorded}
    materialized = instance.fetch_materializations(EXTRACTS, limit=100).records
    assert {record.asset_materialization.metadata["request_id"].value for record in materialized} == {
        request.request_id for request in requests
    }


def test_a_failing_request_does_not_fail_its_neighbours(instance, runs):
    good, broken, unknown = a_request(), a_request(image=b"no image"), a_request(task_id="no_such_task")
    first, second, third = in_lane(instance, lambda lane: all_of(lane, [good, broken, unknown]))
    assert first.record.ok
    assert second.record.error.code == "image_error"
    assert isinstance(third, TaskError)
    assert runs.status(first.record.dagster_run_id) is SUCCESS


def test_a_run_of_which_nothing_came_out_fails_in_words(instance, runs):
    stored = in_lane(instance, lambda lane: lane.extract(a_request(image=b"no image")))
    assert runs.status(stored.record.dagster_run_id) is FAILURE
    (failed,) = instance.all_logs(stored.record.dagster_run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert "not an image" in failed.dagster_event.step_failure_data.user_failure_data.description


def test_the_answer_waits_for_the_model_alone(instance, slow_server, database_url):
    async def use(lane):
        answer = asyncio.create_task(lane.extract(a_request(backend="vllm")))
        await asyncio.to_thread(wait_until, lambda: slow_server.calls().calls)
        with unrecorded(database_url):
            await asyncio.wait_for(answer, 60)
            assert not lane.settled
        return answer.result()

    assert in_lane(instance, use).record.ok
    assert slow_server.calls().calls == 1


@contextmanager
def unrecorded(database_url):
    """Nothing is written to Dagster's records while the block lasts: who tries waits."""
    url = make_url(database_url)
    with psycopg.connect(user=url.username, dbname=url.database, **url.query) as connection:
        connection.execute("LOCK TABLE runs, event_logs IN EXCLUSIVE MODE")
        yield


def test_the_same_request_again_gives_the_record_that_is_there(instance, slow_server):
    request = a_request(backend="vllm")

    async def twice(lane):
        return await lane.extract(request), await lane.extract(request)

    first, again = in_lane(instance, twice)
    assert (first.reused, again.reused) == (False, True)
    assert again.record == first.record
    assert slow_server.calls().calls == 1


def test_an_id_in_use_with_another_image_or_by_another_key_is_a_conflict(instance):
    request = a_request()
    others = [replace(request, image=receipt(["TOTAL\t1.00"])), replace(request, auth=Auth(key_id="other"))]

    async def use(lane):
        await lane.extract(request)
        return await all_of(lane, others)

    assert all(isinstance(answer, ArtifactConflictError) for answer in in_lane(instance, use))


def test_two_requests_of_one_id_at_once_are_told_apart(instance):
    request = a_request()
    same, other = replace(request), replace(request, image=receipt(["TOTAL\t1.00"]))
    answers = in_lane(instance, lambda lane: all_of(lane, [request, same, other]))
    kinds = sorted(type(answer).__name__ for answer in answers)
    assert kinds.count("StoredExtract") + kinds.count("ArtifactConflictError") == 3
    assert len({answer.rel for answer in answers if not isinstance(answer, Exception)}) == 1


def test_beyond_its_bound_the_lane_says_busy_and_serves_what_it_took(instance, slow_server):
    requests = [a_request(backend="vllm") for _ in range(4)]
    answers = in_lane(instance, lambda lane: all_of(lane, requests), max_in_flight=1, max_waiting=2)
    assert [isinstance(answer, BusyError) for answer in answers] == [False, False, False, True]
    assert "try again" in answers[3].message
    assert all(answer.record.ok for answer in answers[:3])


def test_a_killed_worker_fails_what_it_had_and_the_next_request_works(instance, runs, slow_server):
    async def use(lane):
        lost = asyncio.create_task(lane.extract(a_request(backend="vllm")))
        await asyncio.to_thread(wait_until, lambda: slow_server.calls().calls and instance.get_runs())
        (run,) = instance.get_runs()
        psutil.Process(ProcessIdentity.from_tag(run.tags[run_tags.WORKER]).pid).kill()
        (failure,) = await asyncio.gather(lost, return_exceptions=True)
        return failure, run.run_id, await lane.extract(a_request())

    failure, run_id, after = in_lane(instance, use)
    assert isinstance(failure, WorkerDiedError)
    assert "SIGKILL" in failure.message
    assert runs.await_end(run_id) is FAILURE
    assert after.record.ok
    assert not runs.unfinished()


def test_a_worker_is_replaced_after_so_many_runs_and_nothing_is_lost(instance):
    async def one_after_the_other(lane):
        answers = []
        for _ in range(8):
            answers.append(await lane.extract(a_request()))
            await settle(lane)
        return answers

    answers = in_lane(instance, one_after_the_other, max_runs=3)
    assert all(answer.record.ok for answer in answers)
    assert len({run.tags[run_tags.WORKER] for run in instance.get_runs()}) == 3


def test_closing_finishes_what_was_begun(instance, runs, slow_server):
    async def go():
        async with OnlineLane(instance.get_ref(), OPTIONS) as lane:
            answer = asyncio.create_task(lane.extract(a_request(backend="vllm")))
            await asyncio.to_thread(wait_until, lambda: slow_server.calls().calls)
        return await answer

    stored = asyncio.run(go())
    assert stored.record.ok
    assert runs.status(stored.record.dagster_run_id) is SUCCESS


APPLICATION = """
import asyncio, sys
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value
from ocrlty_pipeline.orchestration.warm.lane import OnlineLane
from tests.pipeline.orchestration.test_online_lane import OPTIONS, a_request

async def main():
    async with OnlineLane(deserialize_value(sys.argv[1], InstanceRef), OPTIONS) as lane:
        await asyncio.gather(*(lane.extract(a_request(backend="vllm")) for _ in range(5)))

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_when_the_application_is_killed_what_it_had_begun_is_finished(instance, runs, settings, slow_server, tmp_path):
    script = tmp_path / "application.py"
    script.write_text(APPLICATION)
    command = [sys.executable, str(script), serialize_value(instance.get_ref())]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as application:
        wait_until(lambda: slow_server.calls().calls == 5)
        application.kill()
    wait_until(lambda: instance.get_runs() and not runs.unfinished())
    workers = {ProcessIdentity.from_tag(run.tags[run_tags.WORKER]) for run in instance.get_runs()}
    wait_until(lambda: not any(worker.is_alive() for worker in workers))
    assert {run.status for run in instance.get_runs()} == {SUCCESS}
    with open_services(settings) as services:
        assert len(services.index.page("extract", limit=10)) == 5


def test_a_restart_of_the_database_under_load_leaves_no_run_open(stack_environment, monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL")
    cluster = Cluster(tmp_path / "home" / "postgres")

    async def load(lane):
        answered, restarted = asyncio.Event(), asyncio.Event()
        answers = []

        async def client():
            while not restarted.is_set():
                answers.extend(await asyncio.gather(lane.extract(a_request()), return_exceptions=True))
                answered.set()

        clients = [asyncio.create_task(client()) for _ in range(4)]
        await answered.wait()
        await asyncio.to_thread(cluster.stop)
        await asyncio.to_thread(cluster.start)
        await asyncio.to_thread(cluster.await_ready)
        restarted.set()
        await asyncio.gather(*clients)
        return answers, await lane.extract(a_request())

    with running_stack(load_settings()), embedded_postgres(cluster.data_dir), dagster_instance() as instance:
        answers, after = in_lane(instance, load)
        assert after.record.ok
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        assert all(isinstance(failure, StorageUnavailableError) for failure in failed)
        assert len(failed) < len(answers)
        assert not Runs(instance).unfinished()


def test_requests_given_up_as_they_are_handed_over_hold_up_nobody(instance, runs):
    async def use(lane):
        for _ in range(100):
            gone = [asyncio.create_task(lane.extract(a_request())) for _ in range(4)]
            await asyncio.sleep(0)
            for task in gone:
                task.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
        answer = await asyncio.wait_for(lane.extract(a_request()), 60)
        await asyncio.to_thread(wait_until, lambda: lane.settled)
        return answer

    assert in_lane(instance, use).record.ok
    assert not runs.unfinished()


def test_a_request_that_nobody_waits_for_any_more_frees_its_place_at_once(instance, runs, slow_server):
    async def use(lane):
        gone = [asyncio.create_task(lane.extract(a_request(backend="vllm"))) for _ in range(3)]
        await asyncio.to_thread(wait_until, lambda: slow_server.calls().calls)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert lane.waiting == 0
        return await lane.extract(a_request())

    after = in_lane(instance, use, max_in_flight=1, max_waiting=2)
    assert after.record.ok
    assert slow_server.calls().calls == 1  # neither of those that waited was begun
    assert not runs.unfinished()
    assert [run.status for run in instance.get_runs()].count(FAILURE) == 1
