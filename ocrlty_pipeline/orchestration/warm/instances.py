"""A worker's Dagster instance: kept between runs, with pooled connections, and told the end of every run.

Dagster's storages connect anew for each query by default: 32 connections a run, and three times the run's duration.
They also read the columns of their tables from the catalog at each write, which is a third of what a run costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg
from dagster._core.instance import InstanceRef
from dagster._serdes import ConfigurableClassData
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError

from ocrlty_pipeline.orchestration import run_tags

POOL_RECYCLE_S = 3600
STATEMENT_TIMEOUT_MS = 60_000
MAX_OVERFLOW = 8
# How long the database may be away before a run's end is given up on; run monitoring closes the run later.
PATIENCE_S = 60.0
# What Dagster's run storage asks the catalog before it writes or reads a run.
COLUMN_QUESTIONS = ("has_run_stats_index_cols", "has_backfill_id_column")

DATABASE_ERRORS = (DBAPIError, DagsterPostgresException)
_NO_CAPTURE = ConfigurableClassData("dagster._core.storage.noop_compute_log_manager", "NoOpComputeLogManager", "{}\n")


def open_instance(ref: InstanceRef) -> dg.DagsterInstance:
    """An instance with a pool of connections for each of its storages."""
    instance = dg.DagsterInstance.from_ref(ref)
    pool_connections(instance)
    return instance


def pool_connections(instance: dg.DagsterInstance) -> None:
    """Have an instance keep its connections, and what it knows of its tables, from query to query."""
    instance.optimize_for_webserver(
        statement_timeout=STATEMENT_TIMEOUT_MS, pool_recycle=POOL_RECYCLE_S, max_overflow=MAX_OVERFLOW
    )
    for question in COLUMN_QUESTIONS:
        setattr(instance.run_storage, question, _once_true(getattr(instance.run_storage, question)))


def _once_true(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Ask until the answer is yes: a migration adds columns, and none takes them away."""
    known = False

    def answer() -> bool:
        nonlocal known
        known = known or ask()
        return known

    return answer


def without_compute_logs(ref: InstanceRef) -> InstanceRef:
    """The same instance without capture of what runs print, which starts four processes a run."""
    return ref._replace(compute_logs_data=_NO_CAPTURE)


def reconnect(instance: dg.DagsterInstance) -> None:
    """Replace pooled connections that the server has closed meanwhile; a restart then costs no run."""
    probe = "00000000-0000-0000-0000-000000000000"
    for ask in (instance.get_run_by_id, instance.event_log_storage.get_logs_for_run):
        try:
            ask(probe)
        except DATABASE_ERRORS:
            ask(probe)  # SQLAlchemy has dropped the whole pool by now


def is_to_end(run: dg.DagsterRun) -> bool:
    """Whether somebody asked for the run's end.

    The tag tells where the status cannot: Dagster's queue may start a run in the moment in which it is cancelled there.
    """
    return run.status is dg.DagsterRunStatus.CANCELING or run.tags.get(run_tags.CANCEL) == run.run_id


def end_run(instance: dg.DagsterInstance, run_id: str, reason: str, *, patience_s: float = PATIENCE_S) -> None:
    """Give a run its final status where it has none: canceled where that was asked for, else failed with `reason`.

    Raises:
        DBAPIError, DagsterPostgresException: the database stayed away for `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return _end_run(instance, run_id, reason)
        except DATABASE_ERRORS:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def _end_run(instance: dg.DagsterInstance, run_id: str, reason: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if is_to_end(run):
        instance.report_run_canceled(run, reason)
    else:
        instance.report_run_failed(run, reason)
