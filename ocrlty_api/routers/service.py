"""The service itself: health, who asks, which tasks there are."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from ocrlty_api.auth.dependencies import AnyKey, Extractor
from ocrlty_api.schemas.service import Health, Me, Readiness, Tasks, TaskSummary
from ocrlty_api.state import AppState, State

router = APIRouter(tags=["service"])


async def _readiness(state: State) -> Readiness:
    return await state.readiness.look()


Ready = Annotated[Readiness, Depends(_readiness)]


@router.get("/v1/health")
async def health(state: State, readiness: Ready) -> Health:
    """Whether the process lives, always 200; and beside it whether what it needs can be used."""
    settings = state.settings
    return Health(
        ok=True,
        auth_enabled=settings.auth_enabled,
        debug_mode=settings.debug_mode,
        inference_backend=settings.inference_backend,
        model=_model(state),
        readiness=readiness,
    )


@router.get("/v1/health/ready")
async def ready(readiness: Ready, response: Response) -> Readiness:
    """Whether requests can be served: 503 while something they need is away."""
    response.status_code = 200 if readiness.ready else 503
    return readiness


@router.get("/v1/me")
async def me(key: AnyKey) -> Me:
    """Whose key this is, and what it may do."""
    return Me(key_id=key.key_id, role=key.role, scopes=sorted(key.scopes))


@router.get("/v1/tasks")
async def tasks(state: State, _key: Extractor) -> Tasks:
    """What can be extracted."""
    items = [TaskSummary(task_id=task.task_id, description=task.description) for task in state.services.tasks]
    return Tasks(items=items)


def _model(state: AppState) -> str:
    settings = state.settings
    return settings.vllm_model if settings.inference_backend == "vllm" else settings.inference_backend
