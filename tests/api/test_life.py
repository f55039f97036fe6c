"""How the API starts, refuses to start, and ends."""

import os
import subprocess
import sys
import threading

import pytest

from ocrlty_api.app import create_app
from ocrlty_pipeline.settings import Settings
from tests.support.openai_answers import Answer
from tests.support.requests import error_of, extract_body, succeeded
from tests.support.service import INHERITED, PEPPER, ROOT, free_port
from tests.support.waiting import wait_until

SLOW = Answer(status=503, delay_ms=1500)


def started(tmp_path, **variables):
    """`uvicorn ocrlty_api.main:app` run to its end; answers the exit code and what it said."""
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED}
    environment = inherited | {"PYTHONPATH": str(ROOT), "OCRLTY_HOME": str(tmp_path / "home")} | variables
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "ocrlty_api.main:app", "--port", str(free_port())],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "API_KEY_PEPPER"),
        ({"API_KEY_PEPPER": "short"}, "API_KEY_PEPPER"),
        ({"API_KEY_PEPPER": PEPPER, "DEBUG_MODES": "1"}, "DEBUG_MODES"),
        ({"API_KEY_PEPPER": PEPPER, "LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"API_KEY_PEPPER": PEPPER, "DATABASE_URL": "postgresql+psycopg://me@127.0.0.1:1/x"}, "DATABASE_URL"),
    ],
)
def test_a_start_that_cannot_work_says_why_in_one_sentence(tmp_path, variables, named):
    code, said = started(tmp_path, **variables)
    assert code not in {0, None}
    assert "Traceback" not in said
    (sentence,) = [line for line in said.splitlines() if named in line]
    assert PEPPER not in said
    assert len(sentence) < 600


def test_the_application_is_made_without_connecting_to_anything(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        _env_file=None,
        api_key_pepper=PEPPER,
        ocrlty_home=tmp_path / "home",
        database_url="postgresql+psycopg://me@127.0.0.1:1/x",
        s3_bucket="nowhere",
        s3_endpoint_url="http://127.0.0.1:1",
        dagster_webserver_url="http://127.0.0.1:1",
    )
    assert create_app(settings).openapi()["paths"]
    assert list(tmp_path.iterdir()) == []


def test_without_auth_everybody_is_an_admin_and_the_log_says_so_loudly(lone):
    client = lone.client()
    assert succeeded(client.get("/v1/me"))["role"] == "admin"
    assert not succeeded(client.get("/v1/health"))["auth_enabled"]
    line, *_ = [line for line in lone.api_log().splitlines() if "AUTH_ENABLED=0" in line]
    assert "WARNING" in line


def test_what_is_under_way_when_the_service_is_told_to_end_is_finished(lone, lone_model):
    lone_model.script(SLOW)
    logged = len(lone.api_log())
    answers, before = [], lone_model.calls().calls
    asking = threading.Thread(target=lambda: answers.append(lone.client().post("/v1/extract", json=extract_body())))
    asking.start()
    wait_until(lambda: lone_model.calls().calls > before)
    code = lone.api.stop()
    asking.join(60)
    assert succeeded(answers[0])["error"]["code"] == "backend_unavailable"
    assert code in {0, -15}
    assert "Traceback" not in lone.api_log()[logged:]
    lone.api.restart()


def test_what_takes_longer_is_broken_off_with_a_word_to_come_again(lone, lone_model):
    lone_model.script(Answer(status=503, delay_ms=20_000))
    answers, before = [], lone_model.calls().calls
    asking = threading.Thread(target=lambda: answers.append(lone.client().post("/v1/extract", json=extract_body())))
    asking.start()
    wait_until(lambda: lone_model.calls().calls > before)
    code = lone.api.stop()
    asking.join(60)
    error_of(answers[0], 503, "unavailable")
    assert answers[0].headers["Retry-After"]
    assert code in {0, -15}
    lone.api.restart()
