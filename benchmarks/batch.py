"""A batch run against an OpenAI-shaped server, beside the same requests sent bare by the same client.

    python -m benchmarks.batch [--images 1000] [--large 10000] [--latency-ms 500] [--concurrency 32]

Prints images/s of both and their ratio (goal: at least 0.95), CPU-ms per image (goal: at most 5) and the peak resident
memory of the run's process for both sizes (goal: flat within 20 %). Every batch is a real Dagster run in a process of
its own, on an embedded PostgreSQL and a local store in a temporary folder; its rate is taken from its artifact, that is
from the first image to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring import photograph
from ocrlty_pipeline.backends.base import InferenceRequest
from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.images import check_image
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT
from ocrlty_pipeline.orchestration.launch import RunRequest, register_image_set, single_worker, start_run
from ocrlty_pipeline.orchestration.partitions import batch_partition_key
from ocrlty_pipeline.orchestration.stack import dagster_instance, running_stack
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings
from tests.support.openai_server import openai_server

TASK = "receipt_fields_v1"
WARM_UP = 64


@dataclass(frozen=True)
class Measured:
    """One batch run: rate over the time it was extracting, CPU and peak memory of its whole process."""

    images: int
    images_per_s: float
    cpu_s: float
    peak_rss_mb: float


def make_images(folder: Path, count: int) -> None:
    """Distinct files: one photograph, told apart by what follows its last marker."""
    data = photograph()
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05d}.jpg").write_bytes(data + number.to_bytes(4))


def bare_requests(folder: Path, count: int) -> list[InferenceRequest]:
    """The requests of a batch, made beforehand."""
    services = Services(load_settings())
    task, budget = services.tasks[TASK], services.settings.vllm_max_tokens
    files = sorted(folder.iterdir())[:count]
    images = [check_image(path.read_bytes(), services.image_limits) for path in files]
    return [InferenceRequest(task, image, 1.0, budget, 0.0) for image in images]


async def send_bare(requests: list[InferenceRequest], concurrency: int) -> float:
    """Images per second of the bare client: no store, no records, no database."""
    backend = VllmBackend(load_settings())

    async def send(todo: list[InferenceRequest]) -> float:
        queue = iter(todo)

        async def worker() -> None:
            for request in queue:
                await backend.complete(request)

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return time.perf_counter() - started

    await send(requests[:WARM_UP])
    seconds = await send(requests)
    await backend.aclose()
    return len(requests) / seconds


def run_batch(folder: Path, count: int, concurrency: int) -> Measured:
    """One Dagster run over the first `count` images, in a worker process of its own."""
    with (
        running_stack(load_settings()) as settings,
        open_services(settings) as services,
        dagster_instance() as instance,
    ):
        source = FolderSource(folder, settings.data_root_path, services.folder_limits)
        asyncio.run(services.image_sets.import_folder("bench", source))
        register_image_set(instance, "bench")
        config = {"backend": "vllm", "concurrency": concurrency, "limit": count, "resume": False}
        request = RunRequest(BATCH_EXTRACT, batch_partition_key("bench", TASK), {"extractions": config})
        with single_worker(instance, settings) as pool:
            run = start_run(instance, request, pool).wait()
            cpu_s, peak_rss_mb = usage_of(run.tags[run_tags.WORKER])
        batch = asyncio.run(services.runs.load(services.runs.find(run.tags[run_tags.RUN_ID])))
    if (batch.ok_count, batch.schema_valid_count) != (count, count):
        raise SystemExit(f"{batch.ok_count} of {count} images gave a result: nothing is measured by that.")
    return Measured(count, count / batch.timings_ms["total"] * 1000, cpu_s, peak_rss_mb)


def usage_of(worker_tag: str) -> tuple[float, float]:
    """CPU seconds and peak resident MiB of a run's process, from its start."""
    worker = ProcessIdentity.from_tag(worker_tag)
    assert worker is not None
    cpu = psutil.Process(worker.pid).cpu_times()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    return cpu.user + cpu.system, int(peak) / 1024


def in_own_process(mode: str, folder: Path, count: int, concurrency: int) -> Any:
    """Measure in a fresh process, so that neither client nor memory of an earlier measurement plays a part."""
    command = [sys.executable, "-m", "benchmarks.batch", "--mode", mode, "--folder", str(folder)]
    command += ["--images", str(count), "--concurrency", str(concurrency)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def report(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch, openai_server(latency_ms=options.latency_ms) as server:
        data = Path(scratch) / "data"
        os.environ |= {
            "OCRLTY_HOME": f"{scratch}/home",
            "DATA_ROOT": str(data),
            "VLLM_BASE_URL": server.base_url,
            "VLLM_MODEL": "test-model",
            "VLLM_HTTP_MAX_CONNECTIONS": str(options.concurrency),
        }
        make_images(data / "images", max(options.images, options.large))
        print(
            f"Server: {options.latency_ms} ms an answer. {options.concurrency} calls in flight, {os.cpu_count()} cores."
        )
        images = data / "images"
        bare = in_own_process("bare", images, options.images, options.concurrency)["images_per_s"]
        small, usual, large = (
            Measured(**in_own_process("batch", images, count, options.concurrency))
            for count in (options.images // 10, options.images, options.large)
        )
    print(f"Bare client       {bare:7.1f} images/s")
    print(f"Batch run         {usual.images_per_s:7.1f} images/s: {usual.images_per_s / bare:.3f} of the bare client")
    per_image = (usual.cpu_s - small.cpu_s) / (usual.images - small.images) * 1000
    print(f"CPU per image     {per_image:7.2f} ms once running ({usual.cpu_s:.1f} s for the whole run's process)")
    growth = large.peak_rss_mb / usual.peak_rss_mb
    print(f"Peak memory       {usual.peak_rss_mb:7.0f} MB for {usual.images} images")
    print(f"                  {large.peak_rss_mb:7.0f} MB for {large.images} images: {growth:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--large", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--mode", choices=["report", "bare", "batch"], default="report", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode == "report":
        report(options)
    elif options.mode == "bare":
        rate = asyncio.run(send_bare(bare_requests(options.folder, options.images), options.concurrency))
        print(json.dumps({"images_per_s": rate}))
    else:
        print(json.dumps(asdict(run_batch(options.folder, options.images, options.concurrency))))


if __name__ == "__main__":
    main()
