"""From a body of a batch endpoint to a batch that can be executed: what is wrong is said now, sync and async alike.

Belongs here: which images, whose they are, bounds, ids. Does not: receiving files (`uploading`), or executing
(`batch_answers`, the lanes).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ocrlty_api.auth.roles import Principal
from ocrlty_api.errors import InvalidFieldError, NotFoundError, PayloadTooLargeError
from ocrlty_api.extracting import check_debugger, check_task, checked_overrides
from ocrlty_api.incoming.contents import content_digest
from ocrlty_api.lanes.batches import BatchRunRequest
from ocrlty_api.schemas.batches import FolderBatchBody, RerunBody
from ocrlty_api.state import AppState
from ocrlty_api.submissions import Submission
from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.batches.inputs import check_kept, source_run
from ocrlty_pipeline.errors import ArtifactNotFoundError, GroundTruthError, ImageSetError, InputError
from ocrlty_pipeline.ground_truth import ground_truth_of, load_ground_truth, read_ground_truth_file
from ocrlty_pipeline.image_folders import count_images
from ocrlty_pipeline.orchestration.job_records import Kind
from ocrlty_pipeline.records import BatchHeader

EXTRACT_JOB, RERUN_JOB = "batch_extract", "batch_rerun"
FOLDER: Kind = "batch_extract"
UPLOAD: Kind = "batch_extract_upload"
RERUN: Kind = "batch_extract_rerun"
DEFAULT_CONCURRENCY = 16


async def _nothing() -> None:
    """There is nothing to prepare."""


@dataclass(frozen=True, slots=True)
class BatchDraft:
    """A batch that has been checked and can be launched.

    Attributes:
        kind: the endpoint's name without `_async`.
        request: the body as it may be shown again, without files.
        submission: by which a repetition is known; None when the client gave no id.
        images: how many it will extract, as far as that is known before.
        prepare: makes what its run needs, such as the image set of an upload, and names it in the config of
            `run`; called before that is launched.
        abandon: removes what no run will need, for a draft that is not launched.
    """

    kind: Kind
    run: BatchRunRequest
    request: dict[str, Any]
    submission: Submission | None
    images: int
    prepare: Callable[[], Awaitable[None]] = _nothing
    abandon: Callable[[], Awaitable[None]] = _nothing


async def plan_folder(
    state: AppState, key: Principal, body: FolderBatchBody, *, waits: bool, idempotency_key: str | None = None
) -> BatchDraft:
    """A batch over a folder of the service.

    Args:
        state: of the application.
        key: who asks.
        body: what is asked.
        waits: whether the client waits for the answer, which bounds the number of images.
        idempotency_key: names the request where the body has no run_id.

    Raises:
        InputError: the run_id is none.
        InvalidFieldError: another field cannot be used; names it.
        ForbiddenError: the request asks for what only debuggers may.
        PayloadTooLargeError: more images than a client may wait for, or than a batch may have.
    """
    check_fields(state, body.task_id, body.run_id, body.concurrency)
    await _check_ground_truth(state, key, body)
    folder = state.settings.data_root_path / body.images_dir
    images = await _count(state, folder, body, waits=waits)
    if waits:
        check_size(state, FOLDER, images)
    _check_files(state, images)
    content = {"images_dir": str(folder), "glob": body.glob, "limit": body.limit}
    extraction: dict[str, Any] = dict(content)
    if body.gt_path is not None:
        extraction["gt_path"] = str(state.settings.data_root_path / body.gt_path)
        extraction["gt_image_key"] = body.gt_image_key
    name = hashlib.sha256(repr((key.key_id, sorted(content.items()))).encode()).hexdigest()[:24]
    run = BatchRunRequest(
        EXTRACT_JOB,
        f"folder-{name}",
        body.task_id,
        batch_config(state, key, extraction, run_id=body.run_id, concurrency=body.concurrency),
        {},
    )
    content_fields = body.model_dump(exclude={"run_id", "concurrency", "webhook_url"})
    asked = content_digest(kind=FOLDER, owner=key.key_id, body=content_fields)
    submission = submission_of(key, body.run_id, idempotency_key, asked)
    return BatchDraft(FOLDER, run, body.model_dump(mode="json"), submission, images)


async def plan_rerun(
    state: AppState, key: Principal, body: RerunBody, *, waits: bool, idempotency_key: str | None = None
) -> BatchDraft:
    """A batch over the images of an earlier run; arguments as `plan_folder`.

    Raises:
        NotFoundError: there is no such run, or it is another's: nobody learns which.
        ImageSetError: its inputs were not kept.
        InputError, InvalidFieldError, ForbiddenError, PayloadTooLargeError: as `plan_folder`.
    """
    check_id("run_id", body.run_id)
    source = await _source(state, key, body)
    task_id = body.task_id or source.task_id
    check_fields(state, task_id, body.new_run_id, body.concurrency)
    overrides = checked_overrides(state, key, body.debug)
    image_set = await state.services.image_sets.load(source.image_set, source.image_set_version)
    await check_kept(state.services, body.run_id, image_set)
    images = source.error_count + source.pending_count if body.only_failed else source.item_count
    if waits:
        check_size(state, RERUN, images)
    extraction = {
        "source_run_id": body.run_id,
        "only_failed": body.only_failed,
        "reuse_results": body.reuse_results,
        "overrides": overrides.to_json(),
    }
    run = BatchRunRequest(
        RERUN_JOB,
        source.image_set,
        task_id,
        batch_config(state, key, extraction, run_id=body.new_run_id, concurrency=body.concurrency),
        {"overrides": overrides.to_json()},
    )
    asked = content_digest(
        kind=RERUN,
        owner=key.key_id,
        source=[body.run_id, body.only_failed, body.reuse_results],
        task_id=task_id,
        overrides=overrides.to_json(),
    )
    submission = submission_of(key, body.new_run_id, idempotency_key, asked)
    return BatchDraft(RERUN, run, body.model_dump(mode="json"), submission, images)


def check_size(state: AppState, kind: str, images: int) -> None:
    """Refuse a batch that is too long to wait for.

    Raises:
        PayloadTooLargeError: names the endpoint that takes it.
    """
    limit = state.settings.max_batch_sync_files
    if images > limit:
        raise PayloadTooLargeError(
            f"The batch has more than MAX_BATCH_SYNC_FILES={limit} images, too many to wait for: "
            f"send it to /v1/{kind}_async, or give a limit."
        )


def check_fields(state: AppState, task_id: str, run_id: str | None, concurrency: int | None) -> None:
    """What every batch is checked for.

    Raises:
        InputError: the run_id is none.
        InvalidFieldError: no such task, or more calls in flight than may be.
    """
    if run_id is not None:
        check_id("run_id", run_id)
    check_task(state, task_id)
    bound = state.settings.jobs_max_concurrency
    if concurrency is not None and concurrency > bound:
        raise InvalidFieldError(
            "concurrency", f"concurrency {concurrency} is more than JOBS_MAX_CONCURRENCY={bound}; ask for less."
        )


def submission_of(key: Principal, run_id: str | None, idempotency_key: str | None, content: str) -> Submission | None:
    """By which a repetition is known: its run_id, else its Idempotency-Key."""
    if run_id is not None:
        return Submission.of_run(run_id, content)
    if idempotency_key is not None:
        return Submission.of_key(key.key_id, idempotency_key, content)
    return None


def batch_config(
    state: AppState, key: Principal, values: dict[str, Any], *, run_id: str | None, concurrency: int | None
) -> dict[str, Any]:
    """Config of the asset `extractions`: `values`, whose run it is, and what all batches have; without nulls."""
    bound = state.settings.jobs_max_concurrency
    everything = {
        **values,
        "run_id": run_id,
        "concurrency": concurrency or min(DEFAULT_CONCURRENCY, bound),
        **key.auth().model_dump(),
    }
    return {name: value for name, value in everything.items() if value is not None}


async def _check_ground_truth(state: AppState, key: Principal, body: FolderBatchBody) -> None:
    for name in ("gt_path", "gt_image_key"):
        if getattr(body, name) is not None:
            check_debugger(state, key, f"`{name}`")
    if body.gt_path is not None:
        await asyncio.to_thread(_check_gt_path, state, body.gt_path, body.gt_image_key or "file")


def _check_gt_path(state: AppState, path: str, image_key: str) -> None:
    ground_truth_of(load_ground_truth(read_gt_path(state, path)), image_key)


async def _count(state: AppState, folder: Path, body: FolderBatchBody, *, waits: bool) -> int:
    """How many images, as far as anything depends on it: whether there is one, whether there are too many, a quota."""
    settings, root = state.settings, state.settings.data_root_path
    at_most = settings.max_batch_files + 1
    if waits and settings.api_image_quota is None:
        at_most = min(at_most, settings.max_batch_sync_files + 1)
    at_most = min(at_most, body.limit or at_most)
    try:
        return await asyncio.to_thread(count_images, folder, body.glob, root, at_most=at_most)
    except ImageSetError as error:
        blamed = "glob" if error.message.startswith(("glob", "No image")) else "images_dir"
        raise InvalidFieldError(blamed, _without_root(error.message, root)) from None


def _check_files(state: AppState, images: int) -> None:
    limit = state.settings.max_batch_files
    if images > limit:
        raise PayloadTooLargeError(
            f"The folder has more than MAX_BATCH_FILES={limit} images: give a limit, or a glob that fewer of them fit."
        )


async def _source(state: AppState, key: Principal, body: RerunBody) -> BatchHeader:
    services = state.services
    unknown = NotFoundError(f"There is no finished batch run {body.run_id!r} of key {key.key_id!r}.")
    try:
        row = await asyncio.to_thread(services.runs.find, body.run_id)
    except ArtifactNotFoundError:
        raise unknown from None
    oldest = datetime.now(UTC).date() - timedelta(days=body.max_days) if body.max_days else row.day
    if not key.may_see(row.owner_key_id) or (body.batch_date or str(row.day)) != str(row.day) or row.day < oldest:
        raise unknown
    try:
        return await source_run(services, body.run_id, only_failed=body.only_failed)
    except InputError as error:
        raise InvalidFieldError("only_failed", error.message) from None


def read_gt_path(state: AppState, path: str) -> bytes:
    """A ground-truth file under DATA_ROOT; blocks.

    Raises:
        InvalidFieldError: it lies elsewhere, or cannot be read.
    """
    root = state.settings.data_root_path
    try:
        return read_ground_truth_file(root / path, root)
    except (GroundTruthError, OSError, RuntimeError, ValueError) as error:
        raise InvalidFieldError("gt_path", _without_root(str(error), root)) from None


def check_ground_truth(data: bytes, image_key: str, files: list[str]) -> None:
    """Refuse a ground truth that cannot be read, or speaks of none of the files; it may take a second.

    Raises:
        GroundTruthError: says what is wrong.
    """
    ground_truth_of(load_ground_truth(data), image_key).match(files)


def _without_root(message: str, root: Path) -> str:
    """A message about a path, for clients who need not know where on the service's disk it is."""
    return message.replace(f"={root}", "").replace(str(root), "DATA_ROOT")
