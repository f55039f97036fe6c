"""Answers about the service itself: health, who asks, which tasks there are."""

from typing import Literal

from ocrlty_api.schemas.common import Answer


class Me(Answer):
    key_id: str
    role: str
    scopes: list[str]


class TaskSummary(Answer):
    task_id: str
    description: str


class Tasks(Answer):
    items: list[TaskSummary]


class PartReadiness(Answer):
    """Whether one part that requests need can be used now."""

    status: Literal["ok", "error"]
    message: str | None = None


class Readiness(Answer):
    """Whether requests can be served: by part, and all in all."""

    ready: bool
    database: PartReadiness
    storage: PartReadiness
    dagster: PartReadiness


class Health(Answer):
    """`ok` says that the process lives; `readiness`, whether what it needs does."""

    ok: bool
    auth_enabled: bool
    debug_mode: bool
    inference_backend: str
    model: str
    readiness: Readiness
