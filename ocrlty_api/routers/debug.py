"""Looking behind the scenes: artifacts as they are stored, what the model said, a backup, scores at will.

All of it is 404 unless DEBUG_MODE=1.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BeforeValidator

from ocrlty_api.auth.dependencies import Debugger, RawReader
from ocrlty_api.auth.roles import Principal
from ocrlty_api.batching import read_gt_path
from ocrlty_api.errors import ForbiddenError, NotFoundError, ValidationFailedError
from ocrlty_api.openapi import JSON_BODY, KEYED, documented
from ocrlty_api.routers.runs import Limit, visible_run
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.common import Id
from ocrlty_api.schemas.debug import ArtifactDocument, ArtifactList, ListedArtifact, ScoreAnswer, ScoreBody
from ocrlty_api.state import AppState, State
from ocrlty_pipeline.artifacts.backup import backup
from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.db.models import ArtifactKind
from ocrlty_pipeline.errors import ArtifactNotFoundError, GroundTruthError, InputError, TaskError
from ocrlty_pipeline.evaluation.results import eval_block
from ocrlty_pipeline.ground_truth import load_ground_truth
from ocrlty_pipeline.image_sets import StoredGroundTruth
from ocrlty_pipeline.records import utc_now
from ocrlty_pipeline.scoring import Against, save_evaluation, score_batch


def debug_only(state: State) -> None:
    """
    Raises:
        NotFoundError: this service has nothing here.
    """
    if not state.settings.debug_mode:
        raise NotFoundError("There is nothing here on a service without DEBUG_MODE=1.")


def _iso_date(text: str) -> date:
    """`YYYY-MM-DD`, and none of the numbers that pydantic would take for a date as well."""
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()


router = APIRouter(prefix="/v1/debug", tags=["debug"], route_class=JsonRoute, dependencies=[Depends(debug_only)])

ERRORS = (*KEYED, NotFoundError)
ONE = (*ERRORS, InputError, ArtifactNotFoundError)
SCORING = (*KEYED, *JSON_BODY, NotFoundError, InputError, GroundTruthError, TaskError)
ARCHIVE = {"description": "A .tar.gz of all artifacts.", "content": {"application/gzip": {}}}
PLAIN = {"description": "What the model said, word for word.", "content": {"text/plain": {}}}


@router.get("/artifacts", responses=documented(*ERRORS, ValidationFailedError))
async def list_artifacts(
    state: State,
    key: RawReader,
    limit: Limit = 50,
    date: Annotated[
        date | None, BeforeValidator(_iso_date), Query(description="Only those created on this day, in UTC.")
    ] = None,
) -> ArtifactList:
    """The newest artifacts of all kinds."""
    owner = None if key.is_admin else key.key_id
    rows = await asyncio.to_thread(state.services.index.newest, limit=limit, day=date, owner=owner)
    return ArtifactList(items=[ListedArtifact.of(row) for row in rows])


@router.get(
    "/artifacts/backup.tar.gz",
    response_class=StreamingResponse,
    responses={**documented(*ERRORS, ValidationFailedError), 200: ARCHIVE},
)
async def download_backup(
    state: State, key: RawReader, *, inputs: Annotated[bool, Query(description="The images as well.")] = False
) -> StreamingResponse:
    """All artifacts as one archive for `ocrlty restore`, streamed; admins only, for it holds everybody's."""
    if not key.is_admin:
        raise ForbiddenError(f"Key {key.key_id!r} is no admin's, and a backup holds everybody's artifacts.")
    pieces = backup(state.services.store, inputs=inputs)
    # Storage that cannot be read is an error only as long as the answer has not begun.
    first = await anext(pieces)
    return StreamingResponse(
        _beginning_with(first, pieces),
        media_type="application/gzip",
        headers={"Content-Disposition": 'attachment; filename="ocrlty-backup.tar.gz"'},
    )


@router.get("/artifacts/{request_id}", response_model=ArtifactDocument, responses=documented(*ONE))
async def get_artifact(state: State, key: RawReader, request_id: Id) -> Response:
    """The artifact of an id as it is stored: an extract, else a batch run, else an evaluation."""
    row = await asyncio.to_thread(_found, state, key, request_id, get_args(ArtifactKind))
    return Response(await state.services.store.get(row.rel_ref), media_type="application/json")


@router.get("/artifacts/{request_id}/raw", response_class=PlainTextResponse, responses={**documented(*ONE), 200: PLAIN})
async def get_raw(state: State, key: RawReader, request_id: Id) -> PlainTextResponse:
    """What the model said in an extract, word for word."""
    row = await asyncio.to_thread(_found, state, key, request_id, ("extract",))
    record = await state.services.runs.extract(row)
    if record.raw is None:
        raise NotFoundError(f"The model said nothing in extract {request_id!r}: its error tells why.")
    return PlainTextResponse(record.raw, headers={"X-Content-Type-Options": "nosniff"})


@router.post(
    "/eval/batch_vs_gt",
    responses=documented(*KEYED, *JSON_BODY, NotFoundError, InputError, GroundTruthError, TaskError),
)
async def score(state: State, key: Debugger, body: ScoreBody) -> ScoreAnswer:
    """Score a batch run of yours against a ground truth, and keep the evaluation."""
    row = await visible_run(state, key, body.run_id)
    return await state.computing.run(_scored, state, row, body)


async def _beginning_with(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def _found(state: AppState, key: Principal, artifact_id: str, kinds: tuple[ArtifactKind, ...]) -> IndexRow:
    """
    Raises:
        InputError: the id is none.
        NotFoundError: no artifact of these kinds has it, or none that the key may see.
    """
    check_id("request_id", artifact_id)
    for kind in kinds:
        row = state.services.index.find(kind, artifact_id)
        if row is not None and key.may_see(row.owner_key_id):
            return row
    raise NotFoundError(f"There is no artifact {artifact_id!r} of key {key.key_id!r}.")


def _scored(state: AppState, row: IndexRow, body: ScoreBody) -> ScoreAnswer:
    services = state.services
    evaluation = score_batch(services, row, Against(given=_given(state, row, body), image_key=body.gt_image_key))
    block = eval_block(evaluation, save_evaluation(services, evaluation))
    facts = evaluation.model_dump(include={"eval_id", "run_id", "ground_truth_version"})
    return ScoreAnswer.model_validate({**block, **facts})


def _given(state: AppState, row: IndexRow, body: ScoreBody) -> StoredGroundTruth | None:
    """The ground truth that the body brings or names; None for the stored one.

    Raises:
        InvalidFieldError: there is no such file under DATA_ROOT.
        GroundTruthError: it cannot be read.
        NotFoundError: there is no such version.
    """
    if body.version is not None:
        return _stored(state, str(row.image_set), body.version)
    if body.gt_path is not None:
        content = load_ground_truth(read_gt_path(state, body.gt_path))
    elif body.ground_truth is not None:
        content = body.ground_truth
    else:
        return None
    return StoredGroundTruth(
        image_set=str(row.image_set),
        created_at=utc_now(),
        source=body.gt_path or "(request)",
        image_key=body.gt_image_key or "file",
        content=content,
    )


def _stored(state: AppState, image_set: str, version: int) -> StoredGroundTruth:
    try:
        return asyncio.run(state.services.ground_truths.versions.read(image_set, version))
    except ArtifactNotFoundError as error:
        raise NotFoundError(error.message) from None
