"""The durable lane on a Dagster instance of its own, and jobs in it that nothing executes."""

import os
from dataclasses import dataclass

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._time import get_current_datetime

from ocrlty_api.lanes.durable import DurableLane
from ocrlty_api.lanes.graphql import Webserver
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import EXTRACT
from ocrlty_pipeline.orchestration.launch import resolved_job
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.settings import load_settings

CONFIG = {"ops": {"extract_images": {"config": {"requests": [{"task_id": "receipt_fields_v1"}]}}}}


@dataclass
class Jobs:
    """Makes runs as the lane submits them, and gives them statuses."""

    instance: dg.DagsterInstance

    def create(self, **tags):
        """A job of alice's that waits; answers its id. `tags` are named without their prefix."""
        of_job = {"job": EXTRACT, "key_id": "alice", "role": "client", **tags}
        return self._run({f"ocrlty/{name}": value for name, value in of_job.items()})

    def retry(self, job_id):
        """The run by which Dagster retries a job; answers its id."""
        first = self.instance.get_run_by_id(job_id).tags
        tags = {name: value for name, value in first.items() if name.startswith("ocrlty/")}
        return self._run({**tags, PARENT_RUN_ID_TAG: job_id, ROOT_RUN_ID_TAG: job_id}, of=job_id)

    def fail_undecided(self, run_id):
        """Its status as it is before Dagster has said whether it is retried."""
        event = DagsterEvent(DagsterEventType.RUN_FAILURE.value, EXTRACT)
        self.instance.run_storage.handle_run_event(run_id, event, get_current_datetime())

    def fail(self, run_id, *, retried=False):
        self.fail_undecided(run_id)
        self.instance.add_run_tags(run_id, {"dagster/will_retry": str(retried).lower()})

    def _run(self, tags, of=None):
        run = self.instance.create_run_for_job(
            resolved_job(EXTRACT), run_config=CONFIG, tags=tags, parent_run_id=of, root_run_id=of
        )
        return run.run_id


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
