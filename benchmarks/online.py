"""The online lane beside the bare backend client, and with an instant backend.

    python -m benchmarks.online [--latency-ms 500] [--seconds 15]

Prints the lane's overhead over the same calls sent bare at 1 client (goal: at most 10 ms); its rate as a ratio of the
bare client's at 32 clients (goal: at least 0.95), with the time until Dagster's record of all is complete (goal: 2 s);
and with the mock backend at 16 clients requests a second (goal: 60 on 2 cores), CPU-ms a request, and where they go.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import dagster as dg
import psutil

from benchmarks.measuring import median_ms, own_stack, percentile_ms, photograph, postgres_cpu_s
from ocrlty_pipeline.backends.base import InferenceRequest
from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.extracts import ExtractRequest
from ocrlty_pipeline.images import check_image
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.stack import dagster_instance
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.orchestration.warm.lane import LaneOptions, OnlineLane
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from tests.support.openai_server import openai_server

TASK = "receipt_fields_v1"


async def load(call: Callable[[], Awaitable[object]], clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds, and calls a second, of `clients` that each call as soon as they are answered."""
    latencies: list[float] = []
    started = time.perf_counter()

    async def client() -> None:
        while time.perf_counter() < started + seconds:
            began = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies, len(latencies) / (time.perf_counter() - started)


def through(lane: OnlineLane, backend: str) -> Callable[[], Awaitable[object]]:
    image = photograph()

    async def call() -> None:
        request = ExtractRequest(uuid.uuid4().hex, TASK, image, backend=backend, fresh=True)
        stored = await lane.extract(request)
        assert stored.record.ok

    return call


def bare(settings: Settings) -> Callable[[], Awaitable[object]]:
    services, backend = Services(settings), VllmBackend(settings)
    image = check_image(photograph(), services.image_limits)
    request = InferenceRequest(services.tasks[TASK], image, 1.0, settings.vllm_max_tokens, 0.0)
    return lambda: backend.complete(request)


async def settled_after(lane: OnlineLane) -> float:
    """Seconds until Dagster's record of every answered request is complete."""
    started = time.perf_counter()
    while not lane.settled:  # noqa: ASYNC110 -- measured from outside
        await asyncio.sleep(0.005)
    return time.perf_counter() - started


class Cpu:
    """CPU seconds by what they are spent on: this process, the workers' threads, PostgreSQL."""

    def __init__(self, settings: Settings, workers: set[int]) -> None:
        self._settings = settings
        self._workers = workers
        self._before = self._read()

    def spent(self) -> dict[str, float]:
        return {name: value - self._before[name] for name, value in self._read().items()}

    def _read(self) -> dict[str, float]:
        threads = [(pid, thread) for pid in self._workers for thread in psutil.Process(pid).threads()]
        of_main = sum(t.user_time + t.system_time for pid, t in threads if t.id == pid)
        of_all = sum(t.user_time + t.system_time for _, t in threads)
        return {
            "application": sum(psutil.Process().cpu_times()[:2]),
            "workers: extraction": of_all - of_main,
            "workers: Dagster's record": of_main,
            "PostgreSQL": postgres_cpu_s(self._settings),
        }


def workers_of(instance: dg.DagsterInstance) -> set[int]:
    tags = (run.tags[run_tags.WORKER] for run in instance.get_runs(limit=20))
    return {worker.pid for tag in tags if (worker := ProcessIdentity.from_tag(tag)) is not None and worker.is_alive()}


async def measure(settings: Settings, instance: dg.DagsterInstance, seconds: float) -> None:
    options = LaneOptions.from_settings(settings, log=Path(os.devnull))
    async with OnlineLane(instance.get_ref(), options) as lane:
        for backend in ("vllm", "mock"):
            await load(through(lane, backend), 8, 2)
        await behind_a_model(settings, lane, seconds)
        await settled_after(lane)
        cpu = Cpu(settings, workers_of(instance))
        latencies, rate = await load(through(lane, "mock"), 16, seconds)
        print(
            f"Instant backend, 16 clients: {rate:.0f} requests/s, median {median_ms(latencies):.1f} ms, "
            f"95th percentile {percentile_ms(latencies, 95):.1f} ms; recorded {await settled_after(lane):.2f} s after"
        )
        spent = {name: value / len(latencies) * 1000 for name, value in cpu.spent().items()}
        print(f"  CPU a request {sum(spent.values()):.1f} ms: " + ", ".join(f"{k} {v:.1f}" for k, v in spent.items()))
        runs = instance.get_runs_count()
        print(f"  {runs} runs in Dagster for all requests of this benchmark")


async def behind_a_model(settings: Settings, lane: OnlineLane, seconds: float) -> None:
    call = bare(settings)
    await load(call, 32, 2)
    alone, _ = await load(call, 1, seconds)
    lane_alone, _ = await load(through(lane, "vllm"), 1, seconds)
    print(
        f"1 client: bare {median_ms(alone):.1f} ms, lane {median_ms(lane_alone):.1f} ms: "
        f"{median_ms(lane_alone) - median_ms(alone):.1f} ms more"
    )
    _, ceiling = await load(call, 32, seconds)
    many, rate = await load(through(lane, "vllm"), 32, seconds)
    print(
        f"32 clients: bare {ceiling:.1f}/s, lane {rate:.1f}/s: {rate / ceiling:.3f} of it "
        f"(median {median_ms(many):.1f} ms); recorded {await settled_after(lane):.2f} s after the last answer"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    with openai_server(latency_ms=options.latency_ms) as server:
        print(f"Server: {options.latency_ms} ms an answer. {os.cpu_count()} cores.")
        with (
            own_stack(VLLM_BASE_URL=server.base_url, VLLM_MODEL="test-model") as settings,
            dagster_instance() as instance,
        ):
            asyncio.run(measure(settings, instance, options.seconds))


if __name__ == "__main__":
    main()
