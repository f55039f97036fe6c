"""The warm pool: runs start warm, end with a true status whatever happens, and the next run works."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._serdes import serialize_value

from ocrlty_pipeline.db.cluster import Cluster
from ocrlty_pipeline.db.embedded import embedded_postgres
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool
from ocrlty_pipeline.settings import load_settings
from tests.pipeline.orchestration.conftest import CANCELED, FAILURE, SUCCESS, Runs
from tests.support import warm_jobs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def pool_of(instance, exits, tmp_path):
    def pool_of(size=1, *, max_runs=100, max_mb=4096):
        options = PoolOptions(size, max_runs, max_mb, log=tmp_path / "workers.log")
        return exits.enter_context(WarmPool(instance.get_ref(), options))

    return pool_of


@pytest.fixture
def pool(pool_of):
    return pool_of()


@pytest.fixture
def sleeping(runs, tmp_path):
    """A run of a job that sleeps, submitted, and begun by now."""

    def sleeping(pool, seconds=60.0, job="sleeping"):
        began = tmp_path / f"began-{job}-{seconds}"
        config = {"began": str(began)} | ({"seconds": seconds} if job == "sleeping" else {})
        run_id = runs.create(job, config)
        pool.submit(run_id)
        wait_until(began.exists)
        return run_id

    return sleeping


def execute(pool, runs, job="pid"):
    run_id = runs.create(job)
    pool.submit(run_id)
    wait_until(lambda: not pool.holds(run_id))
    return run_id


def test_runs_execute_one_after_the_other_in_one_process(pool, runs):
    executed = [execute(pool, runs) for _ in range(3)]
    assert [runs.status(run_id) for run_id in executed] == [SUCCESS] * 3
    (worker,) = {runs.worker(run_id) for run_id in executed}
    assert worker.is_alive()
    assert worker.pid != psutil.Process().pid


def test_runs_beyond_the_size_wait_for_a_worker(pool_of, runs):
    pool = pool_of(2)
    submitted = [runs.create("pid") for _ in range(6)]
    for run_id in submitted:
        pool.submit(run_id)
    wait_until(lambda: pool.idle)
    assert [runs.status(run_id) for run_id in submitted] == [SUCCESS] * 6
    assert len({runs.worker(run_id).pid for run_id in submitted}) <= 2


def test_workers_begin_as_copies_of_a_forkserver_that_has_imported_everything(pool, runs):
    worker = psutil.Process(runs.worker(execute(pool, runs)).pid)
    assert _is_worker(worker)
    # It has loaded the compiled parts of what workers need, and hands them on.
    loaded = {mapped.path for mapped in psutil.Process(worker.ppid()).memory_maps()}
    assert any("psycopg" in path for path in loaded)
    assert any("pydantic_core" in path for path in loaded)


def test_a_killed_worker_fails_its_run_with_the_reason_and_the_next_run_works(pool, runs, sleeping):
    run_id = sleeping(pool)
    psutil.Process(runs.worker(run_id).pid).kill()
    assert runs.await_end(run_id) is FAILURE
    assert any("was killed by SIGKILL" in message for message in runs.messages(run_id))
    assert runs.status(execute(pool, runs)) is SUCCESS


@pytest.mark.parametrize("job", ["raising", "exiting"])
def test_a_run_that_raises_or_exits_fails_and_the_next_run_works_in_the_same_process(pool, runs, job):
    failed, after = execute(pool, runs, job), execute(pool, runs)
    assert (runs.status(failed), runs.status(after)) == (FAILURE, SUCCESS)
    assert runs.worker(failed) == runs.worker(after)


def test_a_run_canceled_by_another_process_is_interrupted(pool, runs, instance, sleeping):
    run_id = sleeping(pool)
    instance.report_run_canceling(runs.get(run_id))
    assert runs.await_end(run_id) is CANCELED
    assert runs.status(execute(pool, runs)) is SUCCESS


def test_a_run_that_does_not_hear_an_interrupt_is_ended_with_its_worker(pool, runs, instance, sleeping):
    run_id = sleeping(pool, job="deaf")
    instance.report_run_canceling(runs.get(run_id))
    pool.cancel(run_id, grace_s=0.5)
    assert runs.await_end(run_id) is CANCELED
    assert runs.status(execute(pool, runs)) is SUCCESS


def test_a_run_canceled_before_it_began_is_not_executed(pool, runs, instance, tmp_path):
    run_id = runs.create("sleeping", {"began": str(tmp_path / "began"), "seconds": 60.0})
    instance.report_run_canceling(runs.get(run_id))
    pool.submit(run_id)
    assert runs.await_end(run_id) is CANCELED
    assert not (tmp_path / "began").exists()


def test_a_run_that_the_queue_started_while_it_was_cancelled_is_not_executed(pool, runs, instance, tmp_path):
    run_id = runs.create("sleeping", {"began": str(tmp_path / "began"), "seconds": 60.0})
    instance.add_run_tags(run_id, {run_tags.CANCEL: run_id})
    pool.submit(run_id)
    assert runs.await_end(run_id) is CANCELED
    assert not (tmp_path / "began").exists()


def test_a_run_that_was_copied_from_a_cancelled_one_is_executed(pool, runs, instance):
    run_id = runs.create("pid")
    instance.add_run_tags(run_id, {run_tags.CANCEL: "the first one's id"})
    pool.submit(run_id)
    assert runs.await_end(run_id) is SUCCESS


def test_a_worker_is_replaced_after_so_many_runs(pool_of, runs):
    pool = pool_of(max_runs=2)
    pids = [runs.worker(execute(pool, runs)).pid for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    wait_until(lambda: not psutil.pid_exists(pids[0]))


def test_a_worker_is_replaced_when_its_memory_has_grown(pool_of, runs):
    pool = pool_of(max_mb=1)
    assert runs.worker(execute(pool, runs)).pid != runs.worker(execute(pool, runs)).pid


def test_a_run_fails_with_the_reason_when_no_worker_can_start(pool_of, runs, instance, monkeypatch):
    monkeypatch.setattr("ocrlty_pipeline.orchestration.warm.pool.work", warm_jobs.dying_at_start)
    pool = pool_of()
    run_id = runs.create("pid")
    pool.submit(run_id)
    assert runs.await_end(run_id) is FAILURE
    assert any("exit code 1 before it was ready" in message for message in runs.messages(run_id))


def test_what_a_run_prints_reaches_its_compute_logs(pool, runs, instance):
    run_id = execute(pool, runs, "printing")
    (captured,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
    log_key = [run_id, "compute_logs", captured.dagster_event.logs_captured_data.file_key]
    assert b"printed by the run" in instance.compute_log_manager.get_log_data(log_key).stdout


def test_closing_interrupts_what_executes_and_leaves_no_process(pool_of, runs, sleeping):
    pool = pool_of(2)
    run_id, waiting = sleeping(pool), runs.create("pid")
    worker = runs.worker(run_id)
    execute(pool, runs)
    pool.close()
    # Nobody asked for its end: a failure, which Dagster's run retries take up.
    assert runs.status(run_id) is FAILURE
    assert not worker.is_alive()
    assert not runs.get(waiting).is_finished
    assert not [child for child in psutil.Process().children(recursive=True) if _is_worker(child)]


def _is_worker(process):
    # The forkserver stays; its copies are its children. A service that other tests started has a forkserver of its own.
    parent = psutil.Process(process.ppid())
    return parent.ppid() == os.getpid() and any("forkserver" in word for word in parent.cmdline())


PARENT = """
import sys, time
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool

if __name__ == "__main__":
    pool = WarmPool(deserialize_value(sys.argv[1], InstanceRef), PoolOptions(1, 100, 4096))
    pool.submit(sys.argv[2])
    time.sleep(600)
"""


def test_when_the_launching_process_is_killed_its_run_is_finished_and_the_worker_ends(runs, instance, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    run_id = runs.create("sleeping", {"began": str(tmp_path / "began"), "seconds": 2.0})
    command = [sys.executable, str(script), serialize_value(instance.get_ref()), run_id]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as parent:
        wait_until((tmp_path / "began").exists)
        parent.kill()
    worker = runs.worker(run_id)
    assert worker.is_alive()
    assert runs.await_end(run_id) is SUCCESS
    wait_until(lambda: not worker.is_alive())


def test_a_restart_of_the_database_costs_at_most_the_run_it_met(stack_environment, monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL")
    cluster = Cluster(tmp_path / "home" / "postgres")
    with running_stack(load_settings()), dagster_instance() as instance:
        runs = Runs(instance)
        options = PoolOptions(1, 100, 4096, log=tmp_path / "workers.log")
        with embedded_postgres(cluster.data_dir), WarmPool(instance.get_ref(), options) as pool:
            assert runs.status(execute(pool, runs)) is SUCCESS
            began = tmp_path / "began"
            met = runs.create("sleeping", {"began": str(began), "seconds": 1.0})
            pool.submit(met)
            wait_until(began.exists)
            cluster.stop()
            cluster.start()
            cluster.await_ready()
            wait_until(lambda: not pool.holds(met))
            assert runs.status(met) in (SUCCESS, FAILURE)
            assert [runs.status(execute(pool, runs)) for _ in range(3)] == [SUCCESS] * 3
            assert not runs.unfinished()
