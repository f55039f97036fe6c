"""Answers about the service itself: health, who asks, which tasks there are."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.config import JsonDict

from ocrlty_api.schemas.common import Answer

READY: JsonDict = {
    "ready": True,
    **{part: {"status": "ok", "message": None} for part in ("database", "storage", "dagster", "model")},
}


class Me(Answer):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key_id": "client-1", "role": "client", "scopes": ["extract:run"]}]}
    )

    key_id: str
    role: str
    scopes: list[str]


class TaskSummary(Answer):
    task_id: str
    description: str


class Tasks(Answer):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"task_id": "receipt_fields_v1", "description": "Totals of a receipt, as printed."}]}
            ]
        }
    )

    items: list[TaskSummary]


class PartReadiness(Answer):
    """Whether one part that requests need can be used now."""

    status: Literal["ok", "error"]
    message: str | None = None


class Readiness(Answer):
    """Whether requests can be served: by part, and all in all. Without `model` jobs wait and single extracts fail."""

    model_config = ConfigDict(json_schema_extra={"examples": [READY]})

    ready: bool
    database: PartReadiness
    storage: PartReadiness
    dagster: PartReadiness
    model: PartReadiness


class Health(Answer):
    """`ok` says that the process lives; `readiness`, whether what it needs does."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ok": True,
                    "auth_enabled": True,
                    "debug_mode": False,
                    "inference_backend": "vllm",
                    "model": "Qwen/Qwen3-VL-8B-Instruct",
                    "readiness": READY,
                }
            ]
        }
    )

    ok: bool
    auth_enabled: bool
    debug_mode: bool
    inference_backend: str
    model: str
    readiness: Readiness
