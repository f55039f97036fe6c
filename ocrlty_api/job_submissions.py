"""Submitting what has been checked as a job: stored where its run finds it, charged once, launched once.

Belongs here: from a checked request to a job's id. Does not: checking (`extracting`, `batching`), or Dagster (`lanes`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import orjson

from ocrlty_api.auth.roles import Principal
from ocrlty_api.batch_answers import refuse_taken, submit_batch
from ocrlty_api.batching import BatchDraft
from ocrlty_api.errors import ConflictError
from ocrlty_api.incoming.contents import content_digest
from ocrlty_api.lanes.batches import owner_tags, prepare_run
from ocrlty_api.schemas.extracts import ExtractJobBody
from ocrlty_api.state import AppState
from ocrlty_api.submissions import Submission, submit_once
from ocrlty_api.webhook_urls import webhook_tags
from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.extracts import ExtractRequest, is_record_of
from ocrlty_pipeline.images import SNIFFED_BYTES, type_of
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.jobs import EXTRACT

# Bytes of an image that are digested in less than a millisecond.
DIGESTED_AT_ONCE = 256 * 1024


async def submit_extract_job(state: AppState, key: Principal, wanted: ExtractRequest, body: ExtractJobBody) -> str:
    """Keep the image, and launch its extraction unless it was launched before; answers the job's id.

    Raises:
        ConflictError: the id is in use with other content.
        QuotaExceededError: the key's images are used up.
        DagsterUnavailableError: nothing can be launched now.
    """
    sha256 = await _sha256(wanted)

    async def launch(tags: Mapping[str, str]) -> str:
        is_there = await _is_extracted(state, wanted, sha256)
        async with state.limiter.images_charged(key, 0 if is_there else 1):
            image_ref = wanted.image_ref or await _kept(state, key, wanted, sha256)
            config = {"ops": {"extract_images": {"config": {"requests": [_config(key, wanted, body, image_ref)]}}}}
            of_job = {run_tags.REQUEST_ID: wanted.request_id, run_tags.TASK_ID: wanted.task_id, **_owner(key)}
            of_job |= webhook_tags({"webhook_url": body.webhook_url})
            return await state.durable.launch("extract", EXTRACT, config, {**of_job, **tags})

    submission = None if wanted.fresh else _submission(key, wanted, sha256)
    return (await submit_once(state, submission, launch)).job_id


async def check_id_for(state: AppState, key: Principal, wanted: ExtractRequest) -> bool:
    """Whether a request that is to be extracted at once has been extracted before; its id may be taken, too.

    Raises:
        ConflictError: the id stands for an extract or for a job with other content.
    """
    if wanted.fresh:
        return False
    sha256 = await _sha256(wanted)
    submission = _submission(key, wanted, sha256)
    # A job that still waits would find its id taken.
    submission.refuse_other(await state.submitted.ask(submission.id))
    return await _is_extracted(state, wanted, sha256)


async def submit_batch_job(state: AppState, key: Principal, draft: BatchDraft) -> str:
    """Launch a batch unless it was launched before; answers the job's id.

    Raises:
        ConflictError: its run_id stands for other content.
        QuotaExceededError: the key's images are used up.
        DagsterUnavailableError: nothing can be launched now.
    """

    async def launch(tags: Mapping[str, str]) -> str:
        await refuse_taken(state, key, draft)
        async with state.limiter.images_charged(key, draft.images):
            await draft.prepare()
            config, of_run = await prepare_run(state.shared, draft.run)
            config["ops"]["extractions"]["config"]["request"] = orjson.dumps(draft.request).decode()
            of_job = {**of_run, **owner_tags(draft.run, key.key_id), **_owner(key), **webhook_tags(draft.request)}
            return await state.durable.launch(draft.kind, draft.run.job, config, {**of_job, **tags})

    return (await submit_batch(state, draft, launch)).job_id


def _owner(key: Principal) -> dict[str, str]:
    return {run_tags.KEY_ID: key.key_id, run_tags.ROLE: key.role}


def _submission(key: Principal, wanted: ExtractRequest, sha256: str) -> Submission:
    asked = content_digest(
        kind="extract", owner=key.key_id, task_id=wanted.task_id, image=sha256, overrides=wanted.overrides.to_json()
    )
    return Submission.of_request(wanted.request_id, asked)


async def _sha256(wanted: ExtractRequest) -> str:
    """Of the image; the name of an input is its digest."""
    image = wanted.image
    if image is None:
        return PurePosixPath(str(wanted.image_ref)).stem
    return _digest(image) if len(image) < DIGESTED_AT_ONCE else await asyncio.to_thread(_digest, image)


def _digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


async def _is_extracted(state: AppState, wanted: ExtractRequest, sha256: str) -> bool:
    """Whether the extract is there already, so that nothing is paid for.

    Raises:
        ConflictError: the id stands for an extract with other content.
    """
    row = await state.extract_rows.ask(wanted.request_id)
    if row is None:
        return False
    taken = ConflictError(f"request_id {wanted.request_id!r} is in use with other content; choose another.")
    if row.owner_key_id != wanted.auth.key_id:
        raise taken
    try:
        record = await state.services.runs.extract(row)
    except ArtifactNotFoundError:
        return False  # deleted meanwhile
    if not is_record_of(record, wanted, sha256):
        raise taken
    return True


async def _kept(state: AppState, key: Principal, wanted: ExtractRequest, sha256: str) -> str:
    assert wanted.image is not None  # noqa: S101 -- it has no image_ref
    kind = type_of(wanted.image[:SNIFFED_BYTES])
    assert kind is not None  # noqa: S101 -- other images were refused
    return await state.services.store.put_input(key.key_id, wanted.image, kind[1], sha256)


def _config(key: Principal, wanted: ExtractRequest, body: ExtractJobBody, image_ref: str) -> dict[str, Any]:
    """The op's config of this one request; Dagster's config holds no nulls."""
    shown = {
        **body.model_dump(mode="json"),
        "request_id": wanted.request_id,
        "image_base64": None,
        "image_url": wanted.described.get("image_url"),
        "image_ref": image_ref,
    }
    return {
        "task_id": wanted.task_id,
        "image_ref": image_ref,
        "request_id": wanted.request_id,
        "overrides": wanted.overrides.to_json(),
        "described": orjson.dumps(dict(wanted.described)).decode(),
        "request": orjson.dumps(shown).decode(),
        **key.auth().model_dump(),
    }
