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
        broken_off: it was cancelled or failed; executed again, it would continue.
    """

    dagster_run_id: str
    content: str
    broken_off: bool


def submission_tags(submission: str, content: str) -> dict[str, str]:
    """What a run must be tagged with to be found by `find_submitted`."""
    return {run_tags.SUBMISSION: submission, run_tags.CONTENT: content}


def find_submitted(shared: SharedInstance, submission: str) -> SubmittedRun | None:
    """The newest run of a submission; blocks."""
    runs = shared.instance.get_runs(dg.RunsFilter(tags={run_tags.SUBMISSION: submission}), limit=1)
    if not runs:
        return None
    broken_off = runs[0].status in {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE}
    return SubmittedRun(runs[0].run_id, runs[0].tags.get(run_tags.CONTENT, ""), broken_off)
