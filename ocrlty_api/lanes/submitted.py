"""Runs by what was submitted: the run tags in which a repeated submission finds the first one."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration import run_tags


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """The newest run of a submission.

    Attributes:
        job_id: by which clients know it, if it was submitted as a job: its first run's, whichever retry is the newest.
        is_job: it was submitted as a job, for clients to poll.
        ending: it was told to end, and has not ended yet.
        broken_off: it was cancelled or failed; executed again, it would continue.
        batch: id of the batch run that it stored; None when it has not succeeded, or is no batch.
    """

    dagster_run_id: str
    job_id: str
    content: str
    is_job: bool
    ending: bool
    broken_off: bool
    batch: str | None


def submission_tags(submission: str, content: str) -> dict[str, str]:
    """What a run must be tagged with to be found by `find_submitted`."""
    return {run_tags.SUBMISSION: submission, run_tags.CONTENT: content}


async def find_submitted(shared: SharedInstance, submission: str) -> SubmittedRun | None:
    """The newest run of a submission.

    Raises:
        StorageUnavailableError: the database cannot be reached.
    """
    runs = await shared.ask(shared.instance.get_runs, dg.RunsFilter(tags={run_tags.SUBMISSION: submission}), limit=1)
    return _submitted(runs[0]) if runs else None


async def find_all_submitted(shared: SharedInstance, submissions: list[str]) -> list[SubmittedRun | None]:
    """What `find_submitted` answers to each, in one query."""
    runs = await shared.ask(shared.instance.get_runs, dg.RunsFilter(tags={run_tags.SUBMISSION: submissions}))
    # They come newest first.
    newest = {run.tags[run_tags.SUBMISSION]: run for run in reversed(runs)}
    return [_submitted(run) if (run := newest.get(submission)) is not None else None for submission in submissions]


def _submitted(run: dg.DagsterRun) -> SubmittedRun:
    return SubmittedRun(
        dagster_run_id=run.run_id,
        job_id=run.root_run_id or run.run_id,
        content=run.tags.get(run_tags.CONTENT, ""),
        is_job=run_tags.JOB in run.tags,
        ending=run.status is dg.DagsterRunStatus.CANCELING,
        broken_off=run.status in {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE},
        batch=run.tags.get(run_tags.RUN_ID) if run.status is dg.DagsterRunStatus.SUCCESS else None,
    )
