"""Runs that go through Dagster's queue, with the warm launcher beside Dagster's own.

    python -m benchmarks.queued_runs [--runs 20] [--stock-runs 3] [--at-once 50]

Prints for both, in real daemons on an embedded PostgreSQL: seconds from submit to finished of a mock `extract`, CPU
seconds a run of the daemon's whole process tree (what an idle daemon uses in the same time taken off), and seconds from
submit to the first request at the backend of a batch; goals: 10 times faster, 20 times less CPU. For the warm launcher
also the rate of many runs submitted at once; goal: 5 a second on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import yaml

from benchmarks.measuring import own_stack, stored_image, tree_cpu_s
from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, EXTRACT
from ocrlty_pipeline.orchestration.stack import dagster_instance
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.settings import Settings
from tests.support.daemon import Queue, import_images, open_queue, running_daemon
from tests.support.openai_server import openai_server

TASK = "receipt_fields_v1"
TIMEOUT_S = 300.0
IDLE_S = 8.0


@dataclass(frozen=True)
class Measured:
    """One launcher; seconds."""

    submit_to_finished_s: float
    cpu_s: float
    submit_to_first_request_s: float
    at_once_per_s: float | None


class Bench:
    """A daemon under measurement and the queue before it."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, queue: Queue, daemon_pid: int) -> None:
        self._settings = settings
        self._instance = instance
        self._queue = queue
        self._daemon_pid = daemon_pid
        self._image_ref = stored_image(settings)

    def one_run(self) -> float:
        """Seconds from submit to finished."""
        started = time.perf_counter()
        self._await_success([self._submit_extract()])
        return time.perf_counter() - started

    def cpu_s(self, runs: int) -> tuple[float, float]:
        """Median seconds and mean CPU seconds of a run."""
        idle_before = self._cpu()
        time.sleep(IDLE_S)
        idle_rate = (self._cpu() - idle_before) / IDLE_S
        before, started = self._cpu(), time.perf_counter()
        taken = [self.one_run() for _ in range(runs)]
        spent = self._cpu() - before - idle_rate * (time.perf_counter() - started)
        return statistics.median(taken), spent / runs

    def at_once(self, count: int) -> float:
        """Runs a second, from the first submit to the last end."""
        started = time.perf_counter()
        submitted = [self._submit_extract() for _ in range(count)]
        self._await_success(submitted)
        return count / (time.perf_counter() - started)

    def first_request(self, calls: Callable[[], int]) -> float:
        """Seconds from the submit of a batch to its first request at the backend."""
        tags = import_images(self._settings, self._instance, 8, TASK)
        before, started = calls(), time.perf_counter()
        run_id = self._queue.submit(BATCH_EXTRACT, {"extractions": {"backend": "vllm", "resume": False}}, tags)
        _await(lambda: calls() > before)
        taken = time.perf_counter() - started
        self._await_success([run_id])
        return taken

    def _submit_extract(self) -> str:
        request = {"task_id": TASK, "image_ref": self._image_ref, "backend": "mock"}
        return str(self._queue.submit(EXTRACT, {"extract_images": {"requests": [request]}}))

    def _await_success(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            while not self._record(run_id).is_finished:
                time.sleep(0.01)
            if self._record(run_id).status is not dg.DagsterRunStatus.SUCCESS:
                raise SystemExit(f"Run {run_id} did not succeed: nothing is measured by that.")

    def _record(self, run_id: str) -> dg.DagsterRun:
        run = self._instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def _cpu(self) -> float:
        return tree_cpu_s(self._daemon_pid)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing came of it within {TIMEOUT_S:.0f} s.")
        time.sleep(0.01)


def stock_home(folder: Path) -> Path:
    """A Dagster home that differs from ours in its launcher alone."""
    configuration = yaml.safe_load(deployment_file("dagster.yaml").read_text())
    del configuration["run_launcher"]
    folder.mkdir()
    (folder / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    return folder


@contextmanager
def bench(settings: Settings) -> Iterator[Bench]:
    log = settings.data_root_path / "daemon.log"
    with (
        dagster_instance() as instance,
        running_daemon(instance, log) as daemon,
        open_queue(instance) as queue,
    ):
        # As the webserver, which submits in earnest, does.
        pool_connections(instance)
        yield Bench(settings, instance, queue, daemon.pid)


def measure(settings: Settings, calls: Callable[[], int], runs: int, at_once: int | None) -> Measured:
    with bench(settings) as under:
        # The first run loads what is loaded once.
        under.one_run()
        first = statistics.median(under.first_request(calls) for _ in range(3))
        taken, cpu = under.cpu_s(runs)
        return Measured(taken, cpu, first, under.at_once(at_once) if at_once else None)


def report(options: argparse.Namespace) -> None:
    with openai_server() as server:
        variables = {"VLLM_BASE_URL": server.base_url, "VLLM_MODEL": "test-model", "INFERENCE_BACKEND": "mock"}
        with own_stack(**variables) as settings:
            warm = measure(settings, lambda: server.calls().calls, options.runs, options.at_once)
            os.environ["DAGSTER_HOME"] = str(stock_home(settings.data_root_path / "stock"))
            stock = measure(settings, lambda: server.calls().calls, options.stock_runs, None)
    print(f"Through the queue, {os.cpu_count()} cores        stock      warm     ratio")
    for label, ours, theirs in (
        ("submit to finished, s", warm.submit_to_finished_s, stock.submit_to_finished_s),
        ("CPU a run, s", warm.cpu_s, stock.cpu_s),
        ("batch: to first request, s", warm.submit_to_first_request_s, stock.submit_to_first_request_s),
    ):
        print(f"  {label:28}{theirs:9.2f} {ours:9.3f} {theirs / ours:9.1f}")
    print(f"  {options.at_once} runs at once: {warm.at_once_per_s:.1f} a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--stock-runs", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=50)
    report(parser.parse_args())


if __name__ == "__main__":
    main()
