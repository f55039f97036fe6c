"""What handlers ask for: the principal of a request, with the scope the handler needs.

Belongs here: FastAPI dependencies. Does not: how a key is known (`authenticator`) or counted (`limiter`).

One request is authenticated and counted once, however many of these its handler takes.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer

from ocrlty_api.auth.roles import Principal, Scope
from ocrlty_api.errors import ForbiddenError, UnauthorizedError
from ocrlty_api.state import app_state

__all__ = [
    "AnyKey",
    "Debugger",
    "Extractor",
    "KeyFirst",
    "Principal",
    "RawReader",
    "RunDeleter",
    "identify",
    "requires",
]

# For OpenAPI only: the authenticator reads the headers itself, and refuses what these let pass.
_BEARER = HTTPBearer(auto_error=False, description="`Authorization: Bearer <key>`")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key in a header of its own")


async def identify(request: Request) -> Principal:
    """The principal of a request's key, which the access log finds as `key_id`; known from the first time on.

    Raises:
        UnauthorizedError: no key, or none that is known.
        RateLimitedError: the key has asked too often, or the address has failed too often.
        StorageUnavailableError: the database has been away for so long that keys can no longer be trusted.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    state = app_state(request)
    try:
        principal = await state.authenticator.authenticate(request.headers)
    except UnauthorizedError:
        await state.limiter.count_failure(request.client.host if request.client else "")
        raise
    request.state.key_id = principal.key_id
    await state.limiter.count_request(principal)
    request.state.principal = principal
    return principal


class KeyFirst(APIRoute):
    """A route that reads nothing of a body before the key is known: `APIRouter(route_class=KeyFirst)`.

    FastAPI reads and decodes a body before it asks any dependency. Without this, anybody could have the service hold
    as many bodies as it takes, and the answer to a bad body would come before the one to a bad key.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def identified(request: Request) -> Response:
            await identify(request)
            return await handle(request)

        return identified


async def authenticated(
    request: Request, _bearer: Annotated[object, Security(_BEARER)], _header: Annotated[object, Security(_HEADER)]
) -> Principal:
    """`identify` as a dependency, which tells OpenAPI how a key is shown."""
    return await identify(request)


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
