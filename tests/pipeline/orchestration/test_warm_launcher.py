"""`WarmRunLauncher` in the real daemon: everything that goes through the queue runs warm, and survives the daemon."""

import asyncio
import hashlib
import os
import signal

import dagster as dg
import psutil
import pytest
from dagster._core.launcher import WorkerStatus

from ocrlty_pipeline.images import type_of
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, EXTRACT
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.orchestration.warm.launcher import WarmRunLauncher
from ocrlty_pipeline.services import open_services
from tests.pipeline.orchestration.conftest import CANCELED, FAILURE, SUCCESS
from tests.support.daemon import import_images, open_queue, running_daemon
from tests.support.openai_server import openai_server
from tests.support.receipts import receipt
from tests.support.waiting import wait_until

TASK = "receipt_fields_v1"


@pytest.fixture
def image_ref(settings):
    """The key of a receipt in the store."""
    data = receipt(["TOTAL\t9.00"])
    with open_services(settings) as services:
        _, extension = type_of(data[:16])
        sha256 = hashlib.sha256(data).hexdigest()
        return asyncio.run(services.store.put_input("local", data, extension, sha256))


@pytest.fixture
def queue(instance, exits):
    return exits.enter_context(open_queue(instance))


@pytest.fixture
def start_daemon(instance, exits, tmp_path):
    def start(**variables):
        return exits.enter_context(running_daemon(instance, tmp_path / "daemon.log", **variables))

    return start


@pytest.fixture
def submit_batch(settings, queue, instance):
    """Submit a batch of so many images over the queue."""

    def submit_batch(count, **config):

        tags = import_images(settings, instance, count, TASK)
        return queue.submit(BATCH_EXTRACT, {"extractions": {"backend": "vllm", **config}}, tags)

    return submit_batch


@pytest.fixture
def slow_server(monkeypatch):
    with openai_server(latency_ms=200) as server:
        monkeypatch.setenv("VLLM_BASE_URL", server.base_url)
        monkeypatch.setenv("VLLM_MODEL", "test-model")
        yield server


def extract_of(image_ref):
    return {"extract_images": {"requests": [{"task_id": TASK, "image_ref": image_ref, "backend": "mock"}]}}


def test_the_instance_names_the_launcher(instance):
    assert isinstance(instance.run_launcher, WarmRunLauncher)
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled


def test_runs_from_the_queue_execute_in_the_daemons_warm_workers(start_daemon, queue, runs, instance, image_ref):
    daemon = start_daemon()
    submitted = [queue.submit(EXTRACT, extract_of(image_ref)) for _ in range(3)]
    assert [runs.await_end(run_id) for run_id in submitted] == [SUCCESS] * 3
    family = {process.pid for process in psutil.Process(daemon.pid).children(recursive=True)}
    assert {runs.worker(run_id).pid for run_id in submitted} <= family


def test_a_batch_whose_worker_is_killed_is_launched_again_and_pays_for_no_image_twice(
    start_daemon, submit_batch, runs, instance, slow_server
):
    start_daemon()
    run_id = submit_batch(40, concurrency=4)
    wait_until(lambda: slow_server.calls().calls >= 8)
    psutil.Process(runs.worker(run_id).pid).kill()
    assert runs.await_end(run_id) is FAILURE
    wait_until(lambda: any(run.parent_run_id == run_id and run.is_finished for run in instance.get_runs()))
    (again,) = [run for run in instance.get_runs() if run.parent_run_id == run_id]
    assert again.status is SUCCESS
    calls = slow_server.calls()
    assert len(calls.images) == 40
    assert calls.calls <= 40 + 4  # those in flight when it died


def test_terminating_from_another_process_ends_a_batch_with_what_is_done(
    start_daemon, submit_batch, runs, instance, slow_server
):
    start_daemon()
    run_id = submit_batch(200, concurrency=4)
    wait_until(lambda: slow_server.calls().calls >= 8)
    assert instance.run_launcher.terminate(run_id)  # of this process, which has no pool
    assert runs.await_end(run_id) is CANCELED
    assert slow_server.calls().calls < 100
    assert not instance.run_launcher.terminate(run_id)


def test_a_killed_daemon_loses_no_run_and_the_next_one_takes_up_the_queue(
    start_daemon, submit_batch, queue, runs, instance, slow_server, image_ref
):
    first = start_daemon()
    executing = submit_batch(40, concurrency=4)
    wait_until(lambda: slow_server.calls().calls >= 8)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    waiting = queue.submit(EXTRACT, extract_of(image_ref))
    start_daemon()
    assert runs.await_end(waiting) is SUCCESS
    # Its worker outlives the daemon and brings it to its end.
    assert runs.await_end(executing) is SUCCESS
    assert set(slow_server.calls().images.values()) == {1}


def test_a_run_whose_process_vanished_is_closed_by_run_monitoring(start_daemon, submit_batch, runs, slow_server):
    first = start_daemon()
    run_id = submit_batch(100, concurrency=1)
    wait_until(lambda: slow_server.calls().calls >= 2)
    os.killpg(first.pid, signal.SIGKILL)
    psutil.Process(runs.worker(run_id).pid).kill()
    start_daemon()
    assert runs.await_end(run_id, timeout_s=120) is FAILURE
    assert any("is gone" in message for message in runs.messages(run_id))


def test_stopping_the_daemon_hands_an_executing_batch_back(start_daemon, submit_batch, runs, instance, slow_server):
    first = start_daemon()
    run_id = submit_batch(60, concurrency=2)
    wait_until(lambda: slow_server.calls().calls >= 4)
    worker = runs.worker(run_id)
    first.terminate()
    first.wait(30)
    assert not worker.is_alive()
    assert runs.status(run_id) is FAILURE
    start_daemon()
    wait_until(lambda: any(run.parent_run_id == run_id and run.is_finished for run in instance.get_runs()))
    assert [run.status for run in instance.get_runs() if run.parent_run_id == run_id] == [SUCCESS]
    assert set(slow_server.calls().images.values()) == {1}


def test_health_tells_a_live_process_from_one_that_is_gone_or_elsewhere(instance, runs):
    launcher = instance.run_launcher
    run = runs.get(runs.create("pid"))
    me = ProcessIdentity.current()

    def health(tag):
        return launcher.check_run_worker_health(run.with_tags({run_tags.WORKER: tag})).status

    assert health(me.to_tag()) is WorkerStatus.RUNNING
    assert health(ProcessIdentity(me.host, me.pid, me.started - 3600).to_tag()) is WorkerStatus.FAILED
    assert health(ProcessIdentity("another-host", 1, 0.0).to_tag()) is WorkerStatus.RUNNING
    assert health("garbage") is WorkerStatus.UNKNOWN
    assert launcher.check_run_worker_health(run).status is WorkerStatus.UNKNOWN
    assert isinstance(run, dg.DagsterRun)
