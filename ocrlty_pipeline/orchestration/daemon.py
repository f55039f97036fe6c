"""Dagster's daemon, prompt, with sure retries: `python -m ocrlty_pipeline.orchestration.daemon`.

Dagster's own looks at the queue once a second, ten times as long as a warm run takes, and at backfills twice a minute.
This one also looks when the database says that something happened to a run. And it retries every run that is due:
Dagster stores a run's failure a moment before the run's status, and its retries pass for good over a run that they meet
in between. Its run monitoring leaves runs alone that wait in the hands of a living process (`monitoring`).

`dagster-daemon run` in its place works too, at Dagster's pace.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import dagster as dg
import psycopg
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.controller import create_daemon_of_type, daemon_controller_from_instance
from dagster._daemon.daemon import BackfillDaemon, DagsterDaemon, SpanMarker
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.record import copy
from sqlalchemy import make_url

from ocrlty_pipeline.deployment import deployment_file
from ocrlty_pipeline.orchestration.monitoring import PatientMonitoring
from ocrlty_pipeline.orchestration.warm.instances import pool_connections
from ocrlty_pipeline.orchestration.warm.launcher import WarmRunLauncher
from ocrlty_pipeline.settings import load_settings

logger = logging.getLogger("dagster.daemon.ocrlty")

# dagster-postgres notifies this channel of each event it stores.
CHANNEL = "run_events"
# An event is stored a moment before the run's status changes with it; and a run tells of twenty, not each worth a look.
SETTLE_S = 0.03
SECOND_LOOK_S = 0.2
SETTLED_AFTER_S = 10.0
HEARTBEAT_S = 0.5
RECONNECT_S = 1.0
# Dagster's own looks at backfills every 30 s.
BACKFILLS_EVERY_S = 3.0


class RunEvents:
    """Hears of run events from PostgreSQL in a thread of its own; a lost connection is made again."""

    def __init__(self, storage: PostgresEventLogStorage) -> None:
        url = make_url(storage.postgres_url).set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._happened = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="run-events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Wait for an event since the last call, for so long at most; answers whether there was one."""
        happened = self._happened.wait(seconds)
        self._happened.clear()
        return happened

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._hear(connection)
            except psycopg.OperationalError:
                logger.warning("Run events cannot be heard; the queue is looked at once a second", exc_info=True)
                self._closed.wait(RECONNECT_S)

    def _hear(self, connection: psycopg.Connection) -> None:
        while not self._closed.is_set():
            for _ in connection.notifies(timeout=HEARTBEAT_S):
                self._happened.set()


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Takes runs from the queue as soon as one is queued or a running one has ended; leaves a worker to short ones.

    Args:
        interval_seconds: it looks so often when nothing is heard.
        workers: of the warm pool that executes the runs; None where something else does.
    """

    def __init__(self, interval_seconds: float, workers: int | None = None) -> None:
        super().__init__(interval_seconds)
        self._workers = workers

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: threading.Event
    ) -> Generator[SerializableErrorInfo | SpanMarker | None, None, None]:
        storage = workspace_process_context.instance.event_log_storage
        assert isinstance(storage, PostgresEventLogStorage)  # noqa: S101 -- `daemons_of` saw to that
        with RunEvents(storage) as events:
            pause_s = self.interval_seconds
            while True:
                yield from _reported(self.run_iteration(workspace_process_context), self._logger)
                happened = yield from self._wait(events, pause_s)
                shutdown_event.wait(SETTLE_S)
                pause_s = SECOND_LOOK_S if happened else self.interval_seconds

    def _get_runs_to_dequeue(
        self, instance: dg.DagsterInstance, concurrency_config: ConcurrencyConfig, fixed_iteration_time: float | None
    ) -> list[dg.DagsterRun]:
        config = concurrency_config
        if self._workers is not None:
            config = leaving_a_worker(concurrency_config, self._workers)
        runs: list[dg.DagsterRun] = super()._get_runs_to_dequeue(instance, config, fixed_iteration_time)
        return runs

    def _wait(self, events: RunEvents, seconds: float) -> Generator[None, None, bool]:
        """Until something happened, for so long at most; yields for the daemon's heartbeat."""
        due = time.monotonic() + seconds
        while (left := due - time.monotonic()) > 0:
            yield None
            if events.wait(min(left, HEARTBEAT_S)):
                return True
        return False


class PromptBackfillDaemon(BackfillDaemon):
    """Goes on with backfills, and ends those that are cancelled, within seconds."""

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: threading.Event
    ) -> Generator[SerializableErrorInfo | SpanMarker | None, None, None]:
        futures: dict[str, Future[Any]] = {}
        while True:
            iteration = execute_backfill_iteration(
                workspace_process_context,
                self._logger,
                threadpool_executor=self._threadpool_executor,
                backfill_futures=futures,
                submit_threadpool_executor=self._submit_threadpool_executor,
            )
            yield from _reported(iteration, self._logger)
            shutdown_event.wait(BACKFILLS_EVERY_S)
            yield None


def _reported(iteration: Iterable[Any], log: logging.Logger) -> Generator[Any, None, None]:
    """One iteration as a daemon tells of it: what it raises is reported, and it is tried again."""
    yield SpanMarker.START_SPAN
    try:
        yield from iteration
    except Exception:  # noqa: BLE001 -- as in Dagster's own loops
        error = serializable_error_info_from_exc_info(sys.exc_info())
        log.error("Caught error:\n%s", error)  # noqa: TRY400 -- the traceback is in it
        yield error
    yield SpanMarker.END_SPAN


def leaving_a_worker(config: ConcurrencyConfig, workers: int) -> ConcurrencyConfig:
    """The same limits, with fewer runs over image sets than there are workers.

    A single extract then never waits for a batch's end; and no batch waits in the pool for a worker for so long that
    run monitoring takes it for one that did not start.
    """
    queue = config.run_queue_config
    assert queue is not None  # noqa: S101 -- this queue's own
    most = max(1, workers - 1)
    others = [limit for limit in queue.tag_concurrency_limits if limit["key"] != PARTITION_NAME_TAG or "value" in limit]
    set_ones = [limit["limit"] for limit in queue.tag_concurrency_limits if limit not in others]
    limits = [*others, {"key": PARTITION_NAME_TAG, "limit": min([most, *set_ones])}]
    return copy(config, run_queue_config=queue._replace(tag_concurrency_limits=limits))


class SettledRunRetries(EventLogConsumerDaemon):
    """Retries failed runs, once their status says that they failed."""

    @property
    def handle_updated_runs_fns(self) -> Sequence[Callable[..., Iterator[Any]]]:
        return [_retry_settled]


def _retry_settled(
    context: IWorkspaceProcessContext[Any], records: Sequence[dg.RunRecord], log: logging.Logger
) -> Iterator[None]:
    run_ids = [record.dagster_run.run_id for record in records]
    deadline = time.monotonic() + SETTLED_AFTER_S
    while not all(record.dagster_run.is_finished for record in records) and time.monotonic() < deadline:
        yield None
        time.sleep(SETTLE_S)
        records = context.instance.get_run_records(dg.RunsFilter(run_ids=run_ids))
    yield from consume_new_runs_for_automatic_reexecution(context, records, log)


def daemons_of(instance: dg.DagsterInstance) -> list[DagsterDaemon[Any]]:
    """The daemons the instance asks for, some replaced by ours; the queue's only where its events can be heard."""
    return [_daemon_of(instance, kind) for kind in instance.get_required_daemon_types()]


def _daemon_of(instance: dg.DagsterInstance, kind: str) -> DagsterDaemon[Any]:
    coordinator, storage = instance.run_coordinator, instance.event_log_storage
    if kind == PromptQueueDaemon.daemon_type() and isinstance(storage, PostgresEventLogStorage):
        assert isinstance(coordinator, QueuedRunCoordinator)  # noqa: S101 -- the kind says so
        warm = isinstance(instance.run_launcher, WarmRunLauncher)
        return PromptQueueDaemon(coordinator.dequeue_interval_seconds, load_settings().warm_workers if warm else None)
    if kind == PatientMonitoring.daemon_type():
        return PatientMonitoring(instance.run_monitoring_poll_interval_seconds)
    if kind == SettledRunRetries.daemon_type():
        return SettledRunRetries()
    if kind == PromptBackfillDaemon.daemon_type():
        return PromptBackfillDaemon(instance.get_backfill_settings())
    return create_daemon_of_type(kind, instance)


def main() -> None:
    """Run until SIGINT or SIGTERM; the instance is the one that DAGSTER_HOME names."""
    setup_interrupt_handlers()
    workspace = load_settings().ocrlty_workspace or deployment_file("workspace.yaml")
    target = WorkspaceFileTarget([str(workspace)])
    with capture_interrupts(), dg.DagsterInstance.get() as instance:
        pool_connections(instance)
        if isinstance(instance.run_launcher, WarmRunLauncher):
            instance.run_launcher.warm_up()
        with daemon_controller_from_instance(
            instance, target, gen_daemons=daemons_of, code_server_log_level="warning"
        ) as controller:
            try:
                controller.check_daemon_loop()
            except KeyboardInterrupt:
                logger.info("Told to stop")


if __name__ == "__main__":
    main()
