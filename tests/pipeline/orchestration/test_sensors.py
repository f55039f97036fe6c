"""The inbox as Dagster's daemon evaluates it: from a folder that arrives to the runs that are asked for."""

import dagster as dg
import pytest

from ocrlty_pipeline import definitions
from ocrlty_pipeline.inbox import MARKER
from tests.support.in_process import own_services
from tests.support.receipts import tiny_images


@pytest.fixture
def evaluate(instance, stack_environment, monkeypatch):
    monkeypatch.setenv("INBOX_TASKS", "receipt_fields_v1, items_light_v1")
    repository = definitions.build_defs().get_repository_def()
    sensor = repository.get_sensor_def("inbox")
    cursor = None

    def evaluate():
        nonlocal cursor
        # As the code server makes it; `build_sensor_context` knows no image set that is registered in the same tick.
        with dg.SensorEvaluationContext(
            instance.get_ref(), None, None, cursor, None, repository.name, repository_def=repository
        ) as context:
            found = sensor.evaluate_tick(context)
        cursor = found.cursor
        for request in found.dynamic_partitions_requests:
            instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return found

    with own_services():
        yield evaluate


# Of the tags that Dagster itself gives a run over two dimensions of partitions.
@pytest.mark.filterwarnings("ignore:Non-compliant tag keys")
def test_a_complete_folder_is_registered_and_then_extracted_through_each_task(evaluate, instance, tmp_path):
    folder = tiny_images(tmp_path / "inbox" / "march", 2)
    assert evaluate().run_requests == []
    (folder / MARKER).touch()
    found = evaluate()
    [ingest] = found.run_requests
    assert (ingest.job_name, ingest.partition_key) == ("ingest", "march")
    assert ingest.run_config["ops"]["image_set"]["config"] == {"images_dir": str(folder)}
    assert [request.partition_keys for request in found.dynamic_partitions_requests] == [["march"]]
    assert [request.run_key for request in evaluate().run_requests] == [ingest.run_key]
    succeeded(instance, ingest)
    again, *batches = evaluate().run_requests
    assert again.run_key == ingest.run_key
    assert [(request.job_name, request.partition_key) for request in batches] == [
        ("batch_extract", "march|receipt_fields_v1"),
        ("batch_extract", "march|items_light_v1"),
    ]
    assert evaluate().run_requests == []


def succeeded(instance, request):
    job = dg.GraphDefinition("ingest", node_defs=[]).to_job()
    run = instance.create_run_for_job(job, tags=request.tags)
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, job_name="ingest"), run.run_id
    )
