"""The durable lane on a Dagster instance of its own, and jobs in it that nothing executes."""

import pytest

from ocrlty_api.lanes.durable import DurableLane
from ocrlty_api.lanes.graphql import Webserver
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.settings import load_settings
from tests.support.dagster_jobs import Jobs
from tests.support.environment import set_only


@pytest.fixture
def instance(tmp_path, database_url, monkeypatch):
    home = str(tmp_path / "home")
    set_only(monkeypatch, OCRLTY_HOME=home, DATABASE_URL=database_url, INFERENCE_BACKEND="mock")
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
