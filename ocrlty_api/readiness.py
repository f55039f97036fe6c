"""Whether what requests need can be used now: database, storage, Dagster's webserver, the model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

import httpx2
from sqlalchemy import Engine, text

from ocrlty_api.http_failures import reason_of
from ocrlty_api.request_context import HEADER
from ocrlty_api.schemas.service import PartReadiness, Readiness
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings

TIMEOUT_S = 3.0
# Whoever may ask without a key shall not have each question cost a write to storage.
FRESH_S = 2.0

_log = logging.getLogger(__name__)


class ReadinessProbe:
    """Asks all parts at the same time; an answer serves everybody for FRESH_S."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked: tuple[float, asyncio.Task[Readiness]] | None = None

    async def look(self) -> Readiness:
        now = asyncio.get_running_loop().time()
        if self._asked is None or now - self._asked[0] > FRESH_S:
            self._asked = (now, asyncio.create_task(self._ask(), name="readiness"))
        return await asyncio.shield(self._asked[1])

    async def _ask(self) -> Readiness:
        services = self._services
        database, storage, dagster, model = await asyncio.gather(
            _part("database", asyncio.to_thread(_ask_database, services.engine)),
            _part("storage", services.store.check()),
            _part("dagster", _ask_webserver(services.settings.dagster_webserver_url)),
            _part("model", _ask_model(services.settings)),
        )
        # Without its model the service still answers for jobs and runs: taken out of rotation, it would not.
        ready = all(part.status == "ok" for part in (database, storage, dagster))
        return Readiness(ready=ready, database=database, storage=storage, dagster=dagster, model=model)


async def _part(name: str, question: Awaitable[None]) -> PartReadiness:
    """Its answer; the cause of a failure goes to the log, since it names hosts and paths."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await question
    except TimeoutError:
        return PartReadiness(status="error", message=f"No answer within {TIMEOUT_S:g} s.")
    except ConfigError as error:
        _log.warning("Not ready: %s: %s", name, error)
        return PartReadiness(status="error", message=error.message)
    except Exception as error:  # noqa: BLE001  # whatever it is, the part cannot be used
        _log.warning("Not ready: %s: %s", name, reason_of(error))
        return PartReadiness(status="error", message="It cannot be reached; the service's log says why.")
    return PartReadiness(status="ok")


def _ask_database(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


async def _ask_model(settings: Settings) -> None:
    """The other backends are part of this service."""
    if settings.inference_backend != "vllm":
        return
    key = settings.vllm_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, headers=headers) as client:
        answer = await client.get(f"{settings.vllm_base_url}/models")
    if _is_ours(answer):
        raise ConfigError(
            "VLLM_BASE_URL leads to an OCRlty service, most likely this one: both have port 8000 by default. Start one "
            "of them on another port, and have VLLM_BASE_URL name the model server's."
        )
    answer.raise_for_status()


def _is_ours(answer: httpx2.Response) -> bool:
    """Whether an OCRlty service refused the call."""
    if answer.is_success or HEADER not in answer.headers:
        return False
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return isinstance(error, dict) and error.get("request_id") == answer.headers[HEADER]


async def _ask_webserver(url: str) -> None:
    async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
        (await client.get(f"{url}/server_info")).raise_for_status()
