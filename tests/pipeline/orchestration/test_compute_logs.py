"""What runs print: kept where the artifacts are, and shown by Dagster's webserver from there."""

import os

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.webserver import DagsterWebserver
from starlette.testclient import TestClient

from ocrlty_pipeline.orchestration.retention import delete_runs
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.settings import load_settings

SAID = "seen from the run"
QUERY = "query ($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"


@dg.asset
def printed() -> None:
    print(SAID)  # noqa: T201 -- to be captured


@pytest.fixture
def bucket(stack_environment, s3_server, s3_bucket, monkeypatch):
    """A stack's environment whose storage is a bucket; answers the bucket's name."""
    for name, value in {**s3_server.environment, "S3_BUCKET": s3_bucket, "S3_PREFIX": "here/and"}.items():
        monkeypatch.setenv(name, value)
    return s3_bucket


def materialized(instance):
    run_id = dg.materialize([printed], instance=instance).run_id
    [event] = instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
    return run_id, [run_id, "compute_logs", event.dagster_event.logs_captured_data.file_key]


def shown(instance, log_key):
    context = WorkspaceProcessContext(instance, EmptyWorkspaceTarget())
    with context, TestClient(DagsterWebserver(context).create_asgi_app()) as client:
        answer = client.post("/graphql", json={"query": QUERY, "variables": {"key": log_key}})
    return answer.json()["data"]["capturedLogs"]


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def test_what_a_run_prints_is_in_the_bucket_is_shown_and_goes_with_the_run(bucket, s3_server, tmp_path):
    with running_stack(load_settings()):
        with dagster_instance() as instance:
            run_id, log_key = materialized(instance)
        place = f"here/and/dagster/storage/{run_id}/compute_logs/{log_key[-1]}"
        assert s3_server.keys(bucket) == [f"{place}.err", f"{place}.out"]
        assert files_in(tmp_path / "home" / "dagster" / "storage" / run_id) == []
        with dagster_instance() as instance:
            assert shown(instance, log_key)["stdout"].strip() == SAID
            assert "STEP_SUCCESS" in shown(instance, log_key)["stderr"]
            delete_runs(instance, [run_id])
            assert instance.get_run_by_id(run_id) is None
        assert s3_server.keys(bucket) == []
        assert files_in(tmp_path / "home" / "dagster" / "storage" / run_id) == []
    assert "AWS_REQUEST_CHECKSUM_CALCULATION" not in os.environ


def test_on_disk_they_are_below_dagsters_home(stack_environment, tmp_path):
    with running_stack(load_settings()), dagster_instance() as instance:
        run_id, log_key = materialized(instance)
        assert shown(instance, log_key)["stdout"].strip() == SAID
        assert files_in(tmp_path / "home" / "dagster" / "storage" / run_id) != []
        delete_runs(instance, [run_id])
        assert files_in(tmp_path / "home" / "dagster" / "storage" / run_id) == []


def test_no_checksums_are_sent_that_other_services_than_s3_refuse(bucket, s3_server):
    before = len(s3_server.headers())
    with running_stack(load_settings()), dagster_instance() as instance:
        materialized(instance)
    puts = [headers for method, _, headers in s3_server.headers()[before:] if method == "PUT"]
    assert len(puts) == 2
    assert not [name for headers in puts for name in headers if "CHECKSUM" in name or "ACL" in name]
    assert {"/auto/s3/" in headers["HTTP_AUTHORIZATION"] for headers in puts} == {True}
