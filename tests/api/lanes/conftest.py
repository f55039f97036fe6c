"""The durable lane on a Dagster instance of its own, and jobs in it that nothing executes."""

import os

import pytest

from ocrlty_api.lanes.durable import DurableLane
from ocrlty_api.lanes.graphql import Webserver
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.settings import load_settings
from tests.support.job_runs import Jobs


@pytest.fixture
def instance(tmp_path, database_url, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("DAGSTER_", "OCRLTY_", "VLLM_", "S3_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OCRLTY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INFERENCE_BACKEND", "mock")
    with running_stack(load_settings()), dagster_instance() as instance:
        pool_connections(instance)
        yield instance


@pytest.fixture
def lane(instance):
    return DurableLane(SharedInstance(instance, load_settings()), Webserver("http://127.0.0.1:9"))


@pytest.fixture
def jobs(instance):
    return Jobs(instance)


@pytest.fixture
def cancel_tag():
    return run_tags.CANCEL
