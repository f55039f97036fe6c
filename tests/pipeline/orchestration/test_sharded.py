"""`batch_extract_sharded` for real: a warm worker, the executor's own processes, one of them killed, a cancellation."""

from __future__ import annotations

import asyncio
import json

import dagster as dg
import psutil
import pytest

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.code_location import resolved_job
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT_SHARDED, IN_SHARDS
from ocrlty_pipeline.orchestration.launch import (
    RunRequest,
    failure_message,
    register_image_set,
    single_worker,
    start_run,
)
from ocrlty_pipeline.orchestration.partitions import batch_partition_key, batch_partitions
from ocrlty_pipeline.orchestration.sharded import build_sharded_job
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.pipeline.orchestration.conftest import CANCELED, FAILURE, SUCCESS
from tests.support.daemon import import_images
from tests.support.openai_answers import completed
from tests.support.openai_server import openai_server
from tests.support.waiting import wait_until

TASK, COUNT, SIZE = "receipt_fields_v1", 20, 4
CONFIG = {"backend": "vllm", "concurrency": 1, "shard_size": SIZE}


@pytest.fixture(scope="module")
def model():
    with openai_server(latency_ms=100) as server:
        yield server


@pytest.fixture
def stack_environment(stack_environment, model, monkeypatch):
    model.reset()
    monkeypatch.setenv("VLLM_BASE_URL", model.base_url)
    monkeypatch.setenv("VLLM_MODEL", "test-model")
    return stack_environment


@pytest.fixture
def services(settings):
    with open_services(settings) as services:
        yield services


@pytest.fixture
def images(settings, instance, services):
    """Image set `s`, with ground truth for one image; its files."""
    import_images(settings, instance, COUNT, TASK)
    files = [item.file for item in asyncio.run(services.image_sets.load("s")).items]
    truth = json.dumps({files[0]: {"total": "1.00"}}).encode()
    asyncio.run(services.image_sets.attach_ground_truth("s", truth, source="truth.json", image_key="file"))
    return files


@pytest.fixture
def start(images, instance, settings, exits):
    """Have a worker execute the job on the image set."""
    assert len(images) == COUNT

    def start(**config):
        pool = exits.enter_context(single_worker(instance, settings))
        register_image_set(instance, "s")
        request = RunRequest(BATCH_EXTRACT_SHARDED, batch_partition_key("s", TASK), {IN_SHARDS: CONFIG | config})
        return start_run(instance, request, pool)

    return start


def shard_processes(instance, run_id):
    """The processes that extract shards of a run at this moment, as its events tell them."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED)
    events = [entry.dagster_event for entry in entries if "shard" in (entry.dagster_event.step_key or "")]
    pids = [int(event.engine_event_data.metadata["pid"].value) for event in events]
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def materialized(instance, asset):
    return instance.get_latest_materialization_event(dg.AssetKey(asset))


@pytest.mark.parametrize("executor", ["in_process", "multiprocess", "celery", "k8s"])
def test_every_executor_of_the_setting_is_one_of_dagster_s(executor):
    settings = Settings(_env_file=None, jobs_shard_executor=executor)
    job = build_sharded_job(batch_partitions(["t"]), settings)
    assert executor in job.executor_def.name.replace("-", "_")


@pytest.mark.parametrize("executor", ["multiprocess", "in_process"])
def test_a_set_is_extracted_in_shards_and_scored(start, instance, services, images, model, monkeypatch, executor):
    monkeypatch.setenv("JOBS_SHARD_EXECUTOR", executor)
    resolved_job.cache_clear()
    launched = start()
    run = launched.wait()
    assert run.status is SUCCESS, launched.log.read_text()
    row = services.runs.find(run.tags[run_tags.RUN_ID])
    batch = asyncio.run(services.runs.load(row))
    assert ([item.file for item in batch.items], batch.ok_count, batch.shard_size) == (images, COUNT, SIZE)
    assert sorted(model.calls().images.values()) == [1] * COUNT
    assert launched.progress()["done"] == COUNT
    key = batch_partition_key("s", TASK)
    assert instance.get_materialized_partitions(dg.AssetKey("extractions")) == {key}
    metadata = materialized(instance, "extractions").asset_materialization.metadata
    assert (metadata["artifact_rel"].value, metadata["ok"].value) == (row.rel_ref, COUNT)
    assert "artifact_rel" in materialized(instance, "evaluation").asset_materialization.metadata
    assert services.index.latest_eval(batch.run_id).run_id == batch.run_id
    checks = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    names = {entry.dagster_event.asset_check_evaluation_data.check_name for entry in checks}
    assert names == {"error_rate", "schema_valid_rate", "plausible", "every_image_scored", "no_regression"}
    resolved_job.cache_clear()


def test_a_shard_whose_process_is_killed_is_retried_alone(start, instance, services, model):
    launched = start()
    run_id = wait_until(lambda: launched.record().tags.get(run_tags.RUN_ID))
    wait_until(lambda: services.run_items.counts(run_id)[0] >= SIZE)
    victim = wait_until(lambda: shard_processes(instance, launched.run_id))[-1]
    victim.kill()
    assert launched.wait().status is SUCCESS
    restarted = instance.all_logs(launched.run_id, of_type=dg.DagsterEventType.STEP_RESTARTED)
    assert len(restarted) == 1
    batch = asyncio.run(services.runs.load(services.runs.find(run_id)))
    assert (batch.ok_count, len(batch.items)) == (COUNT, COUNT)
    assert COUNT <= model.calls().calls <= COUNT + 1  # the one in flight when it died


def test_a_run_of_which_nothing_came_fails_with_its_artifact_and_materializes_nothing(
    start, instance, services, model, monkeypatch
):
    monkeypatch.setenv("JOBS_SHARD_EXECUTOR", "in_process")
    monkeypatch.setenv("VLLM_RETRY_MAX_ATTEMPTS", "1")
    model.script(*[completed("no JSON")] * COUNT * 4)
    run = start(concurrency=4).wait()
    assert run.status is FAILURE
    batch = asyncio.run(services.runs.load(services.runs.find(run.tags[run_tags.RUN_ID])))
    assert (batch.status, batch.ok_count, batch.error_count) == ("failed", 0, COUNT)
    assert f"0 of {COUNT} images extracted" in failure_message(instance, run)
    assert materialized(instance, "extractions") is None


def test_a_cancelled_run_goes_on_where_it_was(start, services, model):
    launched = start()
    wait_until(lambda: model.calls().calls > SIZE)
    launched.cancel()
    assert launched.wait().status is CANCELED
    done = model.calls().calls
    again = start().wait()
    assert again.status is SUCCESS
    batch = asyncio.run(services.runs.load(services.runs.find(again.tags[run_tags.RUN_ID])))
    assert (batch.ok_count, batch.pending_count) == (COUNT, 0)
    assert done < COUNT
    assert model.calls().calls <= COUNT + 2
