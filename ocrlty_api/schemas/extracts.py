"""Single extracts: the request, and the answer that clients parse."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from ocrlty_api.schemas.common import JOB_WEBHOOK, Answer, Id, RequestBody, WebhookUrl
from ocrlty_pipeline.extracts import StoredExtract
from ocrlty_pipeline.overrides import MAX_PROMPT_CHARACTERS, MAX_TEMPERATURE, Overrides
from ocrlty_pipeline.records import AttemptError, RecordedError, SchemaViolation

# A white PNG of 28 x 28 pixels, for documentation.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAFklEQVR42mP8z4AbMDGMSo5KjkpCAQCD/gE3G98i8wAAAABJRU5ErkJggg=="
)
IMAGE_FIELDS = ("image_base64", "image_ref", "image_url")


class DebugOptions(RequestBody):
    """What a debugger changes for one request; needs DEBUG_MODE=1 and the scope debug:run."""

    prompt_override: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)] | None = None
    schema_override: dict[str, Any] | None = Field(None, description="A JSON Schema (draft 2020-12) of an object.")
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    def overrides(self) -> Overrides:
        """
        Raises:
            TaskError: the schema is none.
            InputError: another value is out of bounds.
        """
        return Overrides(
            prompt=self.prompt_override,
            schema=self.schema_override,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )


class ExtractBody(RequestBody):
    """One image for one task; exactly one of `image_base64`, `image_ref` and `image_url` brings it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"task_id": "receipt_fields_v1", "image_base64": EXAMPLE_IMAGE, "request_id": "receipt-0001"},
            ],
            "oneOf": [
                {"required": ["image_base64"], "properties": {"image_base64": {"type": "string"}}},
                {"required": ["image_ref"], "properties": {"image_ref": {"type": "string"}}},
                {"required": ["image_url"], "properties": {"image_url": {"type": "string"}}},
            ],
        }
    )

    task_id: Annotated[str, Field(min_length=1, max_length=64, description="One that /v1/tasks lists.")]
    image_base64: str | None = Field(None, description="The file in base64 (RFC 4648, padded), without a data URL.")
    image_ref: Annotated[str, Field(max_length=1024)] | None = Field(None, description="One of your inputs, inputs/...")
    image_url: Annotated[str, Field(max_length=2048)] | None = Field(
        None, description="Debug only: fetched from there."
    )
    mime_type: Annotated[str, Field(max_length=255)] | None = Field(
        None, description="Ignored: the type is found by the image's content."
    )
    request_id: Id | None = Field(None, description="Names the extract; sent again, it gives what is there.")
    debug: DebugOptions | None = None

    @model_validator(mode="after")
    def _one_image(self) -> Self:
        given = [name for name in IMAGE_FIELDS if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"exactly one of {', '.join(IMAGE_FIELDS)} must be given; {found}")
        return self


class ExtractJobBody(ExtractBody):
    """The same as a job, of whose end an address may be told."""

    webhook_url: WebhookUrl | None = Field(None, description=JOB_WEBHOOK)


class ExtractTimings(Answer):
    """Milliseconds; `vllm` is the time in the backend, whichever it is."""

    vllm: float
    parse_validate: float
    total: float
    preprocess: float


class ExtractAnswer(Answer):
    """One extract. `error` is set when there is no JSON, `schema_errors` when it departs from the task's schema."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "receipt-0001",
                    "created_at": "2026-11-24T00:08:29.123456Z",
                    "task_id": "receipt_fields_v1",
                    "artifact_rel": "extracts/2026-11-24/receipt-0001.json",
                    "backend": "vllm",
                    "model_id": "Qwen/Qwen3-VL-8B-Instruct",
                    "prompt_sha256": "121e2d58ca44" + "0" * 52,
                    "schema_sha256": "c6c22069f80a" + "0" * 52,
                    "timings_ms": {"vllm": 812.4, "parse_validate": 0.3, "total": 815.0, "preprocess": 1.9},
                    "usage": {"prompt_tokens": 431, "completion_tokens": 58, "total_tokens": 489},
                    "raw": None,
                    "parsed": {"total": "82.50", "tax": None},
                    "schema_valid": True,
                    "schema_errors": None,
                    "error": None,
                    "error_history": None,
                    "meta": {"attempts": 1, "resize_scale": 1.0, "max_tokens_effective": 1024, "image_tokens_est": 400},
                }
            ]
        }
    )

    request_id: str
    created_at: str
    task_id: str
    artifact_rel: str
    backend: str
    model_id: str
    prompt_sha256: str
    schema_sha256: str
    timings_ms: ExtractTimings
    usage: dict[str, int] | None
    raw: str | None = Field(description="What the model said; only with DEBUG_MODE=1 and the scope debug:read_raw.")
    parsed: Any
    schema_valid: bool | None
    schema_errors: list[SchemaViolation] | None
    error: RecordedError | None
    error_history: list[AttemptError] | None
    meta: dict[str, Any]

    @classmethod
    def of(cls, stored: StoredExtract, *, with_raw: bool) -> Self:
        record = stored.record
        raw = record.raw if with_raw else None
        return cls.model_validate({**record.model_dump(), "artifact_rel": stored.rel, "raw": raw})
