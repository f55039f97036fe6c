"""The Celery deployment for real: Redis, two workers, and one of them killed in mid-run."""

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest

from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, BATCH_EXTRACT_SHARDED, IN_SHARDS
from ocrlty_pipeline.orchestration.launch import RunRequest, single_worker, start_run
from ocrlty_pipeline.orchestration.partitions import batch_partition_key
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.settings import load_settings
from tests.support.daemon import import_images, open_queue, running_daemon
from tests.support.openai_server import openai_server
from tests.support.redis_server import REDIS, redis_server
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
CELERY = ROOT / "deploy" / "celery"
TASK = "receipt_fields_v1"
COUNT = 60

pytestmark = pytest.mark.skipif(REDIS is None, reason="no redis-server: apt install redis-server")


@contextlib.contextmanager
def a_process(command, log, **options):
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=output, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def redis_port(tmp_path):
    with redis_server(tmp_path) as (_process, port):
        yield port


@pytest.fixture
def environment(tmp_path, database_url, redis_port, monkeypatch):
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(CELERY / "dagster.yaml", home)
    variables = {
        "OCRLTY_HOME": str(tmp_path / "home"),
        "DATA_ROOT": str(tmp_path),
        "DATABASE_URL": database_url,
        "DAGSTER_HOME": str(home),
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{redis_port}/0",
        "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{redis_port}/1",
        "PYTHONPATH": f"{CELERY}:{ROOT}",
        "VLLM_MODEL": "test-model",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def start_worker(number, log):
    arguments = ["-A", "dagster_celery.app", "worker", "-Q", "dagster", "-c", "1", "-n", f"w{number}@%h"]
    return a_process([sys.executable, "-m", "celery", *arguments], log)


def executing_process(instance, run_id):
    """Process id of the Celery worker's child that executes a run, as its events tell it."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        found = re.search(r"Started process for run \(pid: (\d+)\)", entry.dagster_event.message or "")
        if found:
            return int(found[1])
    raise AssertionError("no process has taken up the run")


@pytest.mark.usefixtures("environment")
def test_a_run_whose_celery_worker_is_killed_is_continued_by_another(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(openai_server(latency_ms=200))
        monkeypatch.setenv("VLLM_BASE_URL", server.base_url)
        settings = stack.enter_context(running_stack(load_settings()))
        instance = stack.enter_context(dagster_instance())
        tags = import_images(settings, instance, COUNT, TASK)
        for number in (1, 2):
            stack.enter_context(start_worker(number, tmp_path / f"worker-{number}.log"))
        stack.enter_context(running_daemon(instance, tmp_path / "daemon.log"))
        queue = stack.enter_context(open_queue(instance))
        config = {"backend": "vllm", "concurrency": 2}
        run_id = queue.submit(BATCH_EXTRACT, {"extractions": config}, tags)
        wait_until(lambda: server.calls().calls >= 8)

        psutil.Process(executing_process(instance, run_id)).kill()

        wait_until(lambda: instance.get_run_by_id(run_id).is_finished)
        assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.FAILURE
        wait_until(lambda: any(run.parent_run_id == run_id and run.is_finished for run in instance.get_runs()), 90)
        (again,) = [run for run in instance.get_runs() if run.parent_run_id == run_id]
        assert again.status is dg.DagsterRunStatus.SUCCESS
        calls = server.calls()
    assert len(calls.images) == COUNT
    assert calls.calls <= COUNT + 2  # those in flight when it died


@pytest.mark.usefixtures("environment")
def test_the_shards_of_a_run_are_tasks_of_celery_s_workers(tmp_path, monkeypatch):
    """A warm worker executes the run itself: as a task of Celery's, it would take a place that its shards need."""
    monkeypatch.setenv("JOBS_SHARD_EXECUTOR", "celery")
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "dagster" / "dagster.yaml")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(openai_server())
        monkeypatch.setenv("VLLM_BASE_URL", server.base_url)
        settings = stack.enter_context(running_stack(load_settings()))
        instance = stack.enter_context(dagster_instance())
        import_images(settings, instance, 6, TASK)
        for number in (1, 2):
            stack.enter_context(start_worker(number, tmp_path / f"worker-{number}.log"))
        pool = stack.enter_context(single_worker(instance, settings))
        config = {"backend": "vllm", "concurrency": 2, "shard_size": 2}
        request = RunRequest(BATCH_EXTRACT_SHARDED, batch_partition_key("s", TASK), {IN_SHARDS: config})
        run = start_run(instance, request, pool).wait()
        assert run.status is dg.DagsterRunStatus.SUCCESS
        told = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        tasks = [entry for entry in told if "celery task" in entry.message and ".shard[" in (entry.step_key or "")]
        assert len(tasks) == 3
        assert server.calls().calls == 6
