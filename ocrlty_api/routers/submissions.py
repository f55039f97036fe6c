"""The same work as jobs: checked at once, answered with 202, done when its turn comes."""

from fastapi import APIRouter, Request, Response

from ocrlty_api.accepting import accepted
from ocrlty_api.auth.dependencies import Extractor, KeyFirst
from ocrlty_api.batching import plan_folder, plan_rerun
from ocrlty_api.errors import (
    BadMultipartError,
    ConflictError,
    DagsterUnavailableError,
    ImageUrlUnreachableError,
    NotFoundError,
    QuotaExceededError,
)
from ocrlty_api.extracting import extract_request
from ocrlty_api.job_submissions import submit_batch_job, submit_extract_job
from ocrlty_api.openapi import JSON_BODY, KEYED, documented
from ocrlty_api.routers.extracts import IdempotencyKey
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.batches import UPLOAD_JOB_BODY, FolderJobBody, RerunJobBody
from ocrlty_api.schemas.extracts import ExtractJobBody
from ocrlty_api.schemas.jobs import JobAccepted
from ocrlty_api.state import State
from ocrlty_api.uploading import plan_upload, received_upload
from ocrlty_api.webhook_urls import check_webhook_url
from ocrlty_pipeline.errors import GroundTruthError, ImageSetError, InputError

router = APIRouter(tags=["jobs"], route_class=JsonRoute)
uploads_router = APIRouter(tags=["jobs"], route_class=KeyFirst)

ERRORS = (*KEYED, *JSON_BODY, InputError, ConflictError, NotFoundError, QuotaExceededError, DagsterUnavailableError)
BATCH = (*ERRORS, ImageSetError, GroundTruthError)


@router.post("/v1/extract_async", status_code=202, responses=documented(*ERRORS, ImageUrlUnreachableError))
async def extract_async(
    state: State, key: Extractor, response: Response, body: ExtractJobBody, idempotency_key: IdempotencyKey = None
) -> JobAccepted:
    """Extract one image as a job; the image is kept as an input of yours."""
    check_webhook_url(state, "webhook_url", body.webhook_url)
    wanted = await extract_request(state, key, body, idempotency_key=idempotency_key)
    return await accepted(state, response, await submit_extract_job(state, key, wanted, body))


@router.post("/v1/batch_extract_async", status_code=202, responses=documented(*BATCH))
async def batch_extract_async(
    state: State, key: Extractor, response: Response, body: FolderJobBody, idempotency_key: IdempotencyKey = None
) -> JobAccepted:
    """Extract a folder of the service as a job."""
    check_webhook_url(state, "webhook_url", body.webhook_url)
    draft = await plan_folder(state, key, body, waits=False, idempotency_key=idempotency_key)
    return await accepted(state, response, await submit_batch_job(state, key, draft))


@router.post("/v1/batch_extract_rerun_async", status_code=202, responses=documented(*BATCH))
async def batch_extract_rerun_async(
    state: State, key: Extractor, response: Response, body: RerunJobBody, idempotency_key: IdempotencyKey = None
) -> JobAccepted:
    """Extract the images of an earlier run again as a job."""
    check_webhook_url(state, "webhook_url", body.webhook_url)
    draft = await plan_rerun(state, key, body, waits=False, idempotency_key=idempotency_key)
    return await accepted(state, response, await submit_batch_job(state, key, draft))


@uploads_router.post(
    "/v1/batch_extract_upload_async",
    status_code=202,
    responses=documented(*BATCH, BadMultipartError),
    openapi_extra=UPLOAD_JOB_BODY,
)
async def batch_extract_upload_async(
    request: Request, state: State, key: Extractor, response: Response, idempotency_key: IdempotencyKey = None
) -> JobAccepted:
    """Extract the files of a form as a job; it is accepted when all of them are stored."""
    async with received_upload(state, key, request, waits=False) as received:
        draft = await plan_upload(state, key, received, waits=False, idempotency_key=idempotency_key)
    return await accepted(state, response, await submit_batch_job(state, key, draft))
