"""Batch runs that have ended, their items and their evaluations; listed by the index, never by reading artifacts."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.convertors import StringConvertor, register_url_convertor

from ocrlty_api.auth.dependencies import Extractor, RunDeleter
from ocrlty_api.auth.roles import Principal
from ocrlty_api.cursors import created_cursor, parse_created_cursor, parse_position
from ocrlty_api.errors import NotFoundError, ValidationFailedError
from ocrlty_api.lanes.active_runs import active_owners
from ocrlty_api.openapi import KEYED, documented
from ocrlty_api.routers.extracts import may_read_raw
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.common import Id
from ocrlty_api.schemas.runs import (
    ComparisonAnswer,
    DeletedRunAnswer,
    EvaluationDocument,
    RecordAnswer,
    RunDocument,
    RunItemPage,
    RunPage,
    RunSummary,
)
from ocrlty_api.state import AppState, State
from ocrlty_pipeline.artifacts.index import IndexRow
from ocrlty_pipeline.artifacts.keys import check_id, parse_document_key
from ocrlty_pipeline.comparing import compare_runs
from ocrlty_pipeline.errors import ArtifactNotFoundError, GroundTruthError, InputError, RunActiveError, TaskError
from ocrlty_pipeline.extracts import StoredExtract
from ocrlty_pipeline.run_deletion import delete_run


class _RunConvertor(StringConvertor):
    """The last segment of a run's path: none that stands for something else, or `Allow` would name too much."""

    regex = r"(?!(?:eval|compare)\Z)[^/]+"


register_url_convertor("run", _RunConvertor())
router = APIRouter(tags=["runs"], route_class=JsonRoute)

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
CursorText = Annotated[str | None, Query(max_length=300, description="`next_cursor` of the page before.")]
ERRORS = (*KEYED, ValidationFailedError)
ONE = (*KEYED, InputError, NotFoundError, ArtifactNotFoundError)
ARTIFACT = {"schema": {"type": "object"}, "example": {"run_id": "receipts-1", "status": "succeeded", "items": []}}
LOCATION = {"schema": {"type": "string", "format": "uri"}}


@router.get("/v1/runs", responses=documented(*ERRORS))
async def list_runs(
    state: State,
    key: Extractor,
    limit: Limit = 50,
    cursor: CursorText = None,
    task_id: Annotated[str | None, Query(max_length=128, description="Only runs of this task.")] = None,
) -> RunPage:
    """Your batch runs that have ended, newest first; an admin's list has everybody's."""
    owner = None if key.is_admin else key.key_id
    after = parse_created_cursor(cursor)
    runs = await asyncio.to_thread(
        state.services.index.runs, limit=limit + 1, cursor=after, owner=owner, task_id=task_id
    )
    page = runs[:limit]
    return RunPage(
        items=[RunSummary.of(run) for run in page],
        limit=limit,
        next_cursor=created_cursor(page[-1].row.cursor) if len(runs) > limit else None,
    )


@router.get("/v1/runs/item/{request_id}", responses=documented(*ONE))
async def get_item(state: State, key: Extractor, request_id: Id) -> RecordAnswer:
    """One record: a single extract of yours, or an item of a batch run of yours."""
    row = await asyncio.to_thread(state.services.index.find, "extract", check_id("request_id", request_id))
    if row is None or not key.may_see(row.owner_key_id):
        raise NotFoundError(f"There is no extract {request_id!r} of key {key.key_id!r}.")
    record = await state.services.runs.extract(row)
    return RecordAnswer.of(StoredExtract(record, row.rel_ref), with_raw=may_read_raw(state, key))


@router.get("/v1/runs/eval", response_model=EvaluationDocument, responses=documented(*ONE, ValidationFailedError))
async def get_evaluation(
    state: State,
    key: Extractor,
    artifact_rel: Annotated[str, Query(max_length=1024, description="An `eval_artifact_rel` of a run of yours.")],
) -> Response:
    """One evaluation of a batch run of yours, whole."""
    named = parse_document_key(artifact_rel)
    if named is None or named[0] != "eval":
        raise InputError("artifact_rel is not an evaluation's: use the eval_artifact_rel of a run's `eval`.")
    row = await asyncio.to_thread(visible_evaluation, state, key, named[2])
    if row is None or row.rel_ref != artifact_rel:
        raise NotFoundError(f"There is no evaluation {artifact_rel} of a run of key {key.key_id!r}.")
    return Response(await state.services.store.get(row.rel_ref), media_type="application/json")


@router.get("/v1/runs/compare", responses=documented(*ONE, GroundTruthError, TaskError, ValidationFailedError))
async def compare(
    state: State,
    key: Extractor,
    a: Annotated[Id, Query(description="The run to compare with.")],
    b: Annotated[Id, Query(description="The run in question.")],
    intersection: Annotated[bool, Query(description="Leave out images that only one of them has.")] = False,  # noqa: FBT002 -- part of the query
) -> ComparisonAnswer:
    """Whether run `b` is better than run `a` over the same images, where, and whether by more than chance."""
    for run_id in (a, b):
        await visible_run(state, key, run_id)
    return await state.computing.run(_compared, state, a, b, intersection=intersection)


@router.get("/v1/runs/{run_id:run}", response_model=RunDocument, responses=documented(*ONE))
async def get_run(state: State, key: Extractor, run_id: Id) -> Response:
    """One batch run, whole: for a large one, page over its items instead."""
    row = await visible_run(state, key, run_id)
    return StreamingResponse(await state.services.runs.document_chunks(row), media_type="application/json")


@router.get("/v1/runs/{run_id}/items", responses=documented(*ONE, ValidationFailedError))
async def list_items(  # noqa: PLR0913, PLR0917 -- one parameter an option
    state: State,
    key: Extractor,
    run_id: Id,
    limit: Limit = 50,
    cursor: CursorText = None,
    status: Annotated[Literal["ok", "error"] | None, Query(description="Only items of this outcome.")] = None,
) -> RunItemPage:
    """The items of a batch run, in its image set's order."""
    after = parse_position(cursor)
    row = await visible_run(state, key, run_id)
    ok = None if status is None else status == "ok"
    page = await state.services.runs.items(row, limit=limit, after=after, ok=ok)
    return RunItemPage(
        items=page.items, limit=limit, next_cursor=None if page.next_after is None else str(page.next_after)
    )


@router.get(
    "/v1/runs/{run_id}/artifact",
    response_class=Response,
    responses={
        **documented(*ONE, ValidationFailedError),
        200: {"description": "The artifact.", "content": {"application/json": ARTIFACT}},
        307: {"description": "Where it can be read for a while without a key.", "headers": {"Location": LOCATION}},
    },
)
async def get_artifact(
    state: State,
    key: Extractor,
    run_id: Id,
    direct: Annotated[bool, Query(description="Whether the answer may lead to the bucket.")] = True,  # noqa: FBT002 -- part of the query
) -> Response:
    """The batch artifact of a run of yours, as it is stored, however large: from the bucket itself where there is one.

    A client that follows must not send its key on: the URL's own signature is all that the bucket takes.
    """
    row = await visible_run(state, key, run_id)
    seconds = state.settings.s3_presigned_url_s
    if direct and seconds and (url := await state.services.store.presigned(row.rel_ref, seconds)) is not None:
        return RedirectResponse(url, headers={"Cache-Control": "no-store"})
    artifact = await state.services.store.open(row.rel_ref)
    headers = {
        "Content-Length": str(artifact.size),
        "Content-Disposition": f'attachment; filename="{row.artifact_id}.json"',
    }
    return StreamingResponse(artifact.chunks, media_type="application/json", headers=headers)


@router.delete("/v1/runs/{run_id:run}", responses=documented(*ONE, RunActiveError))
async def remove_run(state: State, key: RunDeleter, run_id: Id) -> DeletedRunAnswer:
    """Delete a batch run with its evaluations and those of its extracts that no other run has; inputs stay.

    Interrupted, it completes when it is sent again.
    """
    owners = await active_owners(state.shared, check_id("run_id", run_id))
    if any(key.may_see(owner) for owner in owners):
        raise RunActiveError(f"Run {run_id!r} is active; cancel its job or wait for its end, then delete it.")
    row = await visible_run(state, key, run_id)

    async def is_active(run_id: str) -> bool:
        return bool(await active_owners(state.shared, run_id))

    deleted = await delete_run(state.services, run_id, row.day, is_active)
    return DeletedRunAnswer.model_validate(deleted, from_attributes=True)


def _compared(state: AppState, a: str, b: str, *, intersection: bool) -> ComparisonAnswer:
    compared = compare_runs(state.services, a, b, intersection=intersection)
    return ComparisonAnswer.model_validate(compared, from_attributes=True)


async def visible_run(state: AppState, key: Principal, run_id: str) -> IndexRow:
    """The row of a batch run that the key may see.

    Raises:
        InputError: the id is none.
        NotFoundError: there is no such run that has ended, or it is another's: nobody learns which.
    """
    row = await asyncio.to_thread(state.services.index.find, "batch", check_id("run_id", run_id))
    if row is None or not key.may_see(row.owner_key_id):
        raise NotFoundError(f"There is no finished run {run_id!r} of key {key.key_id!r}.")
    return row


def visible_evaluation(state: AppState, key: Principal, eval_id: str) -> IndexRow | None:
    """The row of an evaluation whose run the key may see, or None; blocks."""
    index = state.services.index
    row = index.find("eval", eval_id)
    run = None if row is None or row.run_id is None else index.find("batch", row.run_id)
    return row if key.is_admin or (run is not None and key.may_see(run.owner_key_id)) else None
