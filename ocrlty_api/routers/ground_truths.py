"""The registry of ground truths: by image set, in versions, with drafts from runs' answers.

A version is an ETag: `If-Match` makes an edit fail where somebody else's came between.
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response

from ocrlty_api.auth.dependencies import Debugger, KeyFirst
from ocrlty_api.auth.roles import LOCAL_KEY_ID, Principal
from ocrlty_api.errors import BadMultipartError, BadRequestError, NotFoundError, ValidationFailedError
from ocrlty_api.incoming.ground_truth_body import read_ground_truth
from ocrlty_api.openapi import JSON_BODY, KEYED, documented
from ocrlty_api.routers.runs import Limit, visible_run
from ocrlty_api.routing import JsonRoute
from ocrlty_api.schemas.common import Id
from ocrlty_api.schemas.ground_truths import (
    DraftBody,
    GroundTruthAnswer,
    GroundTruthBody,
    GroundTruthEdit,
    GroundTruthPage,
    GroundTruthSummary,
    KeptAnswer,
)
from ocrlty_api.state import AppState, State
from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.errors import (
    ArtifactConflictError,
    ArtifactNotFoundError,
    GroundTruthError,
    ImageSetError,
    InputError,
    StaleVersionError,
)
from ocrlty_pipeline.ground_truth_registry import GivenGroundTruth, GroundTruthVersions, KeptGroundTruth

router = APIRouter(tags=["ground truths"], route_class=JsonRoute)
# Bodies that are JSON or a form, which the handlers read themselves.
uploads = APIRouter(route_class=KeyFirst)

ALL = "/v1/ground_truths"
ONE = f"{ALL}/{{image_set}}"
DRAFT = f"{ONE}/draft"

T = TypeVar("T")
_ETAG = re.compile(r'(?:W/)?"?([1-9][0-9]{0,8})"?\Z')

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=64, description="The version that was read: its ETag.")
]
READING = (*KEYED, InputError, NotFoundError)
FITTING = (GroundTruthError, ImageSetError)
WRITING = (*READING, *JSON_BODY, BadMultipartError, *FITTING, ArtifactConflictError)


def _body(model: type[GroundTruthEdit], required: list[str]) -> dict[str, Any]:
    """The request's body for OpenAPI, in its two forms."""
    fields = {"file": {"type": "string", "format": "binary"}, "image_key": {"type": "string"}}
    if "image_set" in required:
        fields["image_set"] = {"type": "string"}
    form = {"type": "object", "required": required, "properties": fields}
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema, "example": schema["examples"][0]},
                "multipart/form-data": {"schema": form},
            },
        }
    }


@router.get(ALL, responses=documented(*KEYED, InputError, ValidationFailedError))
async def list_ground_truths(
    state: State,
    key: Debugger,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=128, description="`next_cursor` of the page before.")] = None,
    *,
    draft: Annotated[bool, Query(description="Drafts instead.")] = False,
) -> GroundTruthPage:
    """Your ground truths by image set; an admin's list has everybody's."""
    if cursor is not None:
        check_id("cursor", cursor)
    owner = None if key.is_admin else key.key_id
    index = state.services.ground_truth_index
    rows = await asyncio.to_thread(index.page, limit=limit + 1, after=cursor, owner=owner, draft=draft)
    items = [GroundTruthSummary.of(row) for row in rows[:limit]]
    return GroundTruthPage(items=items, limit=limit, next_cursor=items[-1].image_set if len(rows) > limit else None)


@uploads.post(
    ALL, status_code=201, responses=documented(*WRITING), openapi_extra=_body(GroundTruthBody, ["file", "image_set"])
)
async def create(request: Request, response: Response, state: State, key: Debugger) -> KeptAnswer:
    """Give an image set its first ground truth: as JSON, or as a file in a form."""
    given = await read_ground_truth(request, key, max_bytes=state.settings.max_image_bytes)
    await _check_image_set(state, key, given.image_set)
    kept = await state.services.ground_truths.create(given)
    response.headers["Location"] = f"/v1/ground_truths/{given.image_set}"
    return _answered(response, kept, draft=False)


@router.get(ONE, responses=documented(*READING, ValidationFailedError))
async def read(
    response: Response,
    state: State,
    key: Debugger,
    image_set: Id,
    version: Annotated[int | None, Query(ge=1, le=10**9, description="One of `versions`; the latest if none.")] = None,
) -> GroundTruthAnswer:
    """A ground truth of yours, of whichever version."""
    return await _read(response, state.services.ground_truths.versions, key, image_set, version)


@uploads.put(
    ONE,
    responses=documented(*WRITING, StaleVersionError),
    openapi_extra=_body(GroundTruthEdit, ["file"]),
)
async def replace(  # noqa: PLR0913, PLR0917 -- one parameter a part of the request
    request: Request, response: Response, state: State, key: Debugger, image_set: Id, if_match: IfMatch = None
) -> KeptAnswer:
    """Store the next version of a ground truth of yours, whole; the same content again changes nothing."""
    truths = state.services.ground_truths
    expected = await _editable(truths.versions, key, image_set, if_match)
    given = await _given(request, state, key, image_set)
    return _answered(response, await _found(truths.replace(given, expected=expected)), draft=False)


@router.delete(ONE, status_code=204, responses=documented(*READING, StaleVersionError))
async def remove(state: State, key: Debugger, image_set: Id, if_match: IfMatch = None) -> None:
    """Delete a ground truth of yours, all of its versions; evaluations made with it stay."""
    await _remove(state.services.ground_truths.versions, key, image_set, if_match)


@router.post(DRAFT, status_code=201, responses=documented(*WRITING))
async def create_draft(response: Response, state: State, key: Debugger, image_set: Id, body: DraftBody) -> KeptAnswer:
    """Make the answers of a run of yours over this image set a draft, to be corrected and then confirmed."""
    row = await visible_run(state, key, body.run_id)
    if row.image_set != check_id("image_set", image_set):
        raise NotFoundError(f"Run {body.run_id!r} is not one over image set {image_set!r}.")
    await _check_image_set(state, key, image_set)
    kept = await state.services.ground_truth_drafts.create(row, key.key_id)
    response.headers["Location"] = f"/v1/ground_truths/{image_set}/draft"
    return _answered(response, kept, draft=True)


@router.get(DRAFT, responses=documented(*READING, ValidationFailedError))
async def read_draft(
    response: Response,
    state: State,
    key: Debugger,
    image_set: Id,
    version: Annotated[int | None, Query(ge=1, le=10**9, description="One of `versions`; the latest if none.")] = None,
) -> GroundTruthAnswer:
    """A draft of yours; no evaluation uses it."""
    return await _read(response, state.services.ground_truth_drafts.versions, key, image_set, version)


@uploads.put(
    DRAFT,
    responses=documented(*WRITING, StaleVersionError),
    openapi_extra=_body(GroundTruthEdit, ["file"]),
)
async def replace_draft(  # noqa: PLR0913, PLR0917 -- likewise
    request: Request, response: Response, state: State, key: Debugger, image_set: Id, if_match: IfMatch = None
) -> KeptAnswer:
    """Store a draft of yours anew, whole, as its next version."""
    drafts = state.services.ground_truth_drafts
    expected = await _editable(drafts.versions, key, image_set, if_match)
    given = await _given(request, state, key, image_set)
    return _answered(response, await _found(drafts.replace(given, expected=expected)), draft=True)


@router.delete(DRAFT, status_code=204, responses=documented(*READING, StaleVersionError))
async def remove_draft(state: State, key: Debugger, image_set: Id, if_match: IfMatch = None) -> None:
    """Throw a draft of yours away."""
    await _remove(state.services.ground_truth_drafts.versions, key, image_set, if_match)


@router.post(f"{DRAFT}/confirm", responses=documented(*READING, *FITTING, ArtifactConflictError, StaleVersionError))
async def confirm_draft(
    response: Response, state: State, key: Debugger, image_set: Id, if_match: IfMatch = None
) -> KeptAnswer:
    """Make a draft of yours the ground truth of its image set, or the next version of yours."""
    drafts, truths = state.services.ground_truth_drafts, state.services.ground_truths
    expected = await _editable(drafts.versions, key, image_set, if_match)
    if await truths.versions.numbers(image_set):
        await _visible(truths.versions, key, image_set)
    return _answered(response, await _found(drafts.confirm(image_set, expected=expected)), draft=False)


async def _found(work: Awaitable[T]) -> T:
    """What `work` gives; what it does not find, in words for clients."""
    try:
        return await work
    except ArtifactNotFoundError as error:
        raise NotFoundError(error.message) from None


async def _visible(
    versions: GroundTruthVersions, key: Principal, image_set: str, version: int | None = None
) -> GroundTruthAnswer:
    numbers = await versions.numbers(check_id("image_set", image_set))
    stored = await _found(versions.read(image_set, version))
    if not key.may_see(stored.owner_key_id):
        raise NotFoundError(f"There is no ground truth of image set {image_set!r} that is key {key.key_id!r}'s.")
    return GroundTruthAnswer.of_stored(stored, numbers, draft=versions.draft)


async def _read(
    response: Response, versions: GroundTruthVersions, key: Principal, image_set: str, version: int | None
) -> GroundTruthAnswer:
    answer = await _visible(versions, key, image_set, version)
    response.headers["ETag"] = f'"{answer.version}"'
    return answer


async def _editable(versions: GroundTruthVersions, key: Principal, image_set: str, if_match: str | None) -> int | None:
    """The version that the client says it has read; None when it does not say."""
    await _visible(versions, key, image_set)
    if if_match is None or if_match.strip() == "*":
        return None
    match = _ETAG.match(if_match.strip())
    if match is None:
        raise BadRequestError(f'If-Match {if_match!r} is no version: send the ETag that was read, such as "3".')
    return int(match[1])


async def _remove(versions: GroundTruthVersions, key: Principal, image_set: str, if_match: str | None) -> None:
    expected = await _editable(versions, key, image_set, if_match)
    await _found(versions.remove(image_set, expected=expected))


async def _given(request: Request, state: AppState, key: Principal, image_set: str) -> GivenGroundTruth:
    return await read_ground_truth(request, key, max_bytes=state.settings.max_image_bytes, image_set=image_set)


async def _check_image_set(state: AppState, key: Principal, name: str) -> None:
    """Refuse what is another client's; those that were imported on the server are everybody's to describe.

    Raises:
        ImageSetError: there is no such image set, or it is another's: nobody learns which.
    """
    check_id("image_set", name)
    unknown = ImageSetError(f"There is no image set {name!r} of key {key.key_id!r}.")
    try:
        manifest = await state.services.image_sets.load(name)
    except ImageSetError:
        raise unknown from None
    if manifest.owner != LOCAL_KEY_ID and not key.may_see(manifest.owner):
        raise unknown


def _answered(response: Response, kept: KeptGroundTruth, *, draft: bool) -> KeptAnswer:
    response.headers["ETag"] = f'"{kept.stored.version}"'
    return KeptAnswer.of_kept(kept, draft=draft)


router.include_router(uploads)
