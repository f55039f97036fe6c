"""Ground truths as clients send them: JSON, or a file in a multipart upload.

Belongs here: from a request to `GivenGroundTruth`. Does not: whether it fits its images (`ground_truth_registry`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from ocrlty_api.auth.roles import Principal
from ocrlty_api.error_responses import validation_failed
from ocrlty_api.errors import InvalidFieldError, UnsupportedMediaTypeError
from ocrlty_api.incoming.multipart import MultipartLimits, UploadedFile, read_multipart
from ocrlty_api.routing import parse_json
from ocrlty_api.schemas.common import RequestBody
from ocrlty_api.schemas.ground_truths import GroundTruthBody, GroundTruthEdit
from ocrlty_pipeline.ground_truth import load_ground_truth
from ocrlty_pipeline.ground_truth_registry import GivenGroundTruth

FILE = "file"
MAX_FIELD_BYTES = 1024
SHOWN_CHARACTERS = 200

B = TypeVar("B", bound=RequestBody)


async def read_ground_truth(
    request: Request, key: Principal, *, max_bytes: int, image_set: str | None = None
) -> GivenGroundTruth:
    """Read the body to its end.

    Args:
        request: JSON, or a form with `file` and the other fields.
        key: who gives it.
        max_bytes: of the file.
        image_set: the one that the address names; None where the body does.

    Raises:
        UnsupportedMediaTypeError: neither JSON nor a form.
        BadRequestError, GroundTruthError: the JSON cannot be read.
        ValidationFailedError: a field is missing or cannot be used.
    """
    fields, source = await _fields(request, max_bytes)
    if image_set is None:
        body = _checked(GroundTruthBody, fields)
        image_set = body.image_set
        edit: GroundTruthEdit = body
    else:
        edit = _checked(GroundTruthEdit, fields)
    return GivenGroundTruth(
        image_set=image_set, content=edit.content, image_key=edit.image_key, source=source, owner=key.key_id
    )


async def _fields(request: Request, max_bytes: int) -> tuple[Any, str]:
    """The fields, and where the content comes from, for people."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form_fields(request, max_bytes)
    if kind != "application/json":
        raise UnsupportedMediaTypeError(
            f"Content-Type {kind[:SHOWN_CHARACTERS]!r} is none we take here; send application/json, or a form: "
            "-F file=@gt.json."
        )
    return await asyncio.to_thread(_strict_json, await request.body()), "(request)"


async def _form_fields(request: Request, max_bytes: int) -> tuple[dict[str, Any], str]:
    files: list[UploadedFile] = []

    async def keep(file: UploadedFile) -> None:
        files.append(file)

    limits = MultipartLimits(1, max_bytes, max_fields=4, max_field_bytes=MAX_FIELD_BYTES, file_fields=(FILE,))
    fields: dict[str, Any] = dict(await read_multipart(request, limits, keep))
    if not files:
        raise InvalidFieldError(FILE, "The form has no file: send the ground truth as -F file=@gt.json.")
    data = files[0].data
    if data is None:
        raise InvalidFieldError(FILE, f"The file has {files[0].size} bytes, more than {max_bytes}.")
    return fields | {"content": await asyncio.to_thread(_strict_json, data)}, files[0].name


def _strict_json(data: bytes) -> Any:
    """JSON that an artifact can hold, with each key once in its object."""
    parse_json(data)
    return load_ground_truth(data)


def _checked(model: type[B], fields: Any) -> B:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise validation_failed([_in_body(problem) for problem in error.errors(include_url=False)]) from None


def _in_body(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The same as FastAPI has it; what was sent is not sent back."""
    return {**problem, "loc": ("body", *problem["loc"]), "input": None}
