"""The same backend against a real vLLM, when TEST_VLLM_URL names one (with /v1).

TEST_VLLM_MODEL is the model to ask, by default the first that is served; TEST_VLLM_KEY the key, if one is needed.
"""

import asyncio
import json
import os
import random

import httpx2
import pytest
from PIL import Image, ImageDraw

from ocrlty_pipeline.backends.base import Completion
from ocrlty_pipeline.backends.vllm.backend import VllmBackend
from ocrlty_pipeline.errors import BackendMisconfiguredError, ContextTooLongError, OutputTruncatedError
from ocrlty_pipeline.images import ImageLimits, check_image
from ocrlty_pipeline.settings import Settings

URL = os.environ.get("TEST_VLLM_URL")

pytestmark = pytest.mark.skipif(not URL, reason="no real vLLM: set TEST_VLLM_URL to the base URL of one (with /v1)")


@pytest.fixture(scope="module")
def real_settings():
    key = os.environ.get("TEST_VLLM_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    served = httpx2.get(f"{URL}/models", headers=headers).raise_for_status().json()["data"]
    model = os.environ.get("TEST_VLLM_MODEL") or served[0]["id"]
    return Settings(_env_file=None, vllm_base_url=URL, vllm_model=model, vllm_api_key=key)


def attempt(settings, request):
    """The completion of one call, or its error."""

    async def go():
        backend = VllmBackend(settings)
        outcomes = await asyncio.gather(backend.complete(request), return_exceptions=True)
        await backend.aclose()
        return outcomes[0]

    return asyncio.run(go())


@pytest.fixture(scope="module")
def receipt(tmp_path_factory):
    """A drawn receipt of a given size."""

    def draw(width, height):
        image = Image.new("RGB", (width, height), "white")
        pen, rng = ImageDraw.Draw(image), random.Random(width)  # noqa: S311 -- a drawing, not a secret
        for y in range(10, height - 20, 20):
            pen.text((10, y), f"ITEM {y}   {rng.randrange(9999) / 100:.2f}", fill="black")
        path = tmp_path_factory.mktemp("receipts") / "receipt.png"
        image.save(path)
        return check_image(path.read_bytes(), ImageLimits(10**8, 10**8))

    return draw


@pytest.fixture(params=["receipt_fields_v1", "receipt_header_v1", "items_light_v1"])
def task(request, tasks):
    return tasks[request.param]


@pytest.mark.parametrize("max_tokens", [20, 400])
def test_no_built_in_task_is_refused_for_its_schema(real_settings, request_for, receipt, task, max_tokens):
    outcome = attempt(real_settings, request_for(task=task, image=receipt(240, 320), max_tokens=max_tokens))
    assert isinstance(outcome, (Completion, OutputTruncatedError)), outcome
    if isinstance(outcome, Completion):
        assert isinstance(json.loads(outcome.text), dict)
        assert outcome.usage["completion_tokens"] <= max_tokens
    else:
        assert outcome.text.lstrip().startswith("{")
        assert outcome.detail["usage"]["completion_tokens"] <= max_tokens


def test_an_image_too_large_for_the_context_is_context_too_long(real_settings, request_for, receipt):
    outcome = attempt(real_settings, request_for(image=receipt(9000, 9000), max_tokens=64))
    assert isinstance(outcome, ContextTooLongError), outcome


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vllm_model": "no-such-model"}, "VLLM_MODEL"),
        ({"vllm_base_url": (URL or "").removesuffix("/v1")}, "probably lacks /v1"),
    ],
)
def test_a_wrong_setting_is_misconfigured(real_settings, request_for, change, words):
    outcome = attempt(real_settings.model_copy(update=change), request_for())
    assert isinstance(outcome, BackendMisconfiguredError), outcome
    assert words in outcome.message


def test_a_budget_over_the_context_is_misconfigured(real_settings, request_for):
    outcome = attempt(real_settings, request_for(max_tokens=10**7))
    assert isinstance(outcome, BackendMisconfiguredError), outcome
    assert "VLLM_MAX_TOKENS" in outcome.message
