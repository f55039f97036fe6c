"""`POST /v1/extract` beside the same calls of the model sent bare."""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

import httpx2

from benchmarks.api.service import Call, async_client
from benchmarks.measuring import median_ms, percentile_ms, photograph, tree_cpu_s
from benchmarks.online import TASK, load
from ocrlty_pipeline.backends.base import InferenceRequest
from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.images import check_image
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings

CLIENTS = (1, 16, 64)


def extracts(http: httpx2.AsyncClient) -> Call:
    """A call that sends a photograph under a new id."""
    encoded = base64.b64encode(photograph())
    head = b'{"task_id": "' + TASK.encode() + b'", "image_base64": "' + encoded + b'", "request_id": "'
    headers = {"Content-Type": "application/json"}

    async def call() -> None:
        body = head + uuid.uuid4().hex.encode() + b'"}'
        answer = await http.post("/v1/extract", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["error"] is None, answer.text

    return call


def bare(model_url: str) -> Call:
    """The model's call alone, by the client that the service has."""
    settings = Settings(_env_file=None, vllm_base_url=model_url, vllm_model="test-model")
    backend = VllmBackend(settings)
    image = check_image(photograph(), Services(settings).image_limits)
    request = InferenceRequest(Services(settings).tasks[TASK], image, 1.0, settings.vllm_max_tokens, 0.0)
    return lambda: backend.complete(request)


def measure(service: Any, model_url: str, seconds: float) -> None:
    asyncio.run(_measure(service, model_url, seconds))


async def _measure(service: Any, model_url: str, seconds: float) -> None:
    async with async_client(service) as http:
        through, alone = extracts(http), bare(model_url)
        await load(through, 16, min(seconds, 3))
        await load(alone, 16, min(seconds, 1))
        for clients in CLIENTS:
            await _compare(service, through, alone, clients, seconds)


async def _compare(service: Any, through: Call, alone: Call, clients: int, seconds: float) -> None:
    bare_latencies, ceiling = await load(alone, clients, seconds)
    before = tree_cpu_s(service.api.pid)
    latencies, rate = await load(through, clients, seconds)
    spent_ms = (tree_cpu_s(service.api.pid) - before) / len(latencies) * 1000
    print(
        f"  {clients:2} clients: bare {ceiling:.1f}/s, API {rate:.1f}/s: {rate / ceiling:.3f} of it; median "
        f"{median_ms(bare_latencies):.1f} and {median_ms(latencies):.1f} ms, 95th percentile "
        f"{percentile_ms(latencies, 95):.1f} ms; CPU of the API and its workers {spent_ms:.1f} ms a request"
    )
