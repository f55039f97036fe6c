"""Holding an answer back until a job changes; a service that is told to end gives it at once."""

from __future__ import annotations

import asyncio

from ocrlty_api.errors import NotFoundError
from ocrlty_api.state import AppState
from ocrlty_pipeline.orchestration.job_records import JobRecord


async def job_after(state: AppState, known: JobRecord, timeout_s: float) -> JobRecord:
    """The job once it differs from `known`, or as it is when time is up.

    Raises:
        NotFoundError: its run was deleted meanwhile.
    """
    change = asyncio.create_task(state.watcher.change(known, timeout_s))
    closing = asyncio.create_task(state.closing.wait())
    try:
        await asyncio.wait({change, closing}, return_when=asyncio.FIRST_COMPLETED)
        if not change.done():
            return known
        job = change.result()
    finally:
        change.cancel()
        closing.cancel()
        await asyncio.gather(change, closing, return_exceptions=True)
    if job is None:
        raise NotFoundError(f"Job {known.job_id} was deleted.")
    return job
