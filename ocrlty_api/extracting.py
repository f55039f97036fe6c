"""From a body of `/v1/extract` or `/v1/extract_async` to a request that can be executed: what is wrong is said now.

Belongs here: whose image it is, what the key may do, the id. Does not: how it is executed (the lanes).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid

import httpx2

from ocrlty_api.auth.roles import Principal, Scope
from ocrlty_api.errors import ForbiddenError, InvalidFieldError, NotFoundError
from ocrlty_api.incoming.base64_image import decode_image
from ocrlty_api.incoming.image_url import fetch_image
from ocrlty_api.schemas.extracts import DebugOptions, ExtractBody
from ocrlty_api.state import AppState
from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.errors import InputError, TaskError
from ocrlty_pipeline.extracts import ExtractRequest
from ocrlty_pipeline.overrides import NONE, Overrides

_INPUT = re.compile(
    r"inputs/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})/([0-9a-f]{2})/([0-9a-f]{2})/(\2\3[0-9a-f]{60}\.[a-z0-9]+)\Z"
)
SHOWN_CHARACTERS = 160
# Base64 characters that decode in about a millisecond.
DECODED_AT_ONCE = 256 * 1024


async def extract_request(
    state: AppState, key: Principal, body: ExtractBody, *, idempotency_key: str | None = None
) -> ExtractRequest:
    """Check everything that can be checked before anything is executed, and read the image where the body brings it.

    Where the body has no `request_id`, `idempotency_key` names the request: the same one of the same key, the same id.

    Raises:
        InputError: the request_id is none.
        ForbiddenError: the request asks for what only debuggers may.
        NotFoundError: `image_ref` names no input of this key's.
        InvalidFieldError: another field cannot be used.
        PayloadTooLargeError: the image has too many bytes.
    """
    request_id, fresh = _request_id(key, body.request_id, idempotency_key)
    check_task(state, body.task_id)
    overrides = checked_overrides(state, key, body.debug)
    image, described = await _image(state, key, body)
    return ExtractRequest(
        request_id=request_id,
        task_id=body.task_id,
        image=image,
        image_ref=body.image_ref,
        fresh=fresh,
        auth=key.auth(),
        described=described,
        overrides=overrides,
    )


def check_task(state: AppState, task_id: str) -> None:
    """
    Raises:
        InvalidFieldError: there is no such task; lists those there are.
    """
    try:
        _ = state.services.tasks[task_id]
    except TaskError as error:
        raise InvalidFieldError("task_id", error.message) from None


def check_debugger(state: AppState, key: Principal, what: str) -> None:
    """Refuse `what` unless DEBUG_MODE=1 and the key has debug:run.

    Raises:
        ForbiddenError: says which of the two is missing.
    """
    if not state.settings.debug_mode:
        raise ForbiddenError(f"{what} works only on a service with DEBUG_MODE=1; leave it out.")
    if Scope.DEBUG_RUN not in key.scopes:
        scope = Scope.DEBUG_RUN.value
        raise ForbiddenError(
            f"Key {key.key_id!r} lacks the scope {scope}, which {what} needs.", {"missing_scope": scope}
        )


def checked_overrides(state: AppState, key: Principal, debug: DebugOptions | None) -> Overrides:
    """What `debug` changes about task and model.

    Raises:
        ForbiddenError: only debuggers may change anything.
        InvalidFieldError: a value cannot be used.
    """
    if debug is None:
        return NONE
    check_debugger(state, key, "`debug`")
    try:
        return debug.overrides()
    except InputError as error:
        raise InvalidFieldError("debug", error.message) from None


async def check_input(state: AppState, key: Principal, image_ref: str) -> None:
    """Refuse what is no input of this key's; an admin may use everybody's.

    Raises:
        InvalidFieldError: not the key of an input.
        NotFoundError: there is none, or it is another's: nobody learns which.
    """
    match = _INPUT.match(image_ref)
    if match is None:
        raise InvalidFieldError(
            "image_ref",
            f"image_ref {image_ref[:SHOWN_CHARACTERS]!r} is not an input's: "
            "use an input_ref of a batch, such as inputs/me/4e/ee/4eee....jpg.",
        )
    if not key.may_see(match[1]) or not await state.services.store.exists(image_ref):
        raise NotFoundError(f"There is no input {image_ref} of key {key.key_id!r}.")


def _request_id(key: Principal, given: str | None, idempotency_key: str | None) -> tuple[str, bool]:
    """The id, and whether it was made for this request."""
    if given is not None:
        return check_id("request_id", given), False
    if idempotency_key is not None:
        return hashlib.sha256(f"{key.key_id}\n{idempotency_key}".encode()).hexdigest()[:32], False
    return uuid.uuid4().hex, True


async def _image(state: AppState, key: Principal, body: ExtractBody) -> tuple[bytes | None, dict[str, object]]:
    """The image's bytes, unless a worker reads them itself, and what the record says of where they came from."""
    max_bytes = state.settings.max_image_bytes
    if body.image_base64 is not None:
        image = await _decoded(body.image_base64, max_bytes)
        return image, {"image_base64_len": len(body.image_base64)}
    if body.image_ref is not None:
        await check_input(state, key, body.image_ref)
        return None, {}
    check_debugger(state, key, "`image_url`")
    url = str(body.image_url)
    image = await fetch_image(state.outbound, url, max_bytes=max_bytes)
    return image, {"image_url": _without_secrets(url)}


async def _decoded(text: str, max_bytes: int) -> bytes:
    """Large ones take a tenth of a second, for which no other request shall wait."""
    if len(text) < DECODED_AT_ONCE:
        return decode_image(text, max_bytes=max_bytes)
    return await asyncio.to_thread(decode_image, text, max_bytes=max_bytes)


def _without_secrets(url: str) -> str:
    """A URL without its query, in which signatures stand."""
    return str(httpx2.URL(url).copy_with(query=None, fragment=None))
