"""A Dagster instance on a database of its own, and runs of jobs made for the purpose."""

from __future__ import annotations

from contextlib import ExitStack

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.settings import load_settings
from tests.support import warm_jobs
from tests.support.environment import set_only
from tests.support.waiting import wait_until


class Runs:
    """Creates runs of `warm_jobs` in an instance, and tells how they ended."""

    def __init__(self, instance):
        self.instance = instance

    def create(self, job, config=None):
        repository = ReconstructableRepository.for_module(warm_jobs.__name__, "defs")
        run = self.instance.create_run_for_job(
            warm_jobs.defs().resolve_job_def(job),
            run_config={"ops": {job: {"config": config}}} if config else {},
            job_code_origin=repository.get_reconstructable_job(job).get_python_origin(),
        )
        return run.run_id

    def get(self, run_id):
        return self.instance.get_run_by_id(run_id)

    def status(self, run_id):
        return self.get(run_id).status

    def worker(self, run_id):
        """The process that executes a run, as its tag says; None before it has one."""
        tag = self.get(run_id).tags.get(run_tags.WORKER)
        return ProcessIdentity.from_tag(tag) if tag else None

    def await_end(self, run_id, timeout_s=60.0):
        wait_until(lambda: self.get(run_id).is_finished, timeout_s)
        return self.status(run_id)

    def messages(self, run_id):
        return [entry.user_message or entry.message for entry in self.instance.all_logs(run_id)]

    def unfinished(self):
        return [run for run in self.instance.get_runs() if not run.is_finished]


@pytest.fixture
def stack_environment(tmp_path, database_url, monkeypatch):
    """The environment of a stack on this test's database, with the mock backend."""
    values = {
        "OCRLTY_HOME": str(tmp_path / "home"),
        "DATA_ROOT": str(tmp_path),
        "DATABASE_URL": database_url,
        "INFERENCE_BACKEND": "mock",
    }
    set_only(monkeypatch, **values)
    return values


@pytest.fixture
def settings(stack_environment):
    with running_stack(load_settings()) as settings:
        yield settings


@pytest.fixture
def instance(settings):
    with dagster_instance() as instance:
        yield instance


@pytest.fixture
def local_instance(tmp_path):
    """Dagster in files, for jobs that a test executes itself.

    Of a database in memory, the thread that tells a batch's progress finds tables locked, and does not wait.
    """
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


@pytest.fixture
def runs(instance):
    return Runs(instance)


@pytest.fixture
def exits():
    with ExitStack() as stack:
        yield stack


SUCCESS, FAILURE, CANCELED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
