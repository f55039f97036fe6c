"""A server shaped like vLLM for the whole module, and one call of the backend to it."""

import asyncio
import io

import pytest
from PIL import Image

from ocrlty_pipeline.backends.base import InferenceRequest
from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.images import ImageLimits, check_image
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.tasks.registry import load_tasks
from tests.support.openai_server import openai_server

LIMITS = ImageLimits(max_bytes=10_000_000, max_pixels=10_000_000)


@pytest.fixture(scope="module")
def module_server():
    with openai_server() as server:
        yield server


@pytest.fixture
def server(module_server):
    module_server.reset()
    return module_server


@pytest.fixture(scope="session")
def tasks():
    return load_tasks()


@pytest.fixture(scope="session")
def picture():
    """Make a checked image: `picture(format="PNG", size=(60, 40))`."""

    def make(*, fmt="JPEG", size=(60, 40), color="white", **options):
        buffer = io.BytesIO()
        Image.new("RGB", size, color).save(buffer, fmt, **options)
        return check_image(buffer.getvalue(), LIMITS)

    return make


@pytest.fixture
def settings(server):
    """Settings for the server; keyword arguments change them."""

    def make(**changes):
        return Settings(_env_file=None, **{"vllm_base_url": server.base_url, "vllm_model": "test-model", **changes})

    return make


@pytest.fixture
def request_for(tasks, picture):
    """An inference request; keyword arguments change it."""

    def make(**changes):
        plain = {"task": tasks["receipt_fields_v1"], "image": picture(), "scale": 1.0}
        return InferenceRequest(**{**plain, "max_tokens": 512, "temperature": 0.0, **changes})

    return make


@pytest.fixture
def complete(settings, request_for):
    """Make one call: `complete(scale=0.5, with_settings={"vllm_api_key": ...})`."""

    def call(*, with_settings=None, **changes):
        async def go():
            backend = VllmBackend(settings(**(with_settings or {})))
            try:
                return await backend.complete(request_for(**changes))
            finally:
                await backend.aclose()

        return asyncio.run(go())

    return call
