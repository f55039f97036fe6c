"""What every endpoint answers that leaves its work to a job: 202, and where to look."""

from __future__ import annotations

from fastapi import Response

from ocrlty_api.errors import NotFoundError
from ocrlty_api.schemas.jobs import JobAccepted
from ocrlty_api.state import AppState


async def accepted(state: AppState, response: Response, job_id: str) -> JobAccepted:
    """
    Args:
        state: of the application.
        response: gets the `Location`.
        job_id: of a job that was launched, now or when the same was submitted before.

    Raises:
        NotFoundError: its run was deleted meanwhile.
    """
    job = await state.durable.job(job_id)
    if job is None:
        raise NotFoundError(f"Job {job_id} was deleted.")
    poll_url = f"/v1/jobs/{job_id}"
    response.headers["Location"] = poll_url
    return JobAccepted(job_id=job_id, status=job.status, poll_url=poll_url)
