"""Reports: the pages that show evaluations, and their previews, under the links that the pages themselves have."""

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Path, Response

from ocrlty_api.auth.dependencies import Extractor
from ocrlty_api.auth.roles import Principal
from ocrlty_api.errors import NotFoundError
from ocrlty_api.openapi import KEYED, documented
from ocrlty_api.routers.runs import visible_evaluation
from ocrlty_api.routing import JsonRoute
from ocrlty_api.state import AppState, State
from ocrlty_pipeline.artifacts.keys import content_type, report_of
from ocrlty_pipeline.errors import ArtifactNotFoundError

router = APIRouter(tags=["runs"], route_class=JsonRoute)

SHOWN_CHARACTERS = 160
_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
_REPORT = re.compile(rf"reports/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/({_ID})\.html\Z")
_PREVIEW = re.compile(rf"previews/({_ID})/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.jpg\Z")
EXAMPLE = "reports/2026-11-24/eval-7c975a5c77684d94.html"


@router.get(
    "/v1/reports/{rel:path}",
    response_class=Response,
    responses={
        200: {
            "description": "The page (HTML), or a preview (JPEG).",
            "content": {
                "text/html": {"schema": {"type": "string"}, "example": "<!doctype html>..."},
                "image/jpeg": {"schema": {"type": "string", "format": "binary"}, "example": ""},
            },
        },
        **documented(*KEYED, NotFoundError, ArtifactNotFoundError),
    },
)
async def get_report(
    state: State,
    key: Extractor,
    rel: Annotated[str, Path(max_length=1024, description="A `report_rel` of a run of yours.", examples=[EXAMPLE])],
) -> Response:
    """The page of an evaluation of a run of yours, or a preview of an input of yours."""
    if not await asyncio.to_thread(_is_visible, state, key, rel):
        raise NotFoundError(f"There is no report {rel[:SHOWN_CHARACTERS]!r} of a run of key {key.key_id!r}.")
    data = await state.services.store.get(rel)
    return Response(data, media_type=content_type(rel), headers={"X-Content-Type-Options": "nosniff"})


def _is_visible(state: AppState, key: Principal, rel: str) -> bool:
    """An evaluation's page is its run's owner's, a preview its input's; a comparison of two runs is an admin's."""
    if (preview := _PREVIEW.match(rel)) is not None:
        return key.may_see(preview[1])
    if (report := _REPORT.match(rel)) is None:
        return False
    row = visible_evaluation(state, key, report[1])
    return key.is_admin or (row is not None and report_of(row.rel_ref) == rel)
