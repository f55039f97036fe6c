"""Jobs: what is accepted to be done later, how far it is, and what came of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainSerializer

from ocrlty_api.schemas.common import Answer

JobStatus = Literal["queued", "running", "succeeded", "failed", "canceled"]
JobKind = Literal["extract", "batch_extract", "batch_extract_upload", "batch_extract_rerun"]


def _zulu(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(_zulu, return_type=str)]

EXAMPLE_ID = "7f3c0b52-3d0e-4c6e-9a43-0d6b1c0f5a11"
EXAMPLE: dict[str, Any] = {
    "job_id": EXAMPLE_ID,
    "kind": "extract",
    "status": "succeeded",
    "created_at": "2026-11-24T00:08:37.120Z",
    "updated_at": "2026-11-24T00:08:37.902Z",
    "started_at": "2026-11-24T00:08:37.205Z",
    "finished_at": "2026-11-24T00:08:37.880Z",
    "owner_key_id": "client-1",
    "owner_role": "client",
    "cancel_requested": False,
    "request": {
        "task_id": "receipt_fields_v1",
        "request_id": "receipt-0001",
        "image_ref": "inputs/client-1/a7/ef/a7ef.jpg",
    },
    "progress": {"stage": "succeeded"},
    "result_rel": "extracts/2026-11-24/receipt-0001.json",
    "result_meta": {"type": "extract", "task_id": "receipt_fields_v1", "request_id": "receipt-0001"},
    "result_bytes": 1861,
    "result_sha256": "0f11cdc6126b" + "0" * 52,
    "result": {"type": "extract", "task_id": "receipt_fields_v1", "request_id": "receipt-0001"},
    "error_rel": None,
    "error": None,
}
SUMMARY = {name: value for name, value in EXAMPLE.items() if not name.startswith(("result", "error"))}
FAILED: dict[str, Any] = {
    "job_id": EXAMPLE_ID,
    "error": {"code": "backend_unavailable", "message": "The model's server answered 503."},
    "error_rel": "extracts/2026-11-24/receipt-0001.json",
}


class JobAccepted(Answer):
    """A job that waits for its turn; `poll_url` tells how far it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"job_id": EXAMPLE_ID, "status": "queued", "poll_url": f"/v1/jobs/{EXAMPLE_ID}"}]
        }
    )

    job_id: str
    status: JobStatus
    poll_url: str


class JobProgress(Answer):
    """How far a job is: images of `total`, once that is known; `current` is the one begun last."""

    stage: str
    total: int | None = None
    done: int | None = None
    ok: int | None = None
    err: int | None = None
    current: str | None = None


class JobFailure(Answer):
    """Why a job did not succeed; `code` is stable."""

    code: str
    message: str


class JobSummary(Answer):
    """A job as lists show it."""

    job_id: str
    kind: JobKind
    status: JobStatus
    created_at: Time
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None
    owner_key_id: str
    owner_role: str
    cancel_requested: bool
    request: dict[str, Any]
    progress: JobProgress


class JobView(JobSummary):
    """A job, and where its result or error lies.

    `result_rel` names the artifact of the extract or of the batch run, `error_rel` the same where it tells what went
    wrong; `result_bytes` and `result_sha256` are the artifact's. `result` is `result_meta` under the name that older
    clients read; `/v1/jobs/{job_id}/result` gives all of it.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    result_rel: str | None
    result_meta: dict[str, Any] | None
    result_bytes: int | None
    result_sha256: str | None
    result: dict[str, Any] | None
    error_rel: str | None
    error: JobFailure | None


class JobPageAnswer(Answer):
    """Newest first; where a filter passes over many jobs, a page may hold fewer than asked for and lead on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [SUMMARY], "limit": 1, "next_cursor": EXAMPLE_ID}]}
    )

    items: list[JobSummary]
    limit: int
    next_cursor: str | None


class JobErrorAnswer(Answer):
    """Why a job did not succeed; `error_rel` names the artifact that tells more, where there is one."""

    model_config = ConfigDict(json_schema_extra={"examples": [FAILED]})

    job_id: str
    error: JobFailure
    error_rel: str | None


class CancelAnswer(Answer):
    model_config = ConfigDict(json_schema_extra={"examples": [{"ok": True}]})

    ok: bool = Field(description="The job is asked to end; poll it for what comes of that.")
