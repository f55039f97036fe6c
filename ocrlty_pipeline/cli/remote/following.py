"""A job followed to its end over long polls."""

from __future__ import annotations

from typing import Any

from ocrlty_pipeline.cli.display import ProgressDisplay
from ocrlty_pipeline.cli.interrupts import interrupts
from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.cli.remote.client import Service, segment
from ocrlty_pipeline.errors import OcrltyError

ENDED = frozenset({"succeeded", "failed", "canceled"})
# Short enough that Ctrl-C is heard soon: it does not end a request that is waited for.
WAIT_S = 2


class JobFailedError(OcrltyError):
    """A job that the command follows did not succeed."""

    code = "job_failed"


def follow_job(service: Service, job_id: str, *, title: str) -> dict[str, Any]:
    """Show how far a job is until it ends; Ctrl-C leaves it running.

    Returns:
        The job, which succeeded.

    Raises:
        JobFailedError: it failed, was cancelled, or the person stopped waiting; says how to go on.
    """
    path = f"/v1/jobs/{segment(job_id)}"
    with interrupts() as told, ProgressDisplay(title) as display:
        job = service.get(path)
        while job["status"] not in ENDED and not told.count:
            display.show(_shown(job["progress"]))
            job = service.get(path, wait=WAIT_S)
        display.show(_shown(job["progress"]))
        if job["status"] == "succeeded":
            display.complete()
            return job
    raise JobFailedError(_why(job))


def _shown(progress: dict[str, Any]) -> dict[str, Any] | None:
    """Progress that counts items; None before there is any."""
    if progress.get("total") is None:
        return None
    return {name: progress.get(name) or 0 for name in ("done", "total", "ok", "err")}


def _why(job: dict[str, Any]) -> str:
    job_id, error = job["job_id"], job["error"]
    if job["status"] not in ENDED:
        say("The job goes on.")
        return f"Not waited for: see `ocrlty jobs {job_id} --wait`, or stop it with `ocrlty jobs {job_id} --cancel`."
    reason = "" if error is None else f": {error['message']}"
    return f"Job {job_id} is {job['status']}{reason}"
