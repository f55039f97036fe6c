"""An end of the service in the middle of batches that clients wait for: they are handed back, and nothing is lost.

Dagster's daemon executes them again, which continues them; the service's own end is all that they were stopped for.
"""

import threading
from contextlib import closing

import httpx2
import pytest

from tests.support.dagster_ui import DagsterUi
from tests.support.openai_server import openai_server
from tests.support.requests import new_image, succeeded, upload
from tests.support.service import running_service
from tests.support.waiting import wait_until

UPLOAD = "/v1/batch_extract_upload"
COUNT = 24


@pytest.fixture(scope="module")
def model_server():
    with openai_server(latency_ms=400) as server:
        yield server


@pytest.fixture(scope="module")
def service(postgres_url, tmp_path_factory, model_server):
    variables = {
        **model_server.environment,
        "ONLINE_BATCH_WORKERS": "1",
        # So short that no batch of these ends by itself.
        "API_SHUTDOWN_TIMEOUT_S": "0.5",
    }
    with running_service(postgres_url, tmp_path_factory.mktemp("shutdown"), **variables) as service:
        # On a new database, Dagster retries nothing that failed before its daemon looked for the first time.
        wait_until(lambda: "event type DagsterEventType.RUN_SUCCESS, ignoring" in service.daemon.log.read_text())
        yield service


@pytest.fixture
def model(model_server):
    model_server.reset()
    return model_server


@pytest.fixture
def ui(service):
    with closing(DagsterUi(service.webserver_url)) as ui:
        yield ui


def sent(service, request, answers):
    """A thread that sends a batch, and notes how it was answered, or None where it was not."""

    def send():
        try:
            answers.append(service.client("alice").post(UPLOAD, **request).status_code)
        except httpx2.TransportError:
            answers.append(None)

    sending = threading.Thread(target=send)
    sending.start()
    return sending


def continued(ui):
    """Whether both batches have succeeded in Dagster, and no run is open."""
    statuses = [run["status"] for run in ui.runs()]
    return statuses.count("SUCCESS") == 2 and set(statuses) == {"SUCCESS", "FAILURE"}


def test_a_batch_in_execution_and_one_that_waits_are_continued_by_dagster(service, ui, model, new_id):
    first, second = ({f"{number:02d}.png": new_image() for number in range(COUNT)} for _ in range(2))
    batches, answers = {new_id("running"): first, new_id("waiting"): second}, []
    requests = {run_id: upload(images, run_id=run_id, concurrency="2") for run_id, images in batches.items()}
    running, waiting = requests.values()
    threads = [sent(service, running, answers)]
    wait_until(lambda: model.calls().calls >= 4)
    threads.append(sent(service, waiting, answers))
    wait_until(lambda: len(ui.runs()) == 2)
    assert service.api.stop() in {0, -15}
    for thread in threads:
        thread.join(60)
    assert set(answers) <= {503, None}
    assert model.calls().calls < COUNT
    assert "Traceback" not in service.api_log()

    # Nobody asks for it: Dagster goes on by itself.
    wait_until(lambda: continued(ui), 180)
    service.api.restart()
    alice = service.client("alice")
    for request in requests.values():
        answer = succeeded(alice.post(UPLOAD, **request))
        assert (answer["status"], answer["ok_count"], answer["error_count"]) == ("succeeded", COUNT, 0)
        assert [item["file"] for item in answer["items"]] == [name for _, (name, *_) in request["files"]]
        stored = succeeded(alice.get(f"/v1/runs/{answer['run_id']}"))
        assert [item["request_id"] for item in stored["items"]] == [item["request_id"] for item in answer["items"]]
    assert len(ui.runs()) == 4
    # What was under way when the service ended was finished first: each image was paid for once.
    assert model.calls().of([*first.values(), *second.values()]) == [1] * 2 * COUNT
