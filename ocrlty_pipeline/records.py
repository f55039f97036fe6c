"""The documents that extraction and batches leave behind: extract records, batch items, batch runs.

Belongs here: their fields and their JSON. Does not: how they come about, or where they are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict

from ocrlty_pipeline.errors import BackendMisconfiguredError, OcrltyError, TransientBackendError

BatchStatus = Literal["succeeded", "failed", "canceled"]


def utc_now() -> str:
    """Now in UTC, ISO 8601 with microseconds and `Z`."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Document(BaseModel):
    """Base of what is written as JSON: immutable, and read back leniently so that old artifacts stay readable."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    def to_bytes(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls.model_validate_json(data)


class RecordedError(Document):
    """An error as records keep it.

    Attributes:
        retryable: the failure lies outside the item (service down, wrong address): a batch run again tries it again.
    """

    code: str
    message: str
    detail: dict[str, Any] | None = None
    retryable: bool = False

    @classmethod
    def of(cls, error: OcrltyError) -> Self:
        outside = isinstance(error, TransientBackendError | BackendMisconfiguredError)
        return cls(code=error.code, message=error.message, detail=error.detail, retryable=outside)


class AttemptError(RecordedError):
    """One attempt that did not give the final answer, and what it was made with."""

    attempt: int
    resize_scale: float
    max_tokens: int
    temperature: float


class SchemaViolation(Document):
    """Where and how an answer departs from the task's schema; `path` is a JSONPath."""

    path: str
    message: str


class Auth(Document):
    """Who asked. The defaults stand for the person at the command line or in the Dagster UI."""

    key_id: str = "local"
    role: str = "admin"
    scopes: list[str] = []


class Timings(Document):
    """Milliseconds: `vllm` is the time in the backend, whichever it is, over all attempts."""

    vllm: float
    parse_validate: float
    total: float
    preprocess: float


class ModelFields(Document):
    """What determines an answer besides the image; the same on an extract record and on its batch run."""

    backend: str
    model_id: str
    prompt_sha256: str
    schema_sha256: str
    temperature: float
    max_tokens: int
    code_version: str


class Violation(Document):
    """A check without ground truth that an answer does not stand; `plausibility.checks` names them all."""

    check: str
    message: str
    paths: list[str]


class CheckCount(Document):
    """Of the images on which a check could be made, how many stood it."""

    passed: int
    violated: int


REUSE_FIELDS = ("backend", "model_id", "prompt_sha256", "schema_sha256", "temperature", "max_tokens")


def reuse_key(document: Mapping[str, Any]) -> str | None:
    """Digest of all that determines a record's answer: records of equal keys answer the same question.

    Args:
        document: a record's fields, `input.image_sha256` among them.

    Returns:
        None where there is no answer to reuse, or not all of it is known.
    """
    image = (document.get("input") or {}).get("image_sha256")
    determined_by = [image, document.get("task_id"), *map(document.get, REUSE_FIELDS)]
    if document.get("error") is not None or None in determined_by:
        return None
    # Numbers as floats: a schema or a client may write 0 for 0.0.
    parts = [float(part) if isinstance(part, int | float) else part for part in determined_by]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


class ExtractRecord(ModelFields):
    """One image through one task: the extract artifact. Complete whatever the outcome.

    Attributes:
        reused_from: key of the record that this one's answer was taken from, times and tokens included: the model was
            not asked again. None where it was.
    """

    request_id: str
    created_at: str
    task_id: str
    run_id: str | None
    dagster_run_id: str | None
    auth: Auth
    input: dict[str, Any]
    timings_ms: Timings
    usage: dict[str, int] | None
    raw: str | None
    parsed: Any
    schema_valid: bool | None
    schema_errors: list[SchemaViolation] | None
    error: RecordedError | None
    error_history: list[AttemptError] | None
    meta: dict[str, Any]
    reused_from: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the backend gave JSON; whether that follows the schema is `schema_valid`'s to say."""
        return self.error is None


class BatchItem(Document):
    """One image's line in a batch run.

    Attributes:
        checks_passed: names of the checks without ground truth that hold throughout.
        violations: those that do not, each with its values.
    """

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
    timings_ms: Timings
    usage: dict[str, int] | None
    checks_passed: list[str] = []
    violations: list[Violation] = []
    reused_from: str | None = None

    @classmethod
    def of(cls, record: ExtractRecord, *, file: str, artifact_rel: str) -> Self:
        checks = record.meta.get("checks", {})
        return cls(
            file=file,
            request_id=record.request_id,
            input_ref=record.input.get("image_ref"),
            artifact_rel=artifact_rel,
            ok=record.ok,
            parsed=record.parsed,
            schema_valid=record.schema_valid,
            schema_errors=record.schema_errors,
            error=record.error,
            error_history=record.error_history,
            timings_ms=record.timings_ms,
            usage=record.usage,
            checks_passed=checks.get("passed", []),
            violations=checks.get("violated", []),
            reused_from=record.reused_from,
        )


class BatchHeader(ModelFields):
    """A batch run without its items.

    Attributes:
        item_count: images the run was asked for; `ok_count + error_count + pending_count`.
        pending_count: images not attempted, because the run was cancelled or gave up.
        checks: by the name of a check without ground truth, on how many images it holds.
        reused_count: images for which this execution asked no model: an earlier execution of the run had, or their
            answers were taken from the records that `reused_from` names.
        usage: tokens of this execution's calls, as the backend counts them; empty where it counts none.
        source_run_id: the run whose inputs these are; None unless this is a rerun.
        only_failed: whether only those images were taken that had no result in the source run.
        resumed_from: the earlier run whose items this one continued; None for a fresh start.
        shard_size: of a run in shards, how many items each of them has, the last one fewer; the artifact's own `items`
            are empty then, and `Runs` reads them from the shards.
    """

    run_id: str
    created_at: str
    finished_at: str
    task_id: str
    status: BatchStatus
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
    schema_valid_count: int
    reused_count: int
    errors_by_code: dict[str, int]
    checks: dict[str, CheckCount] = {}
    usage: dict[str, int] = {}
    timings_ms: dict[str, float]
    auth: Auth
    dagster_run_id: str | None
    source_run_id: str | None
    only_failed: bool = False
    resumed_from: str | None
    shard_size: int | None = None


class BatchRun(BatchHeader):
    """One image set through one task: the batch artifact, items in the image set's order."""

    items: list[BatchItem]


def batch_bytes(header: BatchHeader, items: Iterable[bytes]) -> bytes:
    """The batch artifact's JSON from items that are JSON already: a large run never exists as objects in memory."""
    fields: Mapping[str, Any] = header.model_dump(mode="json")
    return orjson.dumps({**fields, "items": [orjson.Fragment(item) for item in items]})
