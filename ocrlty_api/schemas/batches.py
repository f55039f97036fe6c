"""Batches: what clients send for many images at once, and the answer that they parse."""

from copy import deepcopy
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ocrlty_api.schemas.common import ID_PATTERN, JOB_WEBHOOK, Answer, Id, RequestBody, WebhookUrl
from ocrlty_api.schemas.extracts import DebugOptions
from ocrlty_pipeline.records import AttemptError, RecordedError, SchemaViolation

MAX_COUNT = 10_000_000
TaskId = Annotated[str, Field(min_length=1, max_length=64, description="One that /v1/tasks lists.")]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Concurrency = Annotated[
    int, Field(ge=1, le=MAX_COUNT, description="Calls in flight, at most JOBS_MAX_CONCURRENCY of the service.")
]
RunId = Annotated[Id, Field(description="Names the run; sent again with the same content, it gives what is there.")]
ImageKey = Annotated[str, Field(min_length=1, max_length=256)]

EXAMPLE_ITEM = {
    "file": "cord_0001.jpg",
    "request_id": "465cc6d64a0ea09fc1e5315de8dfe776",
    "input_ref": "inputs/client-1/4e/ee/4eeef6f59cc6.jpg",
    "artifact_rel": "extracts/2026-11-24/465cc6d64a0ea09fc1e5315de8dfe776.json",
    "ok": True,
    "parsed": {"total": "82.50", "tax": None},
    "schema_valid": True,
    "schema_errors": None,
    "error": None,
    "error_history": None,
    "timings_ms": {"vllm": 812.4, "parse_validate": 0.3, "total": 815.0, "preprocess": 1.9},
    "usage": {"prompt_tokens": 431, "completion_tokens": 58, "total_tokens": 489},
    "reused_from": None,
}
EXAMPLE: dict[str, Any] = {
    "run_id": "monday-1",
    "created_at": "2026-11-24T00:08:30.123456Z",
    "task_id": "receipt_fields_v1",
    "status": "succeeded",
    "status_reason": None,
    "images_dir": "(upload)",
    "glob": "(upload)",
    "concurrency": 2,
    "item_count": 1,
    "ok_count": 1,
    "error_count": 0,
    "artifact_rel": "batches/2026-11-24/monday-1.json",
    "items": [EXAMPLE_ITEM],
    "eval": None,
}


class FolderBatchBody(RequestBody):
    """A folder on the service's own disk, through one task."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"task_id": "receipt_fields_v1", "images_dir": "receipts", "glob": "*.jpg"}]}
    )

    task_id: TaskId
    images_dir: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Folder under DATA_ROOT: absolute, or relative to it."
    )
    glob: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        "**/*", description="Which files of the folder, for example '*.jpg'."
    )
    limit: Count | None = Field(None, description="Only the first so many images.")
    concurrency: Concurrency | None = None
    run_id: RunId | None = None
    gt_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="Debug only: a ground-truth file under DATA_ROOT, against which the run is scored."
    )
    gt_image_key: ImageKey | None = Field(None, description="Debug only: key under which its entries name their image.")


class FolderJobBody(FolderBatchBody):
    """The same as a job, of whose end an address may be told."""

    webhook_url: WebhookUrl | None = Field(None, description=JOB_WEBHOOK)


class RerunBody(RequestBody):
    """The images of an earlier run again, through another task or prompt, or those that failed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"run_id": "monday-1", "new_run_id": "monday-2"}]})

    run_id: Id = Field(description="The earlier run.")
    batch_date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = Field(
        None, description="UTC day of the earlier run; it is found without."
    )
    max_days: Annotated[int, Field(ge=1, le=36500)] | None = Field(
        None, description="How many days ago the earlier run may be."
    )
    new_run_id: RunId | None = None
    concurrency: Concurrency | None = None
    task_id: TaskId | None = Field(None, description="Another task; the earlier run's own when left out.")
    only_failed: bool = Field(False, description="Only the images for which the earlier run has no result.")
    reuse_results: bool = Field(
        True, description="Take over answers whose image, prompt, schema, model and parameters are all unchanged."
    )
    debug: DebugOptions | None = None


class RerunJobBody(RerunBody):
    """The same as a job, of whose end an address may be told."""

    webhook_url: WebhookUrl | None = Field(None, description=JOB_WEBHOOK)


class UploadFields(BaseModel):
    """The fields of an upload beside its files, as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True)

    task_id: TaskId
    persist_inputs: bool = True
    concurrency: Concurrency | None = None
    run_id: str | None = None
    limit: Count | None = None
    gt_json: str | None = None
    gt_image_key: ImageKey = "file"
    gt_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    webhook_url: WebhookUrl | None = None

    @model_validator(mode="after")
    def _one_ground_truth(self) -> Self:
        if self.gt_json is not None and self.gt_path is not None:
            raise ValueError("gt_json and gt_path are both given; give one ground truth")
        return self


# What `UploadFields` and the files are to OpenAPI: FastAPI does not read these bodies itself.
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["task_id", "files"],
                    "properties": {
                        "task_id": {"type": "string", "description": "One that /v1/tasks lists."},
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "One part for each image; its file name is the item's `file`.",
                        },
                        "persist_inputs": {
                            "type": "boolean",
                            "default": True,
                            "description": "Whether the files are kept, as a rerun needs them; before the files.",
                        },
                        "concurrency": {"type": "integer", "minimum": 1, "description": "Calls in flight."},
                        "run_id": {"type": "string", "pattern": ID_PATTERN, "description": "Names the run."},
                        "limit": {"type": "integer", "minimum": 1, "description": "Only the first so many images."},
                        "gt": {
                            "type": "string",
                            "format": "binary",
                            "description": "A ground-truth file (JSON), against which the run is scored.",
                        },
                        "gt_json": {"type": "string", "description": "The same as a field."},
                        "gt_image_key": {
                            "type": "string",
                            "default": "file",
                            "description": "Key under which an entry of the ground truth names its image.",
                        },
                        "gt_path": {"type": "string", "description": "Debug only: the same under DATA_ROOT."},
                    },
                },
                "encoding": {"files": {"contentType": "image/*"}},
            }
        },
    }
}


UPLOAD_JOB_BODY = deepcopy(UPLOAD_BODY)
_form = UPLOAD_JOB_BODY["requestBody"]["content"]["multipart/form-data"]["schema"]
_form["properties"]["webhook_url"] = {"type": "string", "format": "uri", "description": JOB_WEBHOOK}


class ItemTimings(Answer):
    """Milliseconds; `vllm` is the time in the backend, whichever it is."""

    vllm: float
    parse_validate: float
    total: float
    preprocess: float


class BatchItemAnswer(Answer):
    """One image of a batch; `reused_from` names the record whose answer was taken over."""

    file: str
    request_id: str
    input_ref: str | None
    artifact_rel: str
    ok: bool
    parsed: Any
    schema_valid: bool | None
    schema_errors: list[SchemaViolation] | None
    error: RecordedError | None
    error_history: list[AttemptError] | None
    timings_ms: ItemTimings
    usage: dict[str, int] | None = None
    reused_from: str | None = None


class BatchAnswer(Answer):
    """One batch run, items in the order of its images.

    `status` is failed when no image gave a result, or the model was given up on; what was not tried is
    `pending_count`. `eval` is there where there is ground truth.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    run_id: str
    created_at: str
    finished_at: str | None = None
    task_id: str
    status: Literal["succeeded", "failed", "canceled"]
    status_reason: str | None
    image_set: str
    image_set_version: int
    images_dir: str
    glob: str
    concurrency: int
    item_count: int
    ok_count: int
    error_count: int
    pending_count: int
    reused_count: int
    source_run_id: str | None
    only_failed: bool = False
    resumed_from: str | None = Field(None, description="The run that broke off and that this one continued.")
    backend: str
    model_id: str
    prompt_sha256: str
    schema_sha256: str
    usage: dict[str, int] = Field({}, description="Tokens of the calls that this run made; not of answers taken over.")
    timings_ms: dict[str, float]
    artifact_rel: str
    items: list[BatchItemAnswer]
    eval: dict[str, Any] | None
