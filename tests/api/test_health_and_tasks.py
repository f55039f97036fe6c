"""Health, who asks, which tasks there are."""

import asyncio

from sqlalchemy import make_url

from ocrlty_api.readiness import _ask_model, _part
from ocrlty_pipeline.settings import Settings
from tests.support.database import database_away
from tests.support.requests import error_of, succeeded
from tests.support.waiting import wait_until


def test_health_needs_no_key_and_tells_readiness_beside_liveness(nobody):
    health = succeeded(nobody.get("/v1/health"))
    assert {name: health[name] for name in ("ok", "auth_enabled", "debug_mode", "inference_backend", "model")} == {
        "ok": True,
        "auth_enabled": True,
        "debug_mode": True,
        "inference_backend": "vllm",
        "model": "test-model",
    }
    assert {name: part["status"] for name, part in health["readiness"].items() if name != "ready"} == {
        "database": "ok",
        "storage": "ok",
        "dagster": "ok",
        "model": "ok",
    }
    assert succeeded(nobody.get("/v1/health/ready"))["ready"]


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


def test_health_tells_of_a_database_and_a_model_that_are_away_and_that_they_are_back(lone, lone_model):
    """PITFALLS "all failed": health stayed good with the model and the database down."""
    client = lone.client()

    def statuses():
        told = client.get("/v1/health/ready").json()
        assert succeeded(client.get("/v1/health"))["readiness"]["ready"] is told["ready"] is False
        return told["database"]["status"], told["model"]["status"]

    with database_away(make_url(lone.database_url)), lone_model.held():
        wait_until(lambda: statuses() == ("error", "error"))
    wait_until(lambda: statuses() == ("ok", "ok"))


def test_a_model_that_is_away_is_told_beside_the_rest():
    settings = Settings(_env_file=None, inference_backend="vllm", vllm_base_url="http://127.0.0.1:1/v1")
    part = asyncio.run(_part("model", _ask_model(settings)))
    assert part.status == "error"
    assert "127.0.0.1" not in part.message


def test_a_models_address_that_leads_back_to_the_service_is_told_as_such(service):
    settings = Settings(_env_file=None, inference_backend="vllm", vllm_base_url=f"{service.url}/v1")
    part = asyncio.run(_part("model", _ask_model(settings)))
    assert part.status == "error"
    assert "VLLM_BASE_URL leads to an OCRlty service" in part.message


def test_a_key_learns_who_it_is(alice, root):
    assert succeeded(alice.get("/v1/me")) == {"key_id": "alice", "role": "client", "scopes": ["extract:run"]}
    assert succeeded(root.get("/v1/me"))["scopes"] == ["debug:read_raw", "debug:run", "extract:run", "runs:delete"]


def test_tasks_are_listed_to_who_may_extract(alice, nobody):
    items = succeeded(alice.get("/v1/tasks"))["items"]
    assert [item["task_id"] for item in items] == ["items_light_v1", "receipt_fields_v1", "receipt_header_v1"]
    assert all(item["description"] for item in items)
    refused = nobody.get("/v1/tasks")
    error_of(refused, 401, "unauthorized")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
