"""kill -9 of the API at the worst moments: what was acknowledged is there, the rest is nowhere and can be sent again.

The service is one of its own; Dagster's webserver and daemon live on, as they would.
"""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.support.openai_answers import Answer
from tests.support.openai_server import openai_server
from tests.support.requests import error_of, extract_body, finished, new_image, succeeded, upload
from tests.support.service import running_service
from tests.support.waiting import wait_until

UPLOAD = "/v1/batch_extract_upload"
# Until the model server is told to answer: longer than any of these tests waits.
SLOW = Answer(503, delay_ms=8000)


@pytest.fixture(scope="module")
def model_server():
    with openai_server(latency_ms=30) as server:
        yield server


@pytest.fixture(scope="module")
def service(postgres_url, tmp_path_factory, model_server):
    variables = {**model_server.environment, "VLLM_RETRY_BASE_S": "0.01"}
    with running_service(postgres_url, tmp_path_factory.mktemp("crashes"), **variables) as service:
        yield service


@pytest.fixture
def alice(service):
    return service.client("alice")


def answered(client, path, **request):
    """The answer of a client that does as it is told: it sends again what is answered with 503 or not at all."""
    answers = []

    def sent():
        try:
            answers.append(client.post(path, **request))
        except httpx2.TransportError:
            return False
        return answers[-1].status_code != 503

    wait_until(sent, 120)
    return answers[-1]


@pytest.mark.parametrize("path", [UPLOAD, f"{UPLOAD}_async"])
def test_in_the_middle_of_an_upload(service, alice, model, new_id, path):
    run_id, images = new_id(), {"0.png": new_image(), "1.png": new_image()}
    request = upload(images, run_id=run_id)
    whole = alice.build_request("POST", path, **request)
    body, first = whole.read(), next(iter(images.values()))
    half, going_on = body.index(first) + len(first) + 60, threading.Event()

    def content():
        yield body[:half]
        going_on.wait(60)
        yield body[half:]

    def send():
        with pytest.raises(httpx2.TransportError):
            service.client("alice").post(path, content=content(), headers=headers)

    headers = {name: whole.headers[name] for name in ("content-type", "content-length")}
    sending = threading.Thread(target=send)
    sending.start()
    wait_until(lambda: list(service.artifact("inputs/alice").rglob(f"{hashlib.sha256(first).hexdigest()}*")))
    service.api.kill()
    going_on.set()
    sending.join(60)
    service.api.restart()
    error_of(alice.get(f"/v1/runs/{run_id}"), 404, "not_found")
    assert run_id not in alice.get("/v1/runs").text + alice.get("/v1/jobs").text
    assert not list(service.artifact("image_sets").rglob(f"*{run_id}*"))
    answer = alice.post(path, **request)
    if answer.status_code == 202:
        assert finished(alice, answer.json()["job_id"])["status"] == "succeeded"
    document = succeeded(alice.get(f"/v1/runs/{run_id}"))
    assert [(item["file"], item["ok"]) for item in document["items"]] == [("0.png", True), ("1.png", True)]
    assert model.calls().of(images.values()) == [1, 1]


def test_amid_extracts_of_many_clients(service, model):
    images = {f"crowd-{number}": new_image() for number in range(48)}
    bodies = [extract_body(image, request_id=request_id) for request_id, image in images.items()]
    acknowledged = {}

    def ask(body):
        try:
            answer = service.client("alice").post("/v1/extract", json=body)
        except httpx2.TransportError:
            return
        acknowledged[body["request_id"]] = succeeded(answer)

    with ThreadPoolExecutor(8) as clients:
        asking = [clients.submit(ask, body) for body in bodies]
        wait_until(lambda: len(acknowledged) >= 8)
        service.api.kill()
        for one in asking:
            one.result()
    assert 8 <= len(acknowledged) < len(bodies)
    service.api.restart()
    client = service.client("alice")
    for body in bodies:
        answer = succeeded(answered(client, "/v1/extract", json=body))
        assert answer == acknowledged.get(body["request_id"], answer)
        assert answer["error"] is None
    calls = model.calls().of([images[request_id] for request_id in acknowledged])
    assert calls == [1] * len(acknowledged)


def test_in_the_middle_of_a_batch_that_a_client_waits_for(service, alice, model, new_id):
    images = {f"{number}.png": new_image() for number in range(4)}
    request = upload(images, run_id=new_id(), concurrency="1")
    model.script(None, None, SLOW)

    def send():
        with pytest.raises(httpx2.TransportError):
            service.client("alice").post(UPLOAD, **request)

    sending = threading.Thread(target=send)
    sending.start()
    wait_until(lambda: model.calls().calls >= 3)
    service.api.kill()
    sending.join(60)
    service.api.restart()
    answer = succeeded(answered(alice, UPLOAD, **request))
    assert (answer["status"], answer["ok_count"]) == ("succeeded", 4)
    assert model.calls().of(list(images.values())[:2]) == [1, 1]


def test_while_a_job_is_polled(service, alice, model, new_id):
    images = {f"{number}.png": new_image() for number in range(3)}
    model.script(None, SLOW)
    accepted = succeeded(alice.post(f"{UPLOAD}_async", **upload(images, run_id=new_id(), concurrency="1")), 202)
    job = accepted["poll_url"]
    wait_until(lambda: model.calls().calls >= 2)

    def poll(path):
        with pytest.raises(httpx2.TransportError):
            # The end of an event stream that is cut is an error as well.
            [service.client("alice").get(path, params={"wait": 60}) for _ in range(100)]

    polling = [threading.Thread(target=poll, args=(path,)) for path in (job, f"{job}/events")]
    for one in polling:
        one.start()
    service.api.kill()
    for one in polling:
        one.join(60)
    service.api.restart()
    seen = succeeded(alice.get(job))
    assert seen["status"] in {"running", "succeeded"}
    ended = finished(alice, accepted["job_id"])
    assert (ended["status"], ended["created_at"]) == ("succeeded", seen["created_at"])
    assert succeeded(alice.get(f"{job}/result"))["ok_count"] == 3
    assert model.calls().of(images.values()) == [1, 2, 1]
