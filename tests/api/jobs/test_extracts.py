"""A single extract as a job: accepted or refused at once, told to its end, never paid for twice."""

import base64
import hashlib
import threading

import orjson
import pytest

from tests.support.job_requests import EXTRACT, accepted
from tests.support.openai_answers import refusal
from tests.support.requests import error_of, extract_body, finished, new_image, succeeded


def test_an_extract_is_accepted_and_told_to_its_end(alice, model, service, new_id):
    image, request_id = new_image(), new_id()
    job_id = accepted(alice.post(EXTRACT, json=extract_body(image, request_id=request_id)))
    job = finished(alice, job_id)
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
