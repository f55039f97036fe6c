"""Jobs that wait: in which order they come, and what may be done meanwhile."""

from tests.support.job_requests import EXTRACT, UPLOAD, accepted, await_running, images, slow
from tests.support.requests import error_of, extract_body, finished, succeeded, upload


def test_a_job_that_waits_in_the_queue_is_cancelled_without_a_call(alice, model, service, new_id):
    service.daemon.stop()
    try:
        job_id = accepted(alice.post(EXTRACT, json=extract_body(request_id=new_id())))
        assert succeeded(alice.get(f"/v1/jobs/{job_id}"))["status"] == "queued"
        succeeded(alice.post(f"/v1/jobs/{job_id}/cancel"))
        job = finished(alice, job_id)
    finally:
        service.daemon.start()
    assert (job["status"], job["result_rel"], model.calls().calls) == ("canceled", None, 0)
    error_of(alice.get(f"/v1/jobs/{job_id}/result"), 404)


def test_an_extract_does_not_wait_for_as_many_long_batches_as_there_are_workers(alice, model, new_id):
    model.script(*slow(400, 1000))
    batches = [accepted(alice.post(UPLOAD, **upload(images(200), run_id=new_id(), concurrency="1"))) for _ in range(3)]
    await_running(alice, batches[0])
    job = finished(alice, accepted(alice.post(EXTRACT, json=extract_body())), timeout_s=90)
    assert job["status"] == "succeeded"
    for job_id in batches:
        assert succeeded(alice.get(f"/v1/jobs/{job_id}"))["status"] in {"queued", "running"}
        succeeded(alice.post(f"/v1/jobs/{job_id}/cancel"))
    assert {finished(alice, job_id)["status"] for job_id in batches} == {"canceled"}


def test_what_waited_while_the_daemon_was_away_runs_oldest_first_and_extracts_before_batches(
    alice, model, service, new_id
):
    service.daemon.stop()
    try:
        batches = [accepted(alice.post(UPLOAD, **upload(images(1), run_id=new_id()))) for _ in range(4)]
        extract = accepted(alice.post(EXTRACT, json=extract_body()))
        service.api.restart()
    finally:
        service.daemon.start()
    started = {job_id: finished(alice, job_id)["started_at"] for job_id in [*batches, extract]}
    assert sorted(batches, key=started.get) == batches
    assert started[extract] < started[batches[1]]


def test_an_id_that_waits_in_the_queue_is_taken_for_extracts_at_once_as_well(alice, bob, model, service, new_id):
    body = extract_body(request_id=new_id())
    service.daemon.stop()
    try:
        job_id = accepted(alice.post(EXTRACT, json=body))
        error_of(alice.post("/v1/extract", json=extract_body(request_id=body["request_id"])), 409, "conflict")
        error_of(bob.post("/v1/extract", json=body), 409, "conflict")
        made = succeeded(alice.post("/v1/extract", json=body))
    finally:
        service.daemon.start()
    job = finished(alice, job_id)
    assert (job["status"], job["result_rel"], model.calls().calls) == ("succeeded", made["artifact_rel"], 1)
