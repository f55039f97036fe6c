"""Many images at once: uploads, folders of the service, reruns; answered when the batch has ended."""

from fastapi import APIRouter, Request

from ocrlty_api.auth.dependencies import Extractor, KeyFirst
from ocrlty_api.batch_answers import answer_batch
from ocrlty_api.batching import plan_folder, plan_rerun
from ocrlty_api.disconnects import while_connected
from ocrlty_api.errors import (
    BadMultipartError,
    ConflictError,
    NotFoundError,
    QuotaExceededError,
    UnavailableError,
)
from ocrlty_api.openapi import JSON_BODY, KEYED, documented
from ocrlty_api.routers.extracts import IdempotencyKey
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.batches import UPLOAD_BODY, BatchAnswer, FolderBatchBody, RerunBody
from ocrlty_api.state import State
from ocrlty_api.uploading import plan_upload, received_upload
from ocrlty_pipeline.errors import BusyError, GroundTruthError, ImageSetError, InputError, WorkerDiedError

WAITED_FOR = (
    InputError,
    ImageSetError,
    GroundTruthError,
    ConflictError,
    QuotaExceededError,
    BusyError,
    WorkerDiedError,
    UnavailableError,
)

router = APIRouter(tags=["batches"], route_class=JsonRoute)
uploads_router = APIRouter(tags=["batches"], route_class=KeyFirst)


@router.post("/v1/batch_extract", responses=documented(*KEYED, *JSON_BODY, *WAITED_FOR))
async def batch_extract(
    request: Request, state: State, key: Extractor, body: FolderBatchBody, idempotency_key: IdempotencyKey = None
) -> BatchAnswer:
    """Extract a folder of the service, up to MAX_BATCH_SYNC_FILES images. It ends when the client goes away."""
    state.batches.check_room()
    draft = await plan_folder(state, key, body, waits=True, idempotency_key=idempotency_key)
    return await while_connected(request, answer_batch(state, key, draft))


@router.post("/v1/batch_extract_rerun", responses=documented(*KEYED, *JSON_BODY, *WAITED_FOR, NotFoundError))
async def batch_extract_rerun(
    request: Request, state: State, key: Extractor, body: RerunBody, idempotency_key: IdempotencyKey = None
) -> BatchAnswer:
    """Extract the images of an earlier run again; what has not changed is taken over, not asked again."""
    state.batches.check_room()
    draft = await plan_rerun(state, key, body, waits=True, idempotency_key=idempotency_key)
    return await while_connected(request, answer_batch(state, key, draft))


@uploads_router.post(
    "/v1/batch_extract_upload",
    responses=documented(*KEYED, *JSON_BODY, *WAITED_FOR, BadMultipartError),
    openapi_extra=UPLOAD_BODY,
)
async def batch_extract_upload(
    request: Request, state: State, key: Extractor, idempotency_key: IdempotencyKey = None
) -> BatchAnswer:
    """Extract the files of a form, up to MAX_BATCH_SYNC_FILES. It ends when the client goes away."""
    state.batches.check_room()
    async with received_upload(state, key, request, waits=True) as received:
        draft = await plan_upload(state, key, received, waits=True, idempotency_key=idempotency_key)
    return await while_connected(request, answer_batch(state, key, draft))
