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
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from ocrlty_api.auth.keys import KeyHasher
from ocrlty_api.auth.limiter import Limiter
from ocrlty_api.error_responses import install_error_handlers, respond
from ocrlty_api.incoming.body_limits import BodyBounds, BodyLimits
from ocrlty_api.logs import configure_logging
from ocrlty_api.metrics import Metrics
from ocrlty_api.openapi import install_openapi
from ocrlty_api.request_context import HEADER, RequestContext
from ocrlty_api.routers import extracts, service
from ocrlty_api.state import open_state
from ocrlty_pipeline.settings import Settings, load_settings

ROUTERS = (service.router, extracts.router)

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
    metrics = Metrics()
    app = FastAPI(
        title="OCRlty",
        version="1",
        lifespan=lambda _: _life(settings, metrics),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_error_handlers(app)
    install_openapi(app)
    for router in ROUTERS:
        app.include_router(router)
    _wrap(app, settings, metrics)
    return app


def _check(settings: Settings) -> None:
    """Refuse what can be refused before anything is started."""
    if settings.auth_enabled:
        KeyHasher.from_settings(settings)
    Limiter(settings)


def _wrap(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Put the layers around; the one added last is the outermost."""
    app.add_middleware(BodyLimits, respond=respond, bounds=BodyBounds.of(settings))
    if settings.cors_allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allow_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", HEADER],
            expose_headers=[HEADER, "Location", "Retry-After"],
        )
    app.add_middleware(RequestContext, metrics=metrics)


@asynccontextmanager
async def _life(settings: Settings, metrics: Metrics) -> AsyncIterator[dict[str, Any]]:
    configure_logging(settings)
    if not settings.auth_enabled:
        _log.warning("AUTH_ENABLED=0: EVERYBODY WHO REACHES THIS SERVICE IS AN ADMIN. Use it on your own machine only.")
    async with open_state(settings, metrics) as state:
        yield {"app_state": state}
