"""`ocrlty up`: everything runs, the API answers beside Dagster, and one interrupt ends all of it."""

import signal

import httpx2
import psutil
import pytest

from ocrlty_pipeline.cli.service import _asks_for_no_key
from ocrlty_pipeline.settings import Settings
from tests.support.requests import extract_body
from tests.support.service import free_ports
from tests.support.waiting import wait_until


def test_without_a_word_on_keys_the_api_is_open_to_this_machine_and_says_so(workplace):
    ports = free_ports(2)
    process = workplace.start("up", "--port", ports[0], "--api-port", ports[1])
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{ports[1]}", timeout=60.0) as client:
            wait_until(lambda: process.poll() is not None or ready(client), timeout_s=120)
            health = client.get("/v1/health").json()
            assert (health["auth_enabled"], health["readiness"]["ready"]) == (False, True)
            answer = client.post("/v1/extract", json=extract_body()).json()
            assert (answer["error"], answer["backend"]) == (None, "mock")
            assert client.get("/v1/me").json()["role"] == "admin"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
    except BaseException:
        process.kill()
        raise
    finally:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "EVERYBODY ON THIS MACHINE IS AN ADMIN" in said
    assert psutil.wait_procs(children, timeout=30)[1] == []


def ready(client):
    try:
        return client.get("/v1/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({}, True),
        ({"api_key_pepper": "x" * 16}, False),
        ({"auth_enabled": True}, False),
        ({"auth_enabled": False}, True),
        ({"auth_enabled": False, "api_key_pepper": "x" * 16}, True),
    ],
)
def test_a_pepper_or_a_word_on_auth_decides_who_may_ask(given, is_open):
    assert _asks_for_no_key(Settings(_env_file=None, **given)) is is_open
