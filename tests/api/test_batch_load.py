"""What batches cost the service and its other clients: time, memory, places."""

import statistics
import threading
import time

from ocrlty_pipeline.settings import Settings
from tests.support.job_requests import accepted, slow
from tests.support.memory import MIB, bounded
from tests.support.requests import TASK, finished, new_image, succeeded, upload
from tests.support.waiting import wait_until

FOLDER, UPLOAD = "/v1/batch_extract", "/v1/batch_extract_upload"


def test_other_requests_do_not_wait_while_batches_are_extracted_waited_for_or_as_jobs(
    service, alice, bob, model, folder
):
    """PITFALLS "event loop": during an async batch other requests waited 230 to 580 ms."""
    count, alone, waits = 60, [], []
    for _ in range(20):
        waited(bob, alone)
    model.script(*slow(2 * count, 150))
    bodies = [{"task_id": TASK, "images_dir": folder(count), "concurrency": 4} for _ in range(2)]
    waiting = threading.Thread(target=alice.post, args=(FOLDER,), kwargs={"json": bodies[0]})
    job_id = accepted(service.client("alice").post(f"{FOLDER}_async", json=bodies[1]))
    waiting.start()

    def over():
        waited(bob, waits)
        return model.calls().calls == 2 * count

    wait_until(over, 120)
    waiting.join()
    assert finished(alice, job_id)["status"] == "succeeded"
    assert len(waits) > 10
    # On a machine that does other things as well, an answer takes its time anyhow.
    assert statistics.median(waits) < 0.15 + 10 * statistics.median(alone)


def waited(client, waits):
    """Ask for something that costs nothing, and note how long it took."""
    started = time.monotonic()
    succeeded(client.get("/v1/me"))
    waits.append(time.monotonic() - started)


def test_more_batches_than_may_wait_are_refused_and_the_others_served(service, model, folder):
    settings = Settings(_env_file=None)
    places, sent = settings.online_batch_workers + settings.online_max_waiting_batches, 30
    body, statuses = {"task_id": TASK, "images_dir": folder(1)}, []

    def send():
        statuses.append(service.client("alice").post(FOLDER, json=body).status_code)

    threads = [threading.Thread(target=send) for _ in range(sent)]
    with model.held():
        for thread in threads:
            thread.start()
        wait_until(lambda: len(statuses) == sent - places)
        assert set(statuses) == {503}
    for thread in threads:
        thread.join()
    assert statuses[sent - places :] == [200] * places


def test_an_upload_larger_than_memory_allows_is_never_held_whole(service, alice, model):
    succeeded(alice.post(UPLOAD, **upload()))
    images = {f"{number}.png": new_image() + bytes(4 * MIB) for number in range(40)}
    with bounded(service, 60):  # of 160 MiB
        succeeded(alice.post(UPLOAD, **upload(images)))


def test_a_folder_larger_than_memory_allows_is_never_held_whole(service, alice, model, folder):
    """PITFALLS "batch memory": every file of a folder was read into memory before the first request."""
    name = folder(40)
    for image in (service.data / name).iterdir():
        image.write_bytes(image.read_bytes() + bytes(4 * MIB))
    succeeded(alice.post(FOLDER, json={"task_id": TASK, "images_dir": folder(4), "concurrency": 2}))
    with bounded(service, 60, workers=True):  # of 160 MiB
        answer = succeeded(alice.post(FOLDER, json={"task_id": TASK, "images_dir": name, "concurrency": 2}))
    assert answer["ok_count"] == 40
