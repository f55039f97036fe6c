"""What handlers ask for: the principal of a request, with the scope the handler needs.

Belongs here: FastAPI dependencies. Does not: how a key is known (`authenticator`) or counted (`limiter`).

One request is authenticated and counted once, however many of these its handler takes.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from ocrlty_api.auth.roles import Principal, Scope
from ocrlty_api.errors import ForbiddenError, UnauthorizedError
from ocrlty_api.state import State

__all__ = ["AnyKey", "Debugger", "Extractor", "Principal", "RawReader", "RunDeleter", "authenticated", "requires"]

# For OpenAPI only: the authenticator reads the headers itself, and refuses what these let pass.
_BEARER = HTTPBearer(auto_error=False, description="`Authorization: Bearer <key>`")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key in a header of its own")


async def authenticated(
    request: Request,
    state: State,
    _bearer: Annotated[object, Security(_BEARER)],
    _header: Annotated[object, Security(_HEADER)],
) -> Principal:
    """The principal of a request's key, which the access log finds in `request.state.key_id`.

    Raises:
        UnauthorizedError: no key, or none that is known.
        RateLimitedError: the key has asked too often, or the address has failed too often.
        StorageUnavailableError: the database has been away for so long that keys can no longer be trusted.
    """
    try:
        principal = await state.authenticator.authenticate(request.headers)
    except UnauthorizedError:
        await state.limiter.count_failure(request.client.host if request.client else "")
        raise
    request.state.key_id = principal.key_id
    await state.limiter.count_request(principal)
    return principal


AnyKey = Annotated[Principal, Depends(authenticated)]


def requires(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A dependency: the principal, who has `scope`.

    Raises:
        ForbiddenError: the key lacks the scope, which the message names.
    """

    async def allowed(principal: AnyKey) -> Principal:
        if scope not in principal.scopes:
            raise ForbiddenError(
                f"Key {principal.key_id!r} lacks the scope {scope.value}: use a key that has it.",
                {"missing_scope": scope.value},
            )
        return principal

    return allowed


Extractor = Annotated[Principal, Depends(requires(Scope.EXTRACT_RUN))]
Debugger = Annotated[Principal, Depends(requires(Scope.DEBUG_RUN))]
RawReader = Annotated[Principal, Depends(requires(Scope.DEBUG_READ_RAW))]
RunDeleter = Annotated[Principal, Depends(requires(Scope.RUNS_DELETE))]
