"""The service on a bucket: what it leads to there, and what it gives itself."""

from __future__ import annotations

import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from ocrlty_pipeline.services import open_services
from tests.support.requests import error_of, new_id, succeeded
from tests.support.service import running_service
from tests.support.storage import s3_settings
from tests.support.stored_runs import ANSWER, store_run


@pytest.fixture
def service(postgres_url, tmp_path, s3_server, s3_bucket):
    variables = {
        **s3_server.environment,
        "S3_BUCKET": s3_bucket,
        "S3_PREFIX": "receipts/eu",
        "S3_PRESIGNED_URL_S": "77",
    }
    with running_service(postgres_url, tmp_path, dagster=False, INFERENCE_BACKEND="mock", **variables) as service:
        yield service


@pytest.fixture
def stored(service, s3_server, s3_bucket):
    with open_services(s3_settings(s3_server, s3_bucket, database_url=service.database_url)) as services:
        yield services


def test_a_runs_artifact_is_read_from_the_bucket_by_a_url_that_ends_soon(service, stored, s3_server):
    run_id = new_id("run")
    store_run(stored, run_id, {"a.jpg": ANSWER})
    alice, bob = service.client("alice"), service.client("bob")
    answer = alice.get(f"/v1/runs/{run_id}/artifact")
    url = answer.headers["location"]
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
    assert url.startswith(f"{s3_server.url}/")
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["77"]
    with urllib.request.urlopen(url, timeout=30) as there:  # noqa: S310  # our own server
        assert there.headers["content-type"] == "application/json"
        assert there.read() == alice.get(f"/v1/runs/{run_id}/artifact?direct=false").content
    assert succeeded(alice.get(f"/v1/runs/{run_id}/artifact?direct=false"))["run_id"] == run_id
    error_of(bob.get(f"/v1/runs/{run_id}/artifact"), 404, "not_found")
