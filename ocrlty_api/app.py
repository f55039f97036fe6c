"""The application: its routes, its layers from the outside in, and its life.

RequestContext   request id, access log, metrics, the last resort for errors
CORSMiddleware   only where CORS_ALLOW_ORIGINS names somebody
BodyLimits       size and speed of bodies
(framework)      errors to the envelope, routing, handlers
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy import QueuePool

from ocrlty_api.auth.keys import KeyHasher
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.docs_page import install_docs
from ocrlty_api.error_responses import install_error_handlers, respond
from ocrlty_api.incoming.body_limits import BodyBounds, BodyLimits
from ocrlty_api.logs import configure_logging
from ocrlty_api.metrics import Metrics
from ocrlty_api.openapi import install_openapi
from ocrlty_api.request_context import HEADER, RequestContext
from ocrlty_api.routers import (
    batches,
    debug,
    extracts,
    ground_truths,
    jobs,
    reports,
    runs,
    service,
    submissions,
    webhooks,
)
from ocrlty_api.shutdown import Shutdown
from ocrlty_api.state import AppState, open_state
from ocrlty_pipeline.settings import Settings, load_settings

ROUTERS = (
    service.router,
    extracts.router,
    batches.router,
    batches.uploads_router,
    submissions.router,
    submissions.uploads_router,
    jobs.router,
    runs.router,
    reports.router,
    webhooks.router,
    ground_truths.router,
    debug.router,
)

# What a page of another origin may send; `Last-Event-ID` with it goes on with the events of a job.
REQUEST_HEADERS = (
    "Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", HEADER,
)  # fmt: skip

_log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """An application that connects to nothing before it is started.

    Args:
        settings: those of the environment when None.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    settings = settings or load_settings()
    _check(settings)
    metrics, shutdown = Metrics(), Shutdown(settings.api_shutdown_timeout_s)
    app = FastAPI(
        title="OCRlty",
        version="1",
        lifespan=lambda _: _life(settings, metrics, shutdown),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_error_handlers(app)
    install_openapi(app)
    for router in ROUTERS:
        app.include_router(router)
    install_docs(app)
    _wrap(app, settings)
    app.add_middleware(RequestContext, metrics=metrics, shutdown=shutdown)
    return app


def _check(settings: Settings) -> None:
    """Refuse what can be refused before anything is started."""
    if settings.auth_enabled:
        KeyHasher.from_settings(settings)
    Limiter(settings)


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Put the layers within the request context around; the one added last is the outermost."""
    app.add_middleware(BodyLimits, respond=respond, bounds=BodyBounds.of(settings))
    if settings.cors_allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allow_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=list(REQUEST_HEADERS),
            expose_headers=[HEADER, "ETag", "Location", "Retry-After"],
        )


@asynccontextmanager
async def _life(settings: Settings, metrics: Metrics, shutdown: Shutdown) -> AsyncIterator[dict[str, Any]]:
    configure_logging(settings)
    if not settings.auth_enabled:
        _log.warning("AUTH_ENABLED=0: EVERYBODY WHO REACHES THIS SERVICE IS AN ADMIN. Use it on your own machine only.")
    async with open_state(settings, metrics, shutdown.closing) as state:
        _watch(metrics, state)
        with shutdown.noticed():
            yield {"app_state": state}


def _watch(metrics: Metrics, state: AppState) -> None:
    """Have the metrics tell what is under way."""
    lane, pool = state.online, cast("QueuePool", state.services.engine.pool)
    metrics.gauge("ocrlty_online_in_flight", "Single extracts under way.", lambda: lane.in_flight)
    metrics.gauge("ocrlty_online_waiting", "Single extracts that wait for a worker.", lambda: lane.waiting)
    metrics.gauge("ocrlty_database_connections_used", "Connections of this process in use.", pool.checkedout)
