"""Jobs over the queue of a real Dagster: accepted, followed, cancelled, listed, and what came of them."""

import base64
import hashlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import orjson
import psycopg
import pytest
from sqlalchemy import make_url

from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from tests.support.openai_answers import completed, refusal, server_error
from tests.support.receipts import tiny_images
from tests.support.requests import error_of, extract_body, finished, new_image, succeeded, upload
from tests.support.service import Process, free_port
from tests.support.waiting import wait_until

EXTRACT, UPLOAD, FOLDER, RERUN = (
    "/v1/extract_async",
    "/v1/batch_extract_upload_async",
    "/v1/batch_extract_async",
    "/v1/batch_extract_rerun_async",
)
EMPTY = orjson.dumps(
    dict.fromkeys(("total", "subtotal", "tax", "service", "discount", "cash", "card", "change"))
).decode()
JOB_FIELDS = {
    "job_id", "kind", "status", "created_at", "updated_at", "started_at", "finished_at", "owner_key_id", "owner_role",
    "cancel_requested", "request", "progress", "result_rel", "result_meta", "result_bytes", "result_sha256", "result",
    "error_rel", "error",
}  # fmt: skip
META_FIELDS = {
    "type", "task_id", "request_id", "artifact_rel", "schema_valid", "model_id", "prompt_sha256", "schema_sha256",
}  # fmt: skip


def slow(count, delay_ms):
    return [replace(completed(EMPTY), delay_ms=delay_ms)] * count


def images(count):
    return {f"{number:03d}.png": new_image() for number in range(count)}


def accepted(response):
    answer = succeeded(response, 202)
    assert response.headers["Location"] == answer["poll_url"] == f"/v1/jobs/{answer['job_id']}"
    return answer["job_id"]


def running(client, job_id):
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json()["status"] == "running", timeout_s=60)


# --- one extract


def test_an_extract_is_accepted_and_told_to_its_end(alice, model, service, new_id):
    image, request_id = new_image(), new_id()
    job_id = accepted(alice.post(EXTRACT, json=extract_body(image, request_id=request_id)))
    job = finished(alice, job_id)
    assert set(job) == JOB_FIELDS
    assert (job["kind"], job["status"], job["owner_key_id"], job["owner_role"]) == (
        "extract",
        "succeeded",
        "alice",
        "client",
    )
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["created_at"].endswith("Z")
    assert job["progress"]["stage"] == "succeeded"
    assert (job["request"]["request_id"], job["request"]["image_base64"]) == (request_id, None)
    assert service.artifact(job["request"]["image_ref"]).read_bytes() == image
    data = service.artifact(job["result_rel"]).read_bytes()
    assert (job["result_bytes"], job["result_sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert set(job["result_meta"]) == META_FIELDS
    assert job["result"] == job["result_meta"]
    assert (job["error"], job["error_rel"], job["cancel_requested"]) == (None, None, False)
    record = orjson.loads(data)
    assert record["auth"]["key_id"] == "alice"
    assert record["input"]["image_base64_len"] == len(base64.b64encode(image))
    answer = succeeded(alice.get(f"/v1/jobs/{job_id}/result"))
    assert (answer["request_id"], answer["artifact_rel"], answer["raw"]) == (request_id, job["result_rel"], None)
    error_of(alice.get(f"/v1/jobs/{job_id}/error"), 404, "not_found")


def test_submitting_again_gives_the_job_that_is_there_and_other_content_a_conflict(alice, bob, model, new_id):
    image, request_id = new_image(), new_id()
    body = extract_body(image, request_id=request_id)
    job_id = accepted(alice.post(EXTRACT, json=body))
    assert accepted(alice.post(EXTRACT, json=body)) == job_id
    job = finished(alice, job_id)
    assert accepted(alice.post(EXTRACT, json=body)) == job_id
    by_ref = {"task_id": body["task_id"], "request_id": request_id, "image_ref": job["request"]["image_ref"]}
    assert accepted(alice.post(EXTRACT, json=by_ref)) == job_id
    error_of(alice.post(EXTRACT, json=extract_body(request_id=request_id)), 409)
    error_of(alice.post(EXTRACT, json=body | {"task_id": "items_light_v1"}), 409)
    error_of(bob.post(EXTRACT, json=body), 409)
    assert model.calls().calls == 1


def test_the_same_request_ten_times_at_once_is_one_job(alice, model, new_id):
    body = extract_body(request_id=new_id())
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(alice.post(EXTRACT, json=body))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [job_id] = {accepted(answer) for answer in answers}
    finished(alice, job_id)
    assert model.calls().calls == 1


def test_an_idempotency_key_names_a_request_without_an_id(alice, bob, model, new_id):
    body, key = extract_body(), {"Idempotency-Key": new_id()}
    job_id = accepted(alice.post(EXTRACT, json=body, headers=key))
    assert accepted(alice.post(EXTRACT, json=body, headers=key)) == job_id
    error_of(alice.post(EXTRACT, json=extract_body(), headers=key), 409)
    others = [
        (bob, accepted(bob.post(EXTRACT, json=body, headers=key))),
        (alice, accepted(alice.post(EXTRACT, json=body))),
    ]
    assert len({job_id, *(other for _, other in others)}) == 3
    for client, job in [(alice, job_id), *others]:
        finished(client, job)


def test_what_was_extracted_while_the_client_waited_is_not_paid_for_again_as_a_job(alice, bob, model, new_id):
    body = extract_body(request_id=new_id())
    succeeded(alice.post("/v1/extract", json=body))
    assert finished(alice, accepted(alice.post(EXTRACT, json=body)))["status"] == "succeeded"
    assert model.calls().calls == 1
    error_of(alice.post(EXTRACT, json=extract_body(request_id=body["request_id"])), 409)
    error_of(bob.post(EXTRACT, json=body), 409)


def test_an_extract_that_comes_to_nothing_is_a_failed_job_with_its_record(alice, model, service):
    model.script(refusal(400, "Failed to load image"))
    job = finished(alice, accepted(alice.post(EXTRACT, json=extract_body())))
    assert job["status"] == "failed"
    assert job["error_rel"] == job["result_rel"]
    record = orjson.loads(service.artifact(job["error_rel"]).read_bytes())
    assert job["error"] == {"code": record["error"]["code"], "message": record["error"]["message"]}
    told = succeeded(alice.get(f"/v1/jobs/{job['job_id']}/error"))
    assert told == {"job_id": job["job_id"], "error": job["error"], "error_rel": job["error_rel"]}
    assert succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))["error"]["code"] == job["error"]["code"]


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"task_id": "nothing_v1"}, 422, "nothing_v1"),
        ({"request_id": "../x"}, 400, "request_id"),
        ({"request_id": "a\n"}, 400, "request_id"),
        ({"image_base64": "not base64"}, 422, "image_base64"),
        ({"image_base64": base64.b64encode(b"text, no image").decode()}, 422, "image_base64"),
        ({"image_base64": None}, 422, "image"),
        ({"image_ref": "inputs/alice/../x"}, 422, "image"),
        ({"debug": {"temperature": 1.0}}, 403, "debug"),
    ],
)
def test_what_cannot_be_extracted_is_refused_at_once(alice, change, status, named):
    response = alice.post(EXTRACT, json=extract_body(**change))
    error_of(response, status)
    assert named in response.text


def test_what_cannot_be_extracted_as_a_batch_is_refused_at_once(alice, service, new_id):
    tiny_images(service.data / "refused", 1)
    body = {"task_id": "receipt_fields_v1", "images_dir": "refused"}
    for change in (
        {"task_id": "nothing_v1"},
        {"run_id": "x" * 300},
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": 10_000},
        {"images_dir": "../"},
        {"images_dir": "/etc"},
        {"glob": "../*"},
        {"glob": "*.pdf"},
        {"limit": 0},
    ):
        assert alice.post(FOLDER, json=body | change).status_code in {400, 422}, change
    error_of(alice.post(RERUN, json={"run_id": new_id()}), 404)
    error_of(alice.post(UPLOAD, **upload({"empty.png": b""})), 422)
    error_of(alice.post(UPLOAD, **upload(run_id="../x")), 400)
    error_of(alice.post(UPLOAD, **upload(task_id="nothing_v1")), 422)


# --- batches


def test_a_batch_job_tells_its_progress_and_gives_the_run(alice, model, new_id):
    run_id = new_id()
    truth = [{"file": "000.png", "total": None}]
    job_id = accepted(
        alice.post(UPLOAD, **upload(images(5), run_id=run_id, concurrency="2", gt_json=orjson.dumps(truth).decode()))
    )
    job = finished(alice, job_id)
    assert (job["kind"], job["status"], job["request"]["run_id"]) == ("batch_extract_upload", "succeeded", run_id)
    assert job["progress"] | {"current": None} == {
        "stage": "succeeded", "total": 5, "done": 5, "ok": 5, "err": 0, "current": None,
    }  # fmt: skip
    assert job["result_meta"] == {
        "type": "batch",
        "task_id": "receipt_fields_v1",
        "run_id": run_id,
        "artifact_rel": job["result_rel"],
        "item_count": 5,
        "ok_count": 5,
        "error_count": 0,
    }
    result = succeeded(alice.get(f"/v1/jobs/{job_id}/result"))
    assert [item["file"] for item in result["items"]] == list(images(5))
    assert result["eval"]["summary"]["scored_count"] == 1
    assert succeeded(alice.get(f"/v1/runs/{run_id}"))["run_id"] == run_id
    assert model.calls().calls == 5


def test_a_rerun_as_a_job_pays_only_for_what_changed(alice, model, new_id):
    first, again = new_id(), new_id()
    finished(alice, accepted(alice.post(UPLOAD, **upload(images(3), run_id=first))))
    body = {"run_id": first, "new_run_id": again}
    job = finished(alice, accepted(alice.post(RERUN, json=body)))
    assert (job["kind"], job["status"], job["result_meta"]["run_id"]) == ("batch_extract_rerun", "succeeded", again)
    assert accepted(alice.post(RERUN, json=body)) == job["job_id"]
    assert model.calls().calls == 3


def test_a_batch_of_which_nothing_came_has_failed_and_says_why(alice, model, new_id):
    model.script(*[refusal(400, "Failed to load image")] * 3)
    job = finished(alice, accepted(alice.post(UPLOAD, **upload(images(3), run_id=new_id()))))
    assert (job["status"], job["error"]["code"]) == ("failed", "batch_failed")
    assert "None of 3 images gave a result" in job["error"]["message"]
    assert job["error_rel"] == job["result_rel"]
    assert succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))["error_count"] == 3


def test_a_cancelled_batch_makes_no_more_calls_and_keeps_what_was_done(alice, model, new_id):
    model.script(*slow(200, 150))
    job_id = accepted(alice.post(UPLOAD, **upload(images(200), run_id=new_id(), concurrency="2")))
    wait_until(lambda: model.calls().calls >= 6, timeout_s=90)
    error_of(alice.get(f"/v1/jobs/{job_id}/result"), 409, "job_not_ended")
    assert succeeded(alice.post(f"/v1/jobs/{job_id}/cancel")) == {"ok": True}
    assert succeeded(alice.get(f"/v1/jobs/{job_id}"))["cancel_requested"]
    job = finished(alice, job_id)
    calls = model.calls().calls
    assert (job["status"], job["error"]["code"]) == ("canceled", "canceled")
    assert calls < 100
    result = succeeded(alice.get(f"/v1/jobs/{job_id}/result"))
    assert 4 <= result["ok_count"] <= calls
    assert (result["status"], result["pending_count"]) == ("canceled", 200 - result["ok_count"])
    assert succeeded(alice.post(f"/v1/jobs/{job_id}/cancel")) == {"ok": True}
    time.sleep(0.5)
    assert model.calls().calls == calls


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
    running(alice, batches[0])
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


# --- following


def test_a_long_poll_answers_when_the_job_changes(alice, model):
    model.script(*slow(1, 1500))
    job_id = accepted(alice.post(EXTRACT, json=extract_body()))
    statuses = []
    for _ in range(20):
        job = succeeded(alice.get(f"/v1/jobs/{job_id}", params={"wait": 20}))
        statuses.append(job["status"])
        if job["status"] == "succeeded":
            break
    assert statuses[-1] == "succeeded"
    assert len(statuses) <= 4
    begun = time.monotonic()
    succeeded(alice.get(f"/v1/jobs/{job_id}", params={"wait": 30}))
    assert time.monotonic() - begun < 10
    for bad in ("-1", "61", "soon", "nan"):
        error_of(alice.get(f"/v1/jobs/{job_id}", params={"wait": bad}), 422)


def events_of(client, job_id, last_id=None):
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        text = response.read().decode()
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def test_events_tell_a_job_to_its_end(alice, model, new_id):
    model.script(*slow(4, 700))
    job_id = accepted(alice.post(UPLOAD, **upload(images(4), run_id=new_id(), concurrency="1")))
    events = events_of(alice, job_id)
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert (events[-1]["event"], orjson.loads(events[-1]["data"])["status"]) == ("end", "succeeded")
    done = [orjson.loads(event["data"])["progress"]["done"] or 0 for event in events]
    assert done == sorted(done)
    assert len(set(done)) >= 3
    assert len({event["id"] for event in events}) == len(events)
    [again] = events_of(alice, job_id, last_id=events[0]["id"])
    assert again == events[-1]


def test_many_may_follow_one_job_and_leave_when_they_like(alice, model):
    model.script(*slow(1, 1500))
    job_id = accepted(alice.post(EXTRACT, json=extract_body()))
    with alice.stream("GET", f"/v1/jobs/{job_id}/events") as left:
        assert next(left.iter_lines()).startswith("id: ")
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(events_of(alice, job_id)[-1]["event"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == ["end"] * 8


# --- lists, and whose jobs


def test_jobs_are_listed_newest_first_and_paged(alice, model):
    made = [accepted(alice.post(EXTRACT, json=extract_body())) for _ in range(5)]
    for job_id in made:
        finished(alice, job_id)
    found, cursor = [], None
    while len(found) < 5:
        page = succeeded(alice.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}))
        assert page["limit"] == 2
        found += [job["job_id"] for job in page["items"]]
        cursor = page["next_cursor"]
    assert found[:5] == made[::-1]
    listed = succeeded(alice.get("/v1/jobs", params={"limit": 1}))["items"][0]
    assert set(listed) < JOB_FIELDS
    assert all(job["status"] == "failed" for job in succeeded(alice.get("/v1/jobs?status=failed"))["items"])
    kinds = {job["kind"] for job in succeeded(alice.get("/v1/jobs?kind=extract&status=succeeded"))["items"]}
    assert kinds == {"extract"}


@pytest.mark.parametrize("cursor", ["garbage", "7f3c0b52-3d0e-4c6e-9a43-0d6b1c0f5a11", "a|b"])
def test_a_cursor_that_is_none_is_refused(alice, cursor):
    error_of(alice.get("/v1/jobs", params={"cursor": cursor}), 400, "bad_request")


def test_others_see_nothing_of_a_job(alice, bob, dora, root, nobody, model):
    job_id = accepted(alice.post(EXTRACT, json=extract_body()))
    finished(alice, job_id)
    for path in ("", "/result", "/error", "/events"):
        for stranger in (bob, dora):
            error_of(stranger.get(f"/v1/jobs/{job_id}{path}"), 404, "not_found")
        error_of(nobody.get(f"/v1/jobs/{job_id}{path}"), 401)
    error_of(bob.post(f"/v1/jobs/{job_id}/cancel"), 404)
    assert job_id not in {job["job_id"] for job in succeeded(bob.get("/v1/jobs?limit=200"))["items"]}
    assert succeeded(root.get(f"/v1/jobs/{job_id}"))["owner_key_id"] == "alice"
    assert job_id in {job["job_id"] for job in succeeded(root.get("/v1/jobs"))["items"]}


@pytest.mark.parametrize("job_id", ["nothing", "7f3c0b52-3d0e-4c6e-9a43-0d6b1c0f5a11", "..%2f..%2fetc", "x" * 200])
def test_an_unknown_job_is_not_found(alice, job_id):
    error_of(alice.get(f"/v1/jobs/{job_id}"), 404, "not_found")


def test_a_run_that_is_no_job_is_not_found(alice, stored, service, model, new_id):
    request_id = new_id()
    succeeded(alice.post("/v1/extract", json=extract_body(request_id=request_id)))
    dagster_run_id = stored.index.find("extract", request_id).dagster_run_id
    error_of(alice.get(f"/v1/jobs/{dagster_run_id}"), 404)


# --- what may go away


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
    running(alice, running_id)
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
    running(alice, job_id)
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
    os.kill(worker_of(service, job_id), signal.SIGKILL)
    job = finished(alice, job_id, timeout_s=180)
    assert (job["status"], job["result_meta"]["ok_count"]) == ("succeeded", 10)
    assert model.calls().calls <= 11


def worker_of(service, run_id):
    """Pid of the process that executes a run, as its tag says."""
    url = make_url(service.database_url)
    with psycopg.connect(user=url.username, dbname=url.database, **url.query) as connection:
        query = "SELECT value FROM run_tags WHERE run_id = %s AND key = %s"
        [(tag,)] = connection.execute(query, (run_id, run_tags.WORKER)).fetchall()
    return ProcessIdentity.from_tag(tag).pid


def test_a_model_that_is_down_fails_a_batch_early(alice, model, new_id):
    model.script(*[server_error()] * 400)
    job = finished(alice, accepted(alice.post(UPLOAD, **upload(images(60), run_id=new_id(), concurrency="4"))), 180)
    assert job["status"] == "failed"
    assert "in a row failed" in job["error"]["message"]
    assert succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))["pending_count"] > 0
