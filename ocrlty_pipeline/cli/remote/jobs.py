"""`ocrlty jobs`: what runs, how far it is, and how to stop it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from ocrlty_pipeline.cli.output import print_json, print_table, say
from ocrlty_pipeline.cli.remote.client import Service, remote_service, segment
from ocrlty_pipeline.cli.remote.following import follow_job
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.settings import load_settings


def jobs(
    job_id: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="Show this one; the newest where none is.")
    ] = None,
    *,
    status: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, succeeded, failed or canceled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to list.")] = 20,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job to its end; exit code 1 unless it succeeds.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Ask the job to stop; what it has done stays.")] = False,
) -> None:
    """List the jobs of the service at OCRLTY_URL, or show, follow or cancel one."""
    if job_id is None and (wait or cancel):
        raise InputError("--wait and --cancel are about one job: name it, as `ocrlty jobs` lists them.")
    with remote_service(load_settings()) as service:
        if job_id is None:
            _list(service, status, limit)
        else:
            _one(service, job_id, wait=wait, cancel=cancel)


def _one(service: Service, job_id: str, *, wait: bool, cancel: bool) -> None:
    if cancel:
        service.post(f"/v1/jobs/{segment(job_id)}/cancel")
        say(f"Job {job_id} is asked to stop.")
    print_json(
        follow_job(service, job_id, title=f"Job {job_id}") if wait else service.get(f"/v1/jobs/{segment(job_id)}")
    )


def _list(service: Service, status: str | None, limit: int) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("job", "kind", "status", "created", "done"):
        table.add_column(name, no_wrap=True)
    for job in service.get("/v1/jobs", status=status, limit=limit)["items"]:
        table.add_row(job["job_id"], job["kind"], job["status"], job["created_at"], _done(job["progress"]))
    print_table(table)


def _done(progress: dict[str, Any]) -> str:
    total = progress.get("total")
    return "" if total is None else f"{progress.get('done') or 0} of {total}"
