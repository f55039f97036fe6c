"""What may go away while jobs wait or run: Dagster's webserver, the API, another API beside it, a worker, the model."""

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.support.job_requests import EXTRACT, UPLOAD, accepted, await_running, images, slow
from tests.support.openai_answers import server_error
from tests.support.requests import error_of, extract_body, finished, succeeded, upload
from tests.support.service import Process, free_port
from tests.support.waiting import wait_until
from tests.support.workers import worker_of


def test_without_dagsters_webserver_jobs_are_refused_and_the_others_still_told(alice, model, service, new_id):
    body = extract_body(request_id=new_id())
    job_id = accepted(alice.post(EXTRACT, json=body))
    service.webserver.stop()
    try:
        error_of(alice.post(EXTRACT, json=extract_body()), 503, "dagster_unavailable")
        assert finished(alice, job_id)["status"] == "succeeded"
        assert accepted(alice.post(EXTRACT, json=body)) == job_id
        succeeded(alice.post("/v1/extract", json=extract_body()))
    finally:
        service.webserver.restart()


def test_another_process_of_the_api_knows_the_same_jobs_and_takes_none_with_it(alice, model, service, new_id, tmp_path):
    port = free_port()
    command = [str(port) if part == service.url.rsplit(":", 1)[1] else part for part in service.api.command]
    url = f"http://127.0.0.1:{port}"
    other = Process("api", command, service.environment, tmp_path / "other.log", f"{url}/v1/health")
    model.script(*slow(400, 500))
    running_id = accepted(alice.post(UPLOAD, **upload(images(400), run_id=new_id(), concurrency="1")))
    await_running(alice, running_id)
    other.start()
    try:
        other.await_ready()
        body = extract_body(request_id=new_id())
        with httpx2.Client(base_url=url, headers=alice.headers, timeout=90.0) as there:
            with ThreadPoolExecutor(8) as senders:
                sent = [senders.submit(client.post, EXTRACT, json=body) for client in (alice, there) * 4]
                [job_id] = {accepted(one.result()) for one in sent}
            assert succeeded(there.get(f"/v1/jobs/{running_id}"))["status"] == "running"
            assert finished(there, job_id)["status"] == "succeeded"
        other.kill()
    finally:
        if other.running:
            other.stop()
    calls = model.calls().calls
    wait_until(lambda: model.calls().calls >= calls + 2)
    assert succeeded(alice.get(f"/v1/jobs/{running_id}"))["status"] == "running"
    succeeded(alice.post(f"/v1/jobs/{running_id}/cancel"))
    assert finished(alice, running_id)["status"] == "canceled"


def test_a_job_survives_the_death_of_the_api(alice, model, service, new_id):
    model.script(*slow(6, 500))
    run_id = new_id()
    job_id = accepted(alice.post(UPLOAD, **upload(images(6), run_id=run_id, concurrency="1")))
    await_running(alice, job_id)
    service.api.kill()
    with pytest.raises(httpx2.TransportError):
        alice.get(f"/v1/jobs/{job_id}")
    service.api.restart()
    job = finished(alice, job_id)
    assert (job["status"], job["result_meta"]["ok_count"], model.calls().calls) == ("succeeded", 6, 6)


def test_a_worker_that_is_killed_costs_a_batch_no_finished_image(alice, model, service, new_id):
    model.script(*slow(10, 400))
    job_id = accepted(alice.post(UPLOAD, **upload(images(10), run_id=new_id(), concurrency="1")))
    wait_until(lambda: model.calls().calls >= 3, timeout_s=60)
    worker_of(service.database_url, job_id).kill()
    job = finished(alice, job_id, timeout_s=180)
    assert (job["status"], job["result_meta"]["ok_count"]) == ("succeeded", 10)
    assert model.calls().calls <= 11


def test_a_model_that_is_down_fails_a_batch_early(alice, model, new_id):
    model.script(*[server_error()] * 400)
    job = finished(alice, accepted(alice.post(UPLOAD, **upload(images(60), run_id=new_id(), concurrency="4"))), 180)
    assert job["status"] == "failed"
    assert "in a row failed" in job["error"]["message"]
    assert succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))["pending_count"] > 0
