"""Jobs of the API as runs in a Dagster instance, which nothing executes: a test says what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
import orjson
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._time import get_current_datetime

from ocrlty_pipeline.orchestration.jobs import EXTRACT
from ocrlty_pipeline.orchestration.launch import resolved_job

REQUEST = {"task_id": "receipt_fields_v1"}
CONFIG = {"ops": {"extract_images": {"config": {"requests": [REQUEST]}}}}


@dataclass
class Jobs:
    """Makes runs as the lane submits them, and gives them statuses."""

    instance: dg.DagsterInstance

    def create(self, *, request=None, **tags):
        """A job of alice's that waits; answers its id. `tags` are named without their prefix."""
        of_job = {"job": EXTRACT, "key_id": "alice", "role": "client", **tags}
        asked = {} if request is None else {"request": orjson.dumps(request).decode()}
        config = {"ops": {"extract_images": {"config": {"requests": [REQUEST | asked]}}}}
        return self._run({f"ocrlty/{name}": value for name, value in of_job.items()}, config)

    def retry(self, job_id):
        """The run by which Dagster retries a job; answers its id."""
        first = self.instance.get_run_by_id(job_id)
        tags = {name: value for name, value in first.tags.items() if name.startswith("ocrlty/")}
        of_first = {PARENT_RUN_ID_TAG: job_id, ROOT_RUN_ID_TAG: job_id}
        return self._run({**tags, **of_first}, first.run_config, of=job_id)

    def succeed(self, run_id):
        self._end(run_id, DagsterEventType.RUN_SUCCESS)

    def cancel(self, run_id):
        self._end(run_id, DagsterEventType.RUN_CANCELED)

    def fail_undecided(self, run_id):
        """Its status as it is before Dagster has said whether it is retried."""
        self._end(run_id, DagsterEventType.RUN_FAILURE)

    def fail(self, run_id, *, retried=False):
        # Before its status, so that whoever looks in between does not take it for undecided.
        self.instance.add_run_tags(run_id, {"dagster/will_retry": str(retried).lower()})
        self.fail_undecided(run_id)

    def _end(self, run_id, kind):
        event = DagsterEvent(kind.value, EXTRACT)
        self.instance.run_storage.handle_run_event(run_id, event, get_current_datetime())

    def _run(self, tags, config, of=None):
        run = self.instance.create_run_for_job(
            resolved_job(EXTRACT), run_config=config, tags=tags, parent_run_id=of, root_run_id=of
        )
        return run.run_id
