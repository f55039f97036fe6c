"""Batches that a client waits for, and what ends in their middle: the client, or the worker."""

import asyncio
import threading

import httpx2

from tests.support.job_requests import images, slow
from tests.support.requests import error_of, new_id, succeeded, upload
from tests.support.waiting import wait_until
from tests.support.workers import batch_worker

UPLOAD = "/v1/batch_extract_upload"


def test_a_client_that_goes_away_ends_its_batch_and_the_same_request_continues_it(service, alice, model):
    count, run_id = 60, new_id()
    request = upload(images(count), run_id=run_id, concurrency="2")
    model.script(*slow(count, 200))

    async def leave():
        async with httpx2.AsyncClient(base_url=service.url, headers=alice.headers, timeout=90.0) as impatient:
            sending = asyncio.create_task(impatient.post(UPLOAD, **request))
            await asyncio.to_thread(wait_until, lambda: model.calls().calls >= 6)
            sending.cancel()
            await asyncio.wait([sending])

    asyncio.run(leave())
    wait_until(lambda: list((service.home / "artifacts" / "batches").rglob(f"{run_id}.json")))
    calls = model.calls().calls
    assert 0 < calls < count
    model.reset()
    answer = succeeded(alice.post(UPLOAD, **request))
    assert (answer["status"], answer["ok_count"]) == ("succeeded", count)
    assert model.calls().calls <= count - calls + 2
    assert answer["reused_count"] >= calls - 2


def test_a_killed_worker_costs_its_client_an_error_and_no_image_twice(service, alice, model):
    count, run_id, answers = 20, new_id(), []
    request = upload(images(count), run_id=run_id, concurrency="2")
    model.script(*slow(count, 200))
    thread = threading.Thread(target=lambda: answers.append(alice.post(UPLOAD, **request)))
    thread.start()
    wait_until(lambda: model.calls().calls >= 6)
    batch_worker(service.database_url, run_id).kill()
    thread.join()
    error_of(answers[0], 503, "worker_died")
    answer = succeeded(alice.post(UPLOAD, **request))
    assert (answer["run_id"], answer["ok_count"]) == (run_id, count)
    assert model.calls().calls <= count + 2
