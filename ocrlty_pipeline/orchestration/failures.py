"""How a run ends otherwise than well: the domain's errors as one clear sentence, and a batch that was told to stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import dagster as dg
from dagster import DagsterExecutionInterruptedError
from dagster._core.storage.tags import MAX_RETRIES_TAG, RETRY_ON_ASSET_OR_OP_FAILURE_TAG

from ocrlty_pipeline.errors import OcrltyError, StorageUnavailableError, TransientBackendError
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.progress import StepContext


@contextmanager
def as_dagster_failures() -> Iterator[None]:
    """Raise the domain's errors as `dagster.Failure`; only what may pass by itself is left to a retry policy."""
    try:
        yield
    except OcrltyError as error:
        passing = isinstance(error, StorageUnavailableError | TransientBackendError)
        raise dg.Failure(error.message, metadata={"code": error.code}, allow_retries=passing) from error


def asked_to_end(context: StepContext) -> bool:
    """Whether somebody wants the run cancelled."""
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status in {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}


def end_canceled(context: StepContext) -> NoReturn:
    """End the step of a batch that was stopped: as cancelled, where that was asked for.

    Otherwise its worker was told to stop: as a failure that is retried, the batch is handed back.
    """
    if asked_to_end(context):
        raise DagsterExecutionInterruptedError
    retried = {MAX_RETRIES_TAG: str(context.instance.run_retries_max_retries)}
    handed_back = {run_tags.HANDED_BACK: context.run.run_id, RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "true"}
    context.instance.add_run_tags(context.run.run_id, {**handed_back, **retried})
    raise dg.Failure("Its worker was told to stop; the batch continues in a retry.", allow_retries=False)


def take_back(context: StepContext) -> None:
    """Begin a run that goes on with one that was handed back: its own failures in words are not retried for that."""
    if context.run.tags.get(run_tags.HANDED_BACK, context.run.run_id) != context.run.run_id:
        context.instance.add_run_tags(context.run.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false"})
