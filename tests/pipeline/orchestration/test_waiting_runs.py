"""Runs that wait in a living process: run monitoring leaves them alone, and closes them once that process is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from sqlalchemy import make_url

from ocrlty_pipeline.orchestration import monitoring
from ocrlty_pipeline.orchestration.daemon import daemons_of
from ocrlty_pipeline.orchestration.monitoring import PatientMonitoring
from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.orchestration.waiting_runs import WaitingRuns, waiting_of
from ocrlty_pipeline.orchestration.warm.launcher import WarmRunLauncher
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool
from tests.pipeline.orchestration.conftest import CANCELED, FAILURE
from tests.support.database import end_connections
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.orchestration.waiting_runs import WaitingRuns

waiting = WaitingRuns(create_engine(sys.argv[1]))
waiting.add(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def waiting(engine):
    waiting = WaitingRuns(engine)
    yield waiting
    waiting.close()


@pytest.fixture
def monitor(instance, monkeypatch):
    """One look of run monitoring, for which a run that has not started at once is late."""
    process_services.cache_clear()
    monkeypatch.setattr(type(instance), "run_monitoring_start_timeout_seconds", 1e-6)
    (daemon,) = [daemon for daemon in daemons_of(instance) if isinstance(daemon, PatientMonitoring)]
    with WorkspaceProcessContext(instance, None) as context:
        yield lambda: list(daemon.run_iteration(context))
    process_services().close()
    process_services.cache_clear()


def test_only_a_run_that_nobody_has_in_hand_is_late(instance, runs, waiting, monitor):
    held, lost = runs.create("pid"), runs.create("pid")
    waiting.add(held)
    monitor()
    assert runs.status(lost) is FAILURE
    assert not runs.get(held).is_finished
    waiting.remove(held)
    monitor()
    assert runs.status(held) is FAILURE


def test_a_run_that_waits_in_the_daemons_own_pool_is_not_late(instance, runs, monitor, monkeypatch):
    run_id = runs.create("pid")
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_STARTING.value, "pid"), run_id)
    with monkeypatch.context() as patch:
        patch.setattr(WarmRunLauncher, "holds", lambda _launcher, held: held == run_id)
        monitor()
        assert runs.status(run_id) is DagsterRunStatus.STARTING
    monitor()
    assert runs.status(run_id) is FAILURE


def test_a_run_whose_process_was_killed_is_closed(runs, monitor, database_url):
    run_id = runs.create("pid")
    command = [sys.executable, "-c", HOLDER, database_url, run_id]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        monitor()
        assert not runs.get(run_id).is_finished
        holder.kill()
    wait_until(lambda: monitor() and runs.get(run_id).is_finished, timeout_s=10)
    assert runs.status(run_id) is FAILURE


def test_a_restart_of_the_database_is_made_good(engine, waiting, database_url):
    run_ids = ["first", "second"]
    for run_id in run_ids:
        waiting.add(run_id)
    end_connections(make_url(database_url))
    assert waiting_of(engine, run_ids) == set()
    waiting.renew()
    assert waiting_of(engine, [*run_ids, "another"]) == set(run_ids)
    end_connections(make_url(database_url))
    waiting.remove("first")
    waiting.add("third")
    assert waiting_of(engine, [*run_ids, "third"]) == {"second", "third"}


def test_monitoring_tells_a_run_by_its_status_first(runs, instance, waiting, monitor, monkeypatch):
    """Nothing is asked of the database while every run has begun."""
    monkeypatch.setattr(monitoring, "waiting_of", lambda *_: pytest.fail("asked"))
    run_id = runs.create("pid")
    instance.report_run_canceling(runs.get(run_id))
    monitor()
    assert not runs.get(run_id).is_finished


def test_a_run_that_is_cancelled_while_it_waits_for_a_worker_ends_at_once(instance, runs, tmp_path):
    began = tmp_path / "began"
    options = PoolOptions(1, 100, 4096, log=tmp_path / "workers.log")
    first = runs.create("sleeping", {"began": str(began), "seconds": 60.0})
    told, elsewhere = runs.create("pid"), runs.create("pid")
    with WarmPool(instance.get_ref(), options) as pool:
        for run_id in (first, told, elsewhere):
            pool.submit(run_id)
        wait_until(began.exists)
        for run_id in (told, elsewhere):
            instance.report_run_canceling(runs.get(run_id))
        pool.cancel(told)
        wait_until(lambda: not pool.holds(told) and not pool.holds(elsewhere), timeout_s=10)
        assert (runs.status(told), runs.status(elsewhere)) == (CANCELED, CANCELED)
        assert pool.holds(first)
