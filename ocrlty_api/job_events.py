"""A job's life as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator

from ocrlty_api.errors import NotFoundError
from ocrlty_api.jobs import view
from ocrlty_api.lanes.watching import version
from ocrlty_api.state import AppState
from ocrlty_api.waiting import job_after
from ocrlty_pipeline.errors import StorageUnavailableError
from ocrlty_pipeline.orchestration.job_records import JobRecord

_log = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
# One event, for OpenAPI; `data` is a JobView.
EVENT_SCHEMA = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string", "enum": ["progress", "end"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
# Proxies cut connections on which nothing is said for a minute or less.
HEARTBEAT_S = 15.0


async def job_events(state: AppState, job: JobRecord, *, last_id: str | None) -> AsyncIterator[str]:
    """`progress` for what the job is now and each change, `end` when it has ended; then the stream ends.

    It ends as well when the service is told to end, the job is deleted, or the database is away: the client comes back
    and sees.
    """
    try:
        async for event in _events(state, job, told=last_id):
            yield event
    except NotFoundError:
        return
    except StorageUnavailableError as error:
        _log.error("The events of job %s end early: %s", job.job_id, error.message)


async def _events(state: AppState, job: JobRecord, *, told: str | None) -> AsyncIterator[str]:
    while True:
        if (now := event_id(job)) != told or job.ended:
            told = now
            yield await _event(state, job, now)
        else:
            yield ": waiting\n\n"
        if job.ended or state.closing.is_set():
            return
        job = await job_after(state, job, HEARTBEAT_S)


def event_id(job: JobRecord) -> str:
    """The same for the same status and progress, in every process."""
    return hashlib.sha256(repr(version(job)).encode()).hexdigest()[:16]


async def _event(state: AppState, job: JobRecord, name: str) -> str:
    shown = await view(state, job)
    return f"id: {name}\nevent: {'end' if job.ended else 'progress'}\ndata: {shown.model_dump_json()}\n\n"
