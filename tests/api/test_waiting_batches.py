"""A batch that waits for a worker for longer than Dagster gives a run to start."""

import threading
import time

import httpx2
import pytest

from tests.support.job_requests import images
from tests.support.openai_server import openai_server
from tests.support.requests import succeeded, upload
from tests.support.service import running_service
from tests.support.waiting import wait_until

UPLOAD = "/v1/batch_extract_upload"
LONG, SHORT = 50, 2
HEARTBEAT = '{ instance { daemonHealth { daemonStatus(daemonType: "MONITORING") { lastHeartbeatTime } } } }'


@pytest.fixture
def service(postgres_url, tmp_path_factory):
    """One worker for batches that clients wait for, and a second for a run to start."""
    with openai_server(latency_ms=500) as model:
        variables = {**model.environment, "ONLINE_BATCH_WORKERS": "1"}
        with running_service(postgres_url, tmp_path_factory.mktemp("waiting"), **variables) as service:
            config = service.home / "dagster" / "dagster.yaml"
            hasty = config.read_text().replace("start_timeout_seconds: 60", "start_timeout_seconds: 1")
            config.write_text(hasty.replace("poll_interval_seconds: 15", "poll_interval_seconds: 1"))
            began = time.time()
            service.daemon.restart()
            wait_until(lambda: last_heartbeat(service) > began)
            yield service


def last_heartbeat(service):
    answer = httpx2.post(f"{service.webserver_url}/graphql", json={"query": HEARTBEAT}, timeout=60).json()
    return answer["data"]["instance"]["daemonHealth"]["daemonStatus"]["lastHeartbeatTime"] or 0


def test_it_is_executed_when_its_turn_comes(service, new_id):
    answers = []

    def send(count):
        request = upload(images(count), run_id=new_id(), concurrency="1")
        answers.append(service.client("alice").post(UPLOAD, **request))

    threads = [threading.Thread(target=send, args=(count,)) for count in (LONG, SHORT)]
    threads[0].start()
    # Dagster looks at runs that have not ended by now; the long one goes on for many such looks.
    wait_until(lambda: "Collected" in service.daemon.log.read_text())
    threads[1].start()
    for thread in threads:
        thread.join()
    assert [succeeded(answer)["ok_count"] for answer in answers] == [LONG, SHORT]
