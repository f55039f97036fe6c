"""Many runs in a row through the warm pool: what grows, and what is left behind.

    python -m benchmarks.soak [--runs 2000] [--workers 2]

Prints the workers' resident memory and open files, the database's connections and the processes after a tenth of the
runs and after all of them, and how many runs have no final status (goal: nothing grows, none).
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
from sqlalchemy import create_engine, text

from benchmarks.measuring import family, own_stack, stored_image
from ocrlty_pipeline.orchestration.code_location import job_code_origin, resolved_job
from ocrlty_pipeline.orchestration.jobs import EXTRACT
from ocrlty_pipeline.orchestration.stack import dagster_instance
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool
from ocrlty_pipeline.settings import Settings

TASK = "receipt_fields_v1"


@dataclass(frozen=True)
class Footprint:
    """Of the workers together, of the database, and of all processes below this one."""

    worker_mb: float
    worker_files: int
    connections: int
    processes: int

    def __str__(self) -> str:
        return (
            f"{self.worker_mb:7.0f} MB {self.worker_files:5} open files "
            f"{self.connections:5} connections {self.processes:5} processes"
        )


def footprint(settings: Settings) -> Footprint:
    processes = family(os.getpid())
    workers = [process for process in processes if process.ppid() != os.getpid() and _is_worker(process)]
    assert settings.database_url is not None
    engine = create_engine(settings.database_url.get_secret_value())
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        connections = connection.execute(text(query)).scalar_one()
    engine.dispose()
    resident = sum(process.memory_info().rss for process in workers)
    return Footprint(resident / 2**20, sum(p.num_fds() for p in workers), connections, len(processes))


def _is_worker(process: psutil.Process) -> bool:
    return any("forkserver" in word for word in process.cmdline())


def soak(settings: Settings, instance: dg.DagsterInstance, runs: int, workers: int) -> None:
    request = {"task_id": TASK, "image_ref": stored_image(settings), "backend": "mock"}
    job, origin = resolved_job(EXTRACT), job_code_origin(EXTRACT)
    # No worker may be replaced, or a leak would be hidden by that.
    options = PoolOptions(workers, runs + 1, 10**6, log=Path(os.devnull))
    started = time.perf_counter()
    with WarmPool(instance.get_ref(), options) as pool:
        for number in range(1, runs + 1):
            run = instance.create_run_for_job(
                job,
                run_config={"ops": {"extract_images": {"config": {"requests": [request]}}}},
                job_code_origin=origin,
            )
            pool.submit(run.run_id)
            if number % (2 * workers) == 0:
                _await_idle(pool)
            if number in (max(1, runs // 10), runs):
                _await_idle(pool)
                print(f"  after {number:5} runs {footprint(settings)}")
    print(f"  {runs / (time.perf_counter() - started):.1f} runs/s, each created and executed")
    left = instance.get_runs(dg.RunsFilter(statuses=[s for s in dg.DagsterRunStatus if s.value not in FINAL]))
    failed = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    print(f"  runs without a final status: {len(left)}; failed: {failed}")


FINAL = ("SUCCESS", "FAILURE", "CANCELED")


def _await_idle(pool: WarmPool) -> None:
    while not pool.idle:
        time.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"{options.runs} runs of a mock `extract` in {options.workers} warm workers")
    with own_stack() as settings, dagster_instance() as instance:
        soak(settings, instance, options.runs, options.workers)


if __name__ == "__main__":
    main()
