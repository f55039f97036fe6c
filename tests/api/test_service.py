"""Health, who asks, which tasks there are."""

import asyncio

from ocrlty_api.readiness import _ask_model, _part
from ocrlty_pipeline.settings import Settings
from tests.support.requests import error_of, succeeded


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


def test_a_model_that_is_away_is_told_beside_the_rest():
    settings = Settings(inference_backend="vllm", vllm_base_url="http://127.0.0.1:1/v1")
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
