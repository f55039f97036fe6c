"""One image at a time, answered as soon as its record is durable."""

from typing import Annotated

from fastapi import APIRouter, Header, Request

from ocrlty_api.auth.dependencies import Extractor
from ocrlty_api.auth.roles import Principal, Scope
from ocrlty_api.disconnects import while_connected
from ocrlty_api.errors import ConflictError, ImageUrlUnreachableError, NotFoundError, QuotaExceededError
from ocrlty_api.extracting import extract_request
from ocrlty_api.job_submissions import check_id_for
from ocrlty_api.openapi import JSON_BODY, KEYED, documented
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.extracts import ExtractAnswer, ExtractBody
from ocrlty_api.state import AppState, State
from ocrlty_pipeline.errors import ArtifactConflictError, BusyError, InputError, WorkerDiedError

router = APIRouter(tags=["extracts"], route_class=JsonRoute)

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", max_length=255, description="Names a request without an id.")
]
ERRORS = (
    InputError,
    NotFoundError,
    ConflictError,
    ArtifactConflictError,
    ImageUrlUnreachableError,
    QuotaExceededError,
    BusyError,
    WorkerDiedError,
)


@router.post("/v1/extract", responses=documented(*KEYED, *JSON_BODY, *ERRORS))
async def extract(
    request: Request, state: State, key: Extractor, body: ExtractBody, idempotency_key: IdempotencyKey = None
) -> ExtractAnswer:
    """Extract one image. What is wrong with the image, the model's call or its answer stands in the answer's `error`.

    Sent again under the same `request_id` with the same content, it gives the extract that is there.
    """
    wanted = await extract_request(state, key, body, idempotency_key=idempotency_key)
    is_there = await check_id_for(state, key, wanted)
    async with state.limiter.images_charged(key, 0 if is_there else 1):
        stored = await while_connected(request, state.online.extract(wanted))
    if not stored.reused:
        state.metrics.observe_extract(stored.record)
    return ExtractAnswer.of(stored, with_raw=may_read_raw(state, key))


def may_read_raw(state: AppState, key: Principal) -> bool:
    """Whether answers show the key what the model said, word for word."""
    return state.settings.debug_mode and Scope.DEBUG_READ_RAW in key.scopes
