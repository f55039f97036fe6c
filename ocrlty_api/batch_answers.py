"""A batch that a client waits for: from a draft to the answer.

Belongs here: launching it once, waiting, and what its end means. Does not: checking what was asked (`batching`), or
jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ocrlty_api.auth.roles import Principal
from ocrlty_api.batching import BatchDraft
from ocrlty_api.error_responses import INTERNAL
from ocrlty_api.errors import ConflictError, InternalError, LaunchUnknownError
from ocrlty_api.lanes.batches import EndedBatch, owner_tags
from ocrlty_api.schemas.batches import BatchAnswer
from ocrlty_api.state import AppState
from ocrlty_api.submissions import Launch, Submitted, submit_once
from ocrlty_pipeline.errors import ArtifactNotFoundError, OcrltyError


async def answer_batch(state: AppState, key: Principal, draft: BatchDraft) -> BatchAnswer:
    """Execute a batch and answer with it; cancelled, it ends the batch, unless somebody else waits for it too.

    Raises:
        ConflictError: its run_id stands for other content.
        QuotaExceededError: the key's images are used up.
        BusyError: as many batches wait as may.
        OcrltyError: the batch came to nothing, as it says.
    """
    async with _abandoned_unless_launched(draft, _launch_of(state, key, draft)) as launch:
        while True:
            submitted = await _submitted(state, draft, launch)
            ended = await state.batches.wait(submitted.dagster_run_id)
            # It ended since others who waited for it have gone, or was about to end before this client came.
            if not (ended.abandoned or (ended.canceled and submitted.ending)):
                return await _answer(state, ended)


async def refuse_taken(state: AppState, key: Principal, draft: BatchDraft) -> None:
    """Refuse the run_id of another key's run, which the API may not have launched.

    Raises:
        ConflictError: without a word on the run.
    """
    run_id = draft.run.extraction.get("run_id")
    row = await asyncio.to_thread(state.services.index.find, "batch", run_id) if run_id else None
    if row is not None and row.owner_key_id != key.key_id:
        raise ConflictError(f"run_id {run_id!r} is in use with other content; choose another.")


async def submit_batch(state: AppState, draft: BatchDraft, launch: Launch) -> Submitted:
    """Submit a draft as a job, once; what no run needs of it is removed.

    Raises:
        ConflictError: its run_id stands for other content.
        OcrltyError: what `launch` raises.
    """
    async with _abandoned_unless_launched(draft, launch) as noted:
        return await submit_once(state, draft.submission, noted)


@asynccontextmanager
async def _abandoned_unless_launched(draft: BatchDraft, launch: Launch) -> AsyncIterator[Launch]:
    """Within the block, `launch`; after it, what no run needs of the draft is removed.

    Where it is not known whether a run was launched, one may need all of it: it is left to pruning.
    """
    needed = False

    async def noted(tags: Mapping[str, str]) -> str:
        nonlocal needed
        needed = True
        try:
            return await launch(tags)
        except (LaunchUnknownError, asyncio.CancelledError):
            raise
        except BaseException:
            needed = False
            raise

    try:
        yield noted
    finally:
        if not needed:
            await draft.abandon()


def _launch_of(state: AppState, key: Principal, draft: BatchDraft) -> Launch:
    async def launch(tags: Mapping[str, str]) -> str:
        await refuse_taken(state, key, draft)
        state.batches.check_room()
        async with state.limiter.images_charged(key, draft.images):
            await draft.prepare()
            return await state.batches.start(draft.run, {**owner_tags(draft.run, key.key_id), **tags})

    return launch


async def _submitted(state: AppState, draft: BatchDraft, launch: Launch) -> Submitted:
    launching = asyncio.create_task(submit_once(state, draft.submission, launch, waits=True))
    try:
        return await asyncio.shield(launching)
    except asyncio.CancelledError:
        # A run that is being created cannot be called back before it is there.
        submitted = await launching
        if not submitted.repeated and not state.closing.is_set():
            await state.batches.cancel(submitted.dagster_run_id)
        raise


async def _answer(state: AppState, ended: EndedBatch) -> BatchAnswer:
    """The batch, whatever came of its images; an error where there is none, or where it could not be scored."""
    runs = state.services.runs
    try:
        row = await asyncio.to_thread(runs.find, ended.batch_run_id or "")
    except ArtifactNotFoundError:
        raise _error(ended) from None
    answer = BatchAnswer.model_validate(await runs.document(row))
    if ended.failure is not None and answer.status == "succeeded":
        raise _error(ended)
    return answer


def _error(ended: EndedBatch) -> OcrltyError:
    if ended.failure is None:
        what = "was cancelled before it began" if ended.canceled else "was deleted meanwhile"
        return ConflictError(f"The batch {what}; send it again.")
    kind = _by_code(OcrltyError).get(ended.failure.code or "")
    return kind(ended.failure.message) if kind else InternalError(INTERNAL)


def _by_code(base: type[OcrltyError]) -> dict[str, type[OcrltyError]]:
    kinds = {base.code: base}
    for kind in base.__subclasses__():
        # What the API refuses by itself is never a run's failure.
        if kind.__module__ == OcrltyError.__module__:
            kinds |= _by_code(kind)
    return kinds
