"""What may take long of one request is done in a thread, so that the event loop answers the others meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from types import SimpleNamespace

import pytest

from ocrlty_api import batching, job_submissions, uploading
from ocrlty_api.auth.roles import Principal
from ocrlty_api.schemas.batches import FolderBatchBody, UploadFields
from ocrlty_api.uploading import Received, plan_upload
from ocrlty_pipeline import image_sets
from ocrlty_pipeline.uploads import Upload
from tests.support.requests import TASK, new_id, new_image

DORA = Principal("dora", "debugger", frozenset({"extract:run", "debug:run"}))
TRUTH = b'{"a.png": {"total": "1.00"}}'


@pytest.fixture
def state(stored):
    settings = stored.settings.model_copy(update={"debug_mode": True})
    return SimpleNamespace(services=stored, settings=settings)


@pytest.fixture
def in_threads(monkeypatch):
    """Have a function tell where it is called; answers the threads that called any."""
    threads = []

    def watch(module, name):
        original = getattr(module, name)

        def watched(*args, **kwargs):
            threads.append(threading.current_thread())
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, watched)

    watch.threads = threads
    return watch


def test_an_upload_s_ground_truth_and_names_are_read_in_threads(state, in_threads):
    in_threads(uploading, "check_ground_truth")
    in_threads(image_sets, "load_ground_truth")
    in_threads(Upload, "content_sha256")

    async def go():
        files = Upload(state.services.store, DORA.key_id)
        await files.add("a.png", new_image())
        received = Received(files, UploadFields(task_id=TASK, run_id=new_id()), TRUTH)
        draft = await plan_upload(state, DORA, received, waits=False)
        await draft.prepare()

    asyncio.run(go())
    assert len(in_threads.threads) == 3
    assert threading.main_thread() not in in_threads.threads


def test_a_ground_truth_of_the_service_is_read_in_a_thread(state, in_threads, monkeypatch):
    in_threads(batching, "load_ground_truth")
    monkeypatch.setattr(batching, "read_gt_path", lambda *_: TRUTH)
    monkeypatch.setattr(batching, "count_images", lambda *_, **__: 1)
    body = FolderBatchBody(task_id=TASK, images_dir="folder", gt_path="gt.json")
    asyncio.run(batching.plan_folder(state, DORA, body, waits=False))
    assert in_threads.threads
    assert threading.main_thread() not in in_threads.threads


@pytest.mark.parametrize(("size", "in_a_thread"), [(100, False), (2**20, True)])
def test_a_large_image_is_digested_in_a_thread(in_threads, size, in_a_thread):
    in_threads(job_submissions, "_digest")
    image = bytes(size)
    sha256 = asyncio.run(job_submissions._sha256(SimpleNamespace(image=image, image_ref=None)))
    assert sha256 == hashlib.sha256(image).hexdigest()
    assert [thread is not threading.main_thread() for thread in in_threads.threads] == [in_a_thread]
