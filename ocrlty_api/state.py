"""What handlers share: one typed object, built when the application starts and closed when it ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from ocrlty_api.auth.authenticator import Authenticator
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.lanes.instance import SharedInstance, shared_instance
from ocrlty_api.lanes.online import OnlineLane, online_lane
from ocrlty_api.metrics import Metrics
from ocrlty_api.readiness import ReadinessProbe
from ocrlty_pipeline.outbound import OutboundClient
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class AppState:
    """The parts of one running application."""

    settings: Settings
    services: Services
    metrics: Metrics
    readiness: ReadinessProbe
    authenticator: Authenticator
    limiter: Limiter
    outbound: OutboundClient
    shared: SharedInstance
    online: OnlineLane


@asynccontextmanager
async def open_state(settings: Settings, metrics: Metrics) -> AsyncIterator[AppState]:
    """Build the parts, each upon those before it, and close them in reverse.

    Raises:
        ConfigError: a setting is missing or wrong.
        StorageUnavailableError: the database cannot be reached.
    """
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(shared_instance(settings))
        services = Services(shared.settings)
        stack.callback(services.close)
        limiter = Limiter(settings)
        stack.push_async_callback(limiter.aclose)
        yield AppState(
            settings=shared.settings,
            services=services,
            metrics=metrics,
            readiness=ReadinessProbe(services),
            authenticator=await stack.enter_async_context(Authenticator(services.engine, settings)),
            limiter=limiter,
            outbound=await stack.enter_async_context(OutboundClient(settings)),
            shared=shared,
            online=await stack.enter_async_context(online_lane(shared)),
        )


def app_state(request: Request) -> AppState:
    state: AppState = request.state.app_state
    return state


State = Annotated[AppState, Depends(app_state)]
