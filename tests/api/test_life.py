"""How the API starts, refuses to start, and ends."""

import os
import subprocess
import sys
import threading

import httpx2
import orjson
import pytest

from ocrlty_api.schemas.extracts import IMAGE_FIELDS
from tests.support.openai_answers import Answer
from tests.support.openai_server import openai_server
from tests.support.requests import error_of, extract_body, new_image, succeeded, upload
from tests.support.service import INHERITED, PEPPER, ROOT, free_port, running_service
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
        ({"API_KEY_PEPPER": PEPPER, "DEBUG_MOD": "1", "DEBUG_MODES": "1"}, "DEBUG_MODES"),
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
    code = "import ocrlty_api.main, ocrlty_api.app, sys; print('sqlalchemy.dialects.postgresql.psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def slow_model():
    with openai_server() as server:
        yield server


@pytest.fixture(scope="module")
def lone(postgres_url, tmp_path_factory, slow_model):
    """The API alone, open to everybody, in text: without Dagster's webserver and daemon."""
    variables = {
        "AUTH_ENABLED": "0",
        "API_SHUTDOWN_TIMEOUT_S": "6",
        "LOG_FORMAT": "text",
        "CORS_ALLOW_ORIGINS": "https://app.example.org",
        **slow_model.environment,
        "VLLM_RETRY_MAX_ATTEMPTS": "1",
    }
    folder = tmp_path_factory.mktemp("lone")
    with running_service(postgres_url, folder, dagster=False, **variables) as service:
        yield service


def test_without_auth_everybody_is_an_admin_and_the_log_says_so_loudly(lone):
    client = lone.client()
    assert succeeded(client.get("/v1/me"))["role"] == "admin"
    assert not succeeded(client.get("/v1/health"))["auth_enabled"]
    (line,) = [line for line in lone.api_log().splitlines() if "AUTH_ENABLED=0" in line]
    assert "WARNING" in line


# Of every option that OpenAPI says is for debuggers, a value that would do.
DEBUG_ONLY = {
    "debug": {"temperature": 1},
    "image_url": "http://example.org/a.png",
    "gt_path": "truth.json",
    "gt_image_key": "name",
}


def debug_options(document):
    """Path, media type, name and an example of the body of every debug-only option in the OpenAPI document."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                schema = document["components"]["schemas"].get(name, content["schema"])
                for option, described in schema.get("properties", {}).items():
                    if "DebugOptions" in str(described) or described.get("description", "").startswith("Debug only"):
                        yield path, media_type, option, (schema.get("examples") or [{}])[0]


def test_debug_options_are_refused_unless_debug_mode_is_on_whatever_the_key_may(lone):
    client = lone.client()
    folder = lone.data / "debug-options"
    folder.mkdir()
    (folder / "a.png").write_bytes(new_image())
    run_id = succeeded(client.post("/v1/batch_extract_upload", **upload()))["run_id"]
    options = list(debug_options(succeeded(client.get("/openapi.json"))))
    assert {option for _, _, option, _ in options} == set(DEBUG_ONLY)
    for path, media_type, option, example in options:
        if media_type == "application/json":
            images = {name: None for name in IMAGE_FIELDS if name in example} if option in IMAGE_FIELDS else {}
            where = {"images_dir": folder.name} if "images_dir" in example else {"run_id": run_id}
            where = {name: value for name, value in where.items() if name in example}
            body = {**example, **images, **where, option: DEBUG_ONLY[option]}
            answer = client.post(path, json={name: value for name, value in body.items() if value is not None})
        else:
            answer = client.post(path, **upload(**{option: DEBUG_ONLY[option]}))
        error = error_of(answer, 403, "forbidden")
        assert "DEBUG_MODE=1" in error["message"], (path, option)
    assert succeeded(client.post("/v1/extract", json=extract_body()))["raw"] is None


def test_without_debug_mode_no_debug_route_is_there_whatever_the_key_may(lone):
    client = lone.client()
    document = succeeded(client.get("/openapi.json"))
    routes = [
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/v1/debug") or "debug" in operation["tags"]
    ]
    assert ("get", "/v1/debug/artifacts") in routes
    for method, path in routes:
        body = {"json": {"run_id": "x"}} if method in {"post", "put"} else {}
        error = error_of(client.request(method, path.format(request_id="x"), **body), 404, "not_found")
        assert "DEBUG_MODE=1" in error["message"], path


def test_while_something_is_away_the_process_lives_and_is_not_ready(lone):
    client = lone.client()
    health = succeeded(client.get("/v1/health"))
    assert (health["ok"], health["readiness"]["ready"]) == (True, False)
    readiness = client.get("/v1/health/ready")
    assert readiness.status_code == 503
    assert readiness.json()["dagster"] == {
        "status": "error",
        "message": "It cannot be reached; the service's log says why.",
    }
    assert readiness.json()["database"]["status"] == readiness.json()["storage"]["status"] == "ok"


def test_pages_of_the_origins_named_may_call_and_read_what_they_need(lone):
    client = lone.client()
    origin = {"Origin": "https://app.example.org"}
    preflight = client.options(
        "/v1/extract",
        headers={**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"},
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert preflight.headers["X-Request-ID"]
    for answer in (client.get("/v1/me", headers=origin), client.get("/nowhere", headers=origin)):
        assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    other = client.get("/v1/me", headers={"Origin": "https://evil.example.org"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_what_is_under_way_when_the_service_is_told_to_end_is_finished(lone, slow_model):
    slow_model.script(SLOW)
    answers, before = [], slow_model.calls().calls
    asking = threading.Thread(target=lambda: answers.append(lone.client().post("/v1/extract", json=extract_body())))
    asking.start()
    wait_until(lambda: slow_model.calls().calls > before)
    code = lone.api.stop()
    asking.join(60)
    assert succeeded(answers[0])["error"]["code"] == "backend_unavailable"
    assert code in {0, -15}
    assert "Traceback" not in lone.api_log()
    lone.api.restart()


def test_what_takes_longer_is_broken_off_with_a_word_to_come_again(lone, slow_model):
    slow_model.script(Answer(status=503, delay_ms=20_000))
    answers, before = [], slow_model.calls().calls
    asking = threading.Thread(target=lambda: answers.append(lone.client().post("/v1/extract", json=extract_body())))
    asking.start()
    wait_until(lambda: slow_model.calls().calls > before)
    code = lone.api.stop()
    asking.join(60)
    error_of(answers[0], 503, "unavailable")
    assert answers[0].headers["Retry-After"]
    assert code in {0, -15}
    lone.api.restart()


def test_a_killed_service_has_lost_nothing_it_answered_and_the_same_request_works_afterwards(lone, slow_model):
    client, body = lone.client(), extract_body(request_id="before-the-crash")
    first = succeeded(client.post("/v1/extract", json=body))
    slow_model.script(Answer(status=503, delay_ms=1500))
    calls, lost = slow_model.calls().calls, extract_body(request_id="in-the-crash")

    def ask():
        with pytest.raises(httpx2.TransportError):
            lone.client().post("/v1/extract", json=lost)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: slow_model.calls().calls > calls)
    lone.api.kill()
    asking.join(60)
    lone.api.restart()
    client = lone.client()
    assert succeeded(client.post("/v1/extract", json=body)) == first
    again = succeeded(client.post("/v1/extract", json=lost))
    record = orjson.loads(lone.artifact(again["artifact_rel"]).read_bytes())
    assert record["request_id"] == "in-the-crash"
