"""What Dagster knows of earlier runs: which a run retries, and whether they go on."""

from __future__ import annotations

from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.launcher import CheckRunHealthResult, RunLauncher, WorkerStatus
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RETRY_NUMBER_TAG
from dagster._core.utils import make_new_run_id

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, BATCH_EXTRACT_SHARDED
from ocrlty_pipeline.orchestration.past_runs import execution_of, retried_runs
from ocrlty_pipeline.orchestration.warm.health import WithWarmRuns, end_orphans, worker_of
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity

Status = dg.DagsterRunStatus
HERE = ProcessIdentity.current()
GONE = ProcessIdentity(HERE.host, HERE.pid, HERE.started - 1000)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add(instance, status=Status.STARTED, *, job=BATCH_EXTRACT, parent=None, root=None, tags=None):
    parents = {"parent_run_id": parent.run_id, "root_run_id": (root or parent).run_id} if parent else {}
    tags = {**(tags or {}), **({PARENT_RUN_ID_TAG: parent.run_id} if parent else {})}
    return instance.add_run(dg.DagsterRun(job, run_id=make_new_run_id(), status=status, tags=tags, **parents))


def test_a_retry_knows_all_attempts_but_not_what_a_person_launched_again(instance):
    first = add(instance)
    again = add(instance, parent=first)
    retry = add(instance, parent=again, root=first, tags={RETRY_NUMBER_TAG: "1"})
    last = add(instance, parent=retry, root=first, tags={RETRY_NUMBER_TAG: "2"})
    assert retried_runs(instance, first) == retried_runs(instance, again) == ()
    assert retried_runs(instance, last) == (retry.run_id, again.run_id)


class Launcher(RunLauncher):
    """One that launches none of its runs: of those it knows nothing."""

    def launch_run(self, _context):
        raise AssertionError("It launches nothing.")

    def terminate(self, run_id):
        return run_id == "its own"

    @property
    def supports_check_run_worker_health(self):
        return True

    def check_run_worker_health(self, run):
        return CheckRunHealthResult(WorkerStatus.UNKNOWN, f"No task of {run.run_id}.")


class Beside(WithWarmRuns, Launcher):
    pass


@pytest.fixture
def launcher(instance):
    launcher = Beside()
    launcher.register_instance(instance)
    return launcher


def worker(identity):
    return {run_tags.WORKER: identity.to_tag()}


def test_another_launcher_judges_warm_runs_by_their_worker(instance, launcher):
    def status(run):
        return launcher.check_run_worker_health(run).status

    assert status(add(instance, tags=worker(HERE))) is WorkerStatus.RUNNING
    assert status(add(instance, tags=worker(GONE))) is WorkerStatus.FAILED
    parent = add(instance, tags=worker(GONE))
    retry = add(instance, parent=parent, tags=worker(GONE))
    assert worker_of(instance, retry) is None
    assert status(retry) is status(add(instance)) is WorkerStatus.UNKNOWN


def test_another_launcher_asks_warm_runs_to_end_and_ends_those_of_the_dead(instance, launcher):
    alive, dead = (add(instance, tags=worker(identity)) for identity in (HERE, GONE))
    assert launcher.terminate(alive.run_id)
    assert launcher.terminate(dead.run_id)
    assert not launcher.terminate(dead.run_id)
    assert not launcher.terminate(add(instance).run_id)
    assert instance.get_run_by_id(alive.run_id).status is Status.CANCELING
    assert instance.get_run_by_id(dead.run_id).status is Status.CANCELED


def test_what_died_on_this_host_is_ended_and_nothing_else(instance):
    elsewhere = ProcessIdentity("another-host", HERE.pid, HERE.started)
    alive, away, unknown = (add(instance, tags=tags) for tags in (worker(HERE), worker(elsewhere), {}))
    dead, canceling = (add(instance, status, tags=worker(GONE)) for status in (Status.STARTED, Status.CANCELING))
    end_orphans(instance)
    assert [instance.get_run_by_id(run.run_id).status for run in (alive, away, unknown, dead, canceling)] == [
        *[Status.STARTED] * 3,
        Status.FAILURE,
        Status.CANCELED,
    ]


@pytest.mark.parametrize(
    ("job", "status", "of", "known"),
    [
        (BATCH_EXTRACT, Status.FAILURE, HERE, "ended"),
        (BATCH_EXTRACT, Status.STARTED, HERE, "unknown"),
        (BATCH_EXTRACT_SHARDED, Status.STARTED, HERE, "goes_on"),
        (BATCH_EXTRACT_SHARDED, Status.STARTED, GONE, "unknown"),
        (BATCH_EXTRACT_SHARDED, Status.CANCELED, HERE, "ended"),
    ],
)
def test_only_a_run_in_shards_goes_on_without_a_lock(instance, launcher, job, status, of, known):
    run = add(instance, status, job=job, tags=worker(of))
    facade = SimpleNamespace(get_run_by_id=instance.get_run_by_id, run_launcher=launcher)
    assert execution_of(facade, run.run_id) == known
    assert execution_of(facade, "of another database") == "unknown"
