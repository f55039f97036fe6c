"""Uploads: a multipart body to an image set in the store, one file in memory at a time.

Belongs here: receiving the files, the form's fields, the ground truth that comes with them. Does not: reading multipart
(`incoming.multipart`), or what all batches have in common (`batching`).
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pydantic
from starlette.requests import Request

from ocrlty_api.auth.roles import Principal
from ocrlty_api.batching import (
    EXTRACT_JOB,
    UPLOAD,
    BatchDraft,
    batch_config,
    check_fields,
    check_ground_truth,
    check_size,
    read_gt_path,
    submission_of,
)
from ocrlty_api.error_responses import validation_failed
from ocrlty_api.errors import InvalidFieldError
from ocrlty_api.extracting import check_debugger
from ocrlty_api.incoming.contents import content_digest
from ocrlty_api.incoming.multipart import MultipartLimits, UploadedFile, read_multipart
from ocrlty_api.lanes.batches import BatchRunRequest
from ocrlty_api.schemas.batches import UploadFields
from ocrlty_api.state import AppState
from ocrlty_api.webhook_urls import check_webhook_url
from ocrlty_pipeline.pruning.plan import UPLOADED
from ocrlty_pipeline.uploads import Upload

FILES, GROUND_TRUTH = "files", "gt"
NOT_KEPT = frozenset({"false", "0", "no", "off", "f", "n"})
# Of a run_id, so many characters stand in the name of its image set, which has 128 at most.
SHOWN_OF_RUN_ID = 80


@dataclass(frozen=True, slots=True)
class Received:
    """An upload that has come whole; `ground_truth` is a JSON file's content."""

    upload: Upload
    fields: UploadFields
    ground_truth: bytes | None


class _Receiver:
    """Takes the files of one form as they come."""

    def __init__(self, state: AppState, key: Principal, *, waits: bool) -> None:
        self.fields: dict[str, str] = {}
        self.upload: Upload | None = None
        self.ground_truth: bytes | None = None
        self._state = state
        self._owner = key.key_id
        self._waits = waits

    async def take(self, file: UploadedFile) -> None:
        """
        Raises:
            PayloadTooLargeError: more files than a client may wait for.
            InvalidFieldError: a second ground truth, or one that is too large.
        """
        if file.field == GROUND_TRUTH:
            self._take_ground_truth(file)
            return
        if self.upload is None:
            kept = self.fields.get("persist_inputs", "").strip().lower() not in NOT_KEPT
            self.upload = Upload(self._state.services.store, self._owner, kept=kept)
        if self._waits and "limit" not in self.fields:
            check_size(self._state, UPLOAD, len(self.upload.items) + 1)
        data = file.data if file.data is not None else file.error
        await self.upload.add(file.name, data or b"")

    def _take_ground_truth(self, file: UploadedFile) -> None:
        if self.ground_truth is not None:
            raise InvalidFieldError(GROUND_TRUTH, "`gt` is given twice; give one ground truth.")
        if file.data is None:
            raise InvalidFieldError(GROUND_TRUTH, f"`gt` has {file.size} bytes, more than MAX_IMAGE_BYTES allows.")
        self.ground_truth = file.data


@asynccontextmanager
async def received_upload(state: AppState, key: Principal, request: Request, *, waits: bool) -> AsyncIterator[Received]:
    """Receive an upload; within the block it is checked. When either fails, what was not to be kept is gone.

    Args:
        state: of the application.
        key: who uploads.
        request: whose body was not read yet.
        waits: whether the client waits for the answer, which bounds the number of images.

    Raises:
        BadMultipartError, UnsupportedMediaTypeError: the body cannot be read.
        PayloadTooLargeError: too many files.
        ValidationFailedError: a field cannot be used.
        ForbiddenError: it asks for what only debuggers may.
        ImageSetError: there are no files, or nothing in them.
    """
    receiver = _Receiver(state, key, waits=waits)
    try:
        limits = MultipartLimits.of(state.settings, FILES, GROUND_TRUTH)
        await read_multipart(request, limits, receiver.take, receiver.fields)
        upload = receiver.upload or Upload(state.services.store, key.key_id)
        fields = _fields(receiver.fields)
        upload.check()
        _check_order(upload, fields)
        yield Received(upload, fields, await _ground_truth(state, key, fields, receiver.ground_truth))
    except BaseException:
        if receiver.upload is not None:
            await receiver.upload.discard()
        raise


async def plan_upload(
    state: AppState, key: Principal, received: Received, *, waits: bool, idempotency_key: str | None = None
) -> BatchDraft:
    """A batch over an upload; arguments and errors as `batching.plan_folder`, and those of its ground truth.

    Raises:
        GroundTruthError: it cannot be read, or speaks of none of the files.
    """
    fields, upload = received.fields, received.upload
    check_fields(state, fields.task_id, fields.run_id, fields.concurrency)
    _check_webhook(state, fields, waits=waits)
    images = min(len(upload.items), fields.limit or len(upload.items))
    if waits:
        check_size(state, UPLOAD, images)
    if received.ground_truth is not None:
        files = [item.file for item in upload.items]
        await asyncio.to_thread(check_ground_truth, received.ground_truth, fields.gt_image_key, files)
    run_id = fields.run_id or f"{UPLOADED}{uuid.uuid4().hex[:16]}"
    config = batch_config(state, key, {"limit": fields.limit}, run_id=run_id, concurrency=fields.concurrency)
    run = BatchRunRequest(EXTRACT_JOB, _image_set(key, run_id), fields.task_id, config, {})
    asked = content_digest(
        kind=UPLOAD,
        owner=key.key_id,
        files=await asyncio.to_thread(upload.content_sha256),
        fields=fields.model_dump(exclude={"run_id", "concurrency", "gt_json", "gt_path", "webhook_url"}),
        ground_truth=received.ground_truth,
    )
    request = fields.model_dump(mode="json", exclude={"gt_json"}) | {"files": len(upload.items)}

    async def prepare() -> None:
        image_set = await upload.register(run.image_set)
        # The run takes what was uploaded for it, whatever the set becomes before its turn.
        config["image_set_version"] = image_set.version
        if received.ground_truth is not None:
            image_sets = state.services.image_sets_of(key.key_id)
            await image_sets.attach_ground_truth(
                run.image_set, received.ground_truth, source="(upload)", image_key=fields.gt_image_key
            )

    submission = submission_of(key, fields.run_id, idempotency_key, asked)
    return BatchDraft(UPLOAD, run, request, submission, images, prepare, upload.discard)


def _fields(given: dict[str, str]) -> UploadFields:
    # A form has no null: a field that is left empty is one that is left out.
    values = {name: value for name, value in given.items() if value}
    try:
        return UploadFields.model_validate(values)
    except pydantic.ValidationError as error:
        errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise validation_failed(errors) from None


def _check_order(upload: Upload, fields: UploadFields) -> None:
    if upload.kept and not fields.persist_inputs:
        raise InvalidFieldError(
            "persist_inputs", "persist_inputs=false came after the files, which were kept by then: send it before them."
        )


def _check_webhook(state: AppState, fields: UploadFields, *, waits: bool) -> None:
    if waits and fields.webhook_url is not None:
        raise InvalidFieldError("webhook_url", f"webhook_url is for jobs: send the form to /v1/{UPLOAD}_async.")
    check_webhook_url(state, "webhook_url", fields.webhook_url)


async def _ground_truth(state: AppState, key: Principal, fields: UploadFields, file: bytes | None) -> bytes | None:
    if file is not None and (fields.gt_json is not None or fields.gt_path is not None):
        raise InvalidFieldError(GROUND_TRUTH, "`gt` and another ground truth are both given; give one.")
    if fields.gt_path is not None:
        check_debugger(state, key, "`gt_path`")
        return await asyncio.to_thread(read_gt_path, state, fields.gt_path)
    return fields.gt_json.encode() if fields.gt_json is not None else file


def _image_set(key: Principal, run_id: str) -> str:
    """One name for each run_id of each key; its digest tells apart what reads alike."""
    digest = hashlib.sha256(f"{key.key_id}\n{run_id}".encode()).hexdigest()[:24]
    return f"{UPLOADED}{run_id.removeprefix(UPLOADED)[:SHOWN_OF_RUN_ID]}-{digest}"
