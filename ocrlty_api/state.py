"""What handlers share: one typed object, built when the application starts and closed when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated
from weakref import WeakValueDictionary

from fastapi import Depends, Request

from ocrlty_api.auth.authenticator import Authenticator
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.lanes.batches import BatchLane
from ocrlty_api.lanes.durable import DurableLane
from ocrlty_api.lanes.graphql import Webserver
from ocrlty_api.lanes.instance import SharedInstance, shared_instance
from ocrlty_api.lanes.online import OnlineLane, online_lane
from ocrlty_api.lanes.run_counts import RunCounts
from ocrlty_api.lanes.submitted import SubmittedRun, find_all_submitted
from ocrlty_api.lanes.watching import JobWatcher
from ocrlty_api.metrics import Metrics
from ocrlty_api.readiness import ReadinessProbe
from ocrlty_api.threads import Computing, computing, use_waiting_threads
from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow
from ocrlty_pipeline.outbound import OutboundClient
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.together import Together


@dataclass(frozen=True, slots=True)
class AppState:
    """The parts of one running application.

    Attributes:
        submitted: the newest run of a submission, by its id.
        extract_rows: the index's row of an extract, by its request_id.
        submitting: locks of the submissions that are being made, by their ids; gone with the last who uses one.
    """

    settings: Settings
    services: Services
    metrics: Metrics
    closing: asyncio.Event
    readiness: ReadinessProbe
    authenticator: Authenticator
    limiter: Limiter
    outbound: OutboundClient
    shared: SharedInstance
    run_counts: RunCounts
    online: OnlineLane
    batches: BatchLane
    durable: DurableLane
    watcher: JobWatcher
    computing: Computing
    submitted: Together[str, SubmittedRun | None]
    extract_rows: Together[str, IndexRow | None]
    submitting: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)


@asynccontextmanager
async def open_state(settings: Settings, metrics: Metrics, closing: asyncio.Event) -> AsyncIterator[AppState]:
    """Build the parts, each upon those before it, and close them in reverse.

    `closing` is set when the service is told to end: who holds an answer back gives it then.

    Raises:
        ConfigError: a setting is missing or wrong.
        StorageUnavailableError: the database cannot be reached.
    """
    use_waiting_threads()
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(shared_instance(settings))
        services = Services(shared.settings)
        stack.callback(services.close)
        webserver = await stack.enter_async_context(Webserver(settings.dagster_webserver_url))
        durable = DurableLane(shared, webserver)
        limiter = Limiter(settings)
        stack.push_async_callback(limiter.aclose)
        yield AppState(
            settings=shared.settings,
            services=services,
            metrics=metrics,
            closing=closing,
            readiness=ReadinessProbe(services),
            authenticator=await stack.enter_async_context(Authenticator(services.engine, settings)),
            limiter=limiter,
            outbound=await stack.enter_async_context(OutboundClient(settings)),
            shared=shared,
            run_counts=RunCounts(shared),
            online=await stack.enter_async_context(online_lane(shared)),
            batches=await stack.enter_async_context(BatchLane(shared, closing)),
            durable=durable,
            watcher=JobWatcher(durable),
            computing=stack.enter_context(computing()),
            submitted=Together(partial(find_all_submitted, shared)),
            extract_rows=Together(partial(_extract_rows, services.index)),
        )


async def _extract_rows(index: ArtifactIndex, request_ids: list[str]) -> list[IndexRow | None]:
    return await asyncio.to_thread(index.find_all, "extract", request_ids)


def app_state(request: Request) -> AppState:
    state: AppState = request.state.app_state
    return state


State = Annotated[AppState, Depends(app_state)]
