"""Jobs: how far they are, what came of them, and how to stop them."""

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse

from ocrlty_api.auth.dependencies import Extractor
from ocrlty_api.errors import BadRequestError, JobNotEndedError, NotFoundError, ValidationFailedError
from ocrlty_api.job_events import EVENT_SCHEMA, EVENT_STREAM, job_events
from ocrlty_api.jobs import error_of, job_of, result_row, summary, view
from ocrlty_api.openapi import KEYED, documented
from ocrlty_api.routers.extracts import may_read_raw
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.batches import BatchAnswer
from ocrlty_api.schemas.extracts import ExtractAnswer
from ocrlty_api.schemas.jobs import CancelAnswer, JobErrorAnswer, JobKind, JobPageAnswer, JobStatus, JobView
from ocrlty_api.state import AppState, State
from ocrlty_api.waiting import job_after
from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.extracts import StoredExtract

router = APIRouter(tags=["jobs"], route_class=JsonRoute)

MAX_WAIT_S = 60
SHOWN_CHARACTERS = 160
# A proxy must neither keep events nor hold them back (the second is nginx's).
STREAMED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
JobId = Annotated[str, Path(max_length=256, description="`job_id` of an answer 202.")]
ONE = (*KEYED, NotFoundError, ValidationFailedError)


@router.get("/v1/jobs", responses=documented(*KEYED, ValidationFailedError))
async def list_jobs(  # noqa: PLR0913, PLR0917 -- one parameter a part of the query
    state: State,
    key: Extractor,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=256, description="`next_cursor` of the page before.")] = None,
    status: Annotated[JobStatus | None, Query(description="Only jobs that are so now.")] = None,
    kind: Annotated[JobKind | None, Query(description="Only jobs of this kind.")] = None,
) -> JobPageAnswer:
    """Your jobs, newest first; an admin's list has everybody's."""
    if cursor is not None and not (_RUN_ID.match(cursor) and await state.durable.has_run(cursor)):
        raise BadRequestError(
            f"cursor {cursor[:SHOWN_CHARACTERS]!r} is none of this list's: use the next_cursor of the page before."
        )
    owner = None if key.is_admin else key.key_id
    page = await state.durable.page(limit=limit, cursor=cursor, owner=owner, status=status, kind=kind)
    return JobPageAnswer(items=[summary(job) for job in page.jobs], limit=limit, next_cursor=page.next_cursor)


@router.get("/v1/jobs/{job_id}", responses=documented(*ONE))
async def get_job(
    state: State,
    key: Extractor,
    job_id: JobId,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Answer when the job changes, after so many seconds at most.")
    ] = 0,
) -> JobView:
    """One job; with `wait`, once its status or progress changes."""
    job = await job_of(state, key, job_id)
    if wait and not job.ended:
        job = await job_after(state, job, wait)
    return await view(state, job)


@router.get(
    "/v1/jobs/{job_id}/result",
    response_model=ExtractAnswer | BatchAnswer,
    responses=documented(*ONE, JobNotEndedError, ArtifactNotFoundError),
)
async def get_result(state: State, key: Extractor, job_id: JobId) -> ExtractAnswer | StreamingResponse:
    """What a job made: the extract as the endpoint that waits would have answered, or the batch run, whole."""
    job = await job_of(state, key, job_id)
    row = await result_row(state, job)
    if row.kind == "batch":
        # As it is stored: a run of 100,000 images is neither held whole nor looked through.
        return StreamingResponse(await state.services.runs.document_chunks(row), media_type="application/json")
    return await _extract(state, row, with_raw=may_read_raw(state, key))


@router.get("/v1/jobs/{job_id}/error", responses=documented(*ONE, JobNotEndedError))
async def get_error(state: State, key: Extractor, job_id: JobId) -> JobErrorAnswer:
    """Why a job failed, or that it was cancelled."""
    return await error_of(state, await job_of(state, key, job_id))


@router.post("/v1/jobs/{job_id}/cancel", responses=documented(*ONE))
async def cancel_job(state: State, key: Extractor, job_id: JobId) -> CancelAnswer:
    """Ask a job to end. Calls in flight come home, what is done stays; a job that has ended stays as it is."""
    await state.durable.cancel(await job_of(state, key, job_id))
    return CancelAnswer(ok=True)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {EVENT_STREAM: {"schema": EVENT_SCHEMA}}}, **documented(*ONE)},
)
async def stream_events(state: State, key: Extractor, job_id: JobId, request: Request) -> StreamingResponse:
    """Server-sent events: `progress` whenever the job changes, and `end` once; their data is the job.

    A client that comes back with `Last-Event-ID` is not told again what it knows.
    """
    job = await job_of(state, key, job_id)
    events = job_events(state, job, last_id=request.headers.get("last-event-id"))
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=STREAMED)


async def _extract(state: AppState, row: IndexRow, *, with_raw: bool) -> ExtractAnswer:
    record = await state.services.runs.extract(row)
    return await asyncio.to_thread(ExtractAnswer.of, StoredExtract(record, row.rel_ref), with_raw=with_raw)
