"""A very large image set through the job in shards: what an image costs, and what it leaves behind.

    python -m benchmarks.large_set [--images 100000] [--size 1000] [--processes 2]

With the mock backend, so that everything but the model is measured: a tenth of the images in one process, the same
tenth in shards, all of them in shards. Prints images a second; the largest process, all to a tenth (goal: below 1.3,
memory does not grow with the set, but for its manifest); bytes an image in the database and in the store; and the
latency of Dagster's UI and of the API after all of it to that before (goal: below 1.5).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from benchmarks.api.service import bench_service
from benchmarks.measuring import family, median_ms
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.image_sets import ImageSet, ImageSetItem
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.support.dagster_ui import MATERIALIZATION, RUNS, DagsterUi, partition_tags
from tests.support.receipts import tiny_image

TASK = "receipt_fields_v1"
STORED_AT_ONCE = 32
SAMPLES = 20
POLL_S = 0.5
REGISTER = """
import sys
from ocrlty_pipeline.orchestration.launch import register_image_set
from ocrlty_pipeline.orchestration.stack import dagster_instance
with dagster_instance() as instance:
    for name in sys.argv[1:]:
        register_image_set(instance, name)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    variables = {"JOBS_SHARD_SIZE": str(options.size), "JOBS_SHARD_PROCESSES": str(options.processes)}
    with bench_service(**variables, INFERENCE_BACKEND="mock") as service:
        ui = DagsterUi(service.webserver_url)
        try:
            measure(service, ui, options.images)
        finally:
            ui.close()


def measure(service: Any, ui: DagsterUi, images: int) -> None:
    tenth = max(1, images // 10)
    settings = Settings(_env_file=None, **{name.lower(): service.environment[name] for name in _PLACES})
    asyncio.run(store_set(settings, {"tenth": tenth, "whole": images}))
    subprocess.run([sys.executable, "-c", REGISTER, "tenth", "whole"], env=service.environment, check=True)
    one = execute(service, ui, "batch_extract", "tenth", tenth)
    cut = execute(service, ui, "batch_extract_sharded", "tenth", tenth)
    print(f"in shards to one process: {one.seconds / cut.seconds:.2f} times as fast")
    probes = Probes(service, ui)
    before, database = probes.median_ms(), database_bytes(service)
    whole = execute(service, ui, "batch_extract_sharded", "whole", images)
    print(f"the largest process: {whole.peak_mb / cut.peak_mb:.2f} times that of a tenth")
    grown = (database_bytes(service) - database) / images
    store = sum(entry.stat().st_size for entry in (service.home / "artifacts").rglob("*.json*")) / (images + 2 * tenth)
    print(f"an image: {grown:.0f} bytes in the database, {store:.0f} in the store beside itself")
    after = probes.median_ms()
    for name, ms in before.items():
        print(f"  {name}: median {ms:.1f} ms before, {after[name]:.1f} after: {after[name] / ms:.2f}")


_PLACES = ("OCRLTY_HOME", "DATA_ROOT", "DATABASE_URL")


async def store_set(settings: Settings, counts: dict[str, int]) -> None:
    """Store the images once, and sets of the first so many of them."""
    with open_services(settings) as services:
        sets, items = services.image_sets, {}
        todo = iter(range(max(counts.values())))
        started = time.perf_counter()

        async def work() -> None:
            for number in todo:
                items[number] = await sets.store_input(f"{number:06}.png", tiny_image(number))

        await asyncio.gather(*(work() for _ in range(STORED_AT_ONCE)))
        print(f"{len(items)} images stored, {len(items) / (time.perf_counter() - started):.0f} a second", flush=True)
        for name, count in counts.items():
            await sets.save(_manifest(name, [items[number] for number in range(count)]))


def _manifest(name: str, items: list[ImageSetItem]) -> ImageSet:
    return ImageSet(name=name, created_at="2026-01-01T00:00:00Z", images_dir="none", glob="*", skipped=0, items=items)


class Executed:
    """How long a run took, in seconds, and its largest process, in MB."""

    def __init__(self, seconds: float, peak_mb: float) -> None:
        self.seconds = seconds
        self.peak_mb = peak_mb


def execute(service: Any, ui: DagsterUi, job: str, name: str, count: int) -> Executed:
    """Run a job over an image set, as the UI does."""
    began, peak = time.perf_counter(), 0.0
    run_id = ui.launch(job, partition_tags(name, TASK))
    while (status := ui.run(run_id)[0]) not in {"SUCCESS", "FAILURE", "CANCELED"}:
        peak = max(peak, largest_mb(service.daemon.pid))
        time.sleep(POLL_S)
    seconds = time.perf_counter() - began
    assert status == "SUCCESS", service.daemon.log.read_text()[-4000:]
    print(f"{job}, {count} images: {count / seconds:.0f} a second, largest process {peak:.0f} MB", flush=True)
    return Executed(seconds, peak)


def largest_mb(pid: int) -> float:
    """Resident memory of the largest of a process and its descendants."""
    sizes = [0.0]
    for process in family(pid):
        try:
            sizes.append(process.memory_info().rss / 1e6)
        except psutil.NoSuchProcess:
            continue
    return max(sizes)


def database_bytes(service: Any) -> int:
    engine = create_engine(service.database_url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    finally:
        engine.dispose()


class Probes:
    """What a person opens after a run: pages of the UI, by their main queries, and of the API."""

    def __init__(self, service: Any, ui: DagsterUi) -> None:
        self._client = service.client("root")
        key = {"path": ["extractions"]}
        self._calls: dict[str, Callable[[], Any]] = {
            "UI, runs": lambda: ui.query(RUNS, filter={}, limit=30),
            "UI, extractions": lambda: ui.query(MATERIALIZATION, key=key, partitions=[f"tenth|{TASK}"]),
            "API, /v1/runs": lambda: self._get("/v1/runs"),
            "API, items of the latest run": lambda: self._get(f"/v1/runs/{self._latest()}/items?limit=200"),
        }

    def median_ms(self) -> dict[str, float]:
        return {name: median_ms([_timed(call) for _ in range(SAMPLES)]) for name, call in self._calls.items()}

    def _latest(self) -> str:
        run_id: str = self._get("/v1/runs?limit=1")["items"][0]["run_id"]
        return run_id

    def _get(self, path: str) -> Any:
        answer = self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    main()
