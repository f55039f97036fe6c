"""A store on disk, a real database, and a backend that can be told to misbehave."""

from __future__ import annotations

import asyncio
import hashlib

import orjson
import pytest

from ocrlty_pipeline.attempts import AttemptPolicy
from ocrlty_pipeline.backends.base import Completion
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.images import ImageLimits
from ocrlty_pipeline.records import Auth
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import Settings
from tests.support.receipts import tiny_images

TASK = "receipt_header_v1"


class CountingBackend:
    """Answers every image, and counts how often it was asked for which.

    `answer` is called with the number of the call; it gives fields of the answer, or an exception to raise.
    """

    name = "counting"
    model_id = "counting-1"
    max_concurrency = 100

    def __init__(self, answer=None):
        self.calls = {}
        self.in_flight = self.most_in_flight = 0
        self.answer = answer or (lambda _number: None)

    async def complete(self, request):
        key = hashlib.sha256(request.image.data).hexdigest()
        self.calls[key] = self.calls.get(key, 0) + 1
        number = sum(self.calls.values())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0.002)
        self.in_flight -= 1
        outcome = self.answer(number)
        if isinstance(outcome, Exception):
            raise outcome
        fields = dict.fromkeys(("company", "date", "address", "total")) | (outcome or {})
        return Completion(orjson.dumps(fields).decode(), "stop")

    async def aclose(self):
        pass


@pytest.fixture
def services(tmp_path, database_url):
    settings = Settings(
        _env_file=None,
        ocrlty_home=tmp_path / "home",
        data_root=tmp_path,
        database_url=database_url,
        jobs_progress_min_seconds=0.01,
    )
    with open_services(settings) as opened:
        yield opened


@pytest.fixture
def import_images(services, tmp_path):
    def import_images(count):
        folder = tiny_images(tmp_path / "images", count)
        source = FolderSource(folder, tmp_path, services.folder_limits)
        return asyncio.run(services.image_sets.import_folder("set", source))

    return import_images


@pytest.fixture
def context(services):
    def context(backend, *, attempts=1):
        policy = AttemptPolicy.from_settings(
            services.settings.model_copy(update={"vllm_retry_max_attempts": attempts, "vllm_retry_base_s": 0.0})
        )
        return ExtractionContext(
            services.tasks[TASK], backend, policy, ImageLimits(10**6, 10**6), "test", Auth(), dagster_run_id="d1"
        )

    return context
