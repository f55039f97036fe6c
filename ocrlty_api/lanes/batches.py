"""The batch lane: batches that a client waits for, executed at once by warm workers of the API's own.

Belongs here: starting such a batch's Dagster run, noticing its end, ending it when nobody waits any more. Does not:
what is in a batch (`batching`), or jobs, which wait in Dagster's queue (`durable`), where long ones would hold it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._core.utils import make_new_run_id

from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.errors import BusyError, StorageUnavailableError, WorkerDiedError
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.launch import (
    RunFailure,
    RunRequest,
    create_run,
    register_image_set,
    run_failure,
    run_tags_of,
)
from ocrlty_pipeline.orchestration.partitions import batch_partition_key
from ocrlty_pipeline.orchestration.waiting_runs import WaitingRuns
from ocrlty_pipeline.orchestration.warm.health import end_orphans
from ocrlty_pipeline.orchestration.warm.instances import end_run
from ocrlty_pipeline.orchestration.warm.pool import PoolOptions, WarmPool

# A run that another process executes is looked at so often.
LOOK_S = 0.5
# So soon after a restart of the database it is said again which runs wait here.
RENEW_S = 2.0
CLIENT_GONE = "Its client went away."


@dataclass(frozen=True, slots=True)
class BatchRunRequest:
    """A batch as Dagster executes it.

    Attributes:
        job: batch_extract or batch_rerun.
        extraction, evaluation: config of the two assets, without nulls.
    """

    job: str
    image_set: str
    task_id: str
    extraction: Mapping[str, Any]
    evaluation: Mapping[str, Any]

    def of_dagster(self) -> RunRequest:
        ops = {"extractions": self.extraction, "evaluation": self.evaluation}
        return RunRequest(self.job, batch_partition_key(self.image_set, self.task_id), ops)


@dataclass(frozen=True, slots=True)
class EndedBatch:
    """How a run ended.

    Attributes:
        batch_run_id: the batch run it executed; None when it came to none.
        failure: why it did not succeed; None when it did, or was cancelled.
        abandoned: it was cancelled since those who waited for it had gone.
    """

    dagster_run_id: str
    batch_run_id: str | None
    canceled: bool
    failure: RunFailure | None
    abandoned: bool = False


@dataclass(slots=True)
class _Execution:
    ended: asyncio.Future[None]
    waiting: int = 0


def owner_tags(request: BatchRunRequest, key_id: str) -> dict[str, str]:
    """Run tags that say what a run works on, and for whom, before it has begun."""
    tags = {run_tags.KEY_ID: key_id, run_tags.TASK_ID: request.task_id, run_tags.IMAGE_SET: request.image_set}
    run_id = request.extraction.get("run_id")
    return tags if run_id is None else {**tags, run_tags.RUN_ID: run_id}


async def prepare_run(shared: SharedInstance, request: BatchRunRequest) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the image set a partition; config and tags of a run of `request`, for whoever launches it."""

    def prepare() -> tuple[dict[str, Any], dict[str, str]]:
        register_image_set(shared.instance, request.image_set)
        wanted = request.of_dagster()
        return wanted.run_config, run_tags_of(wanted)

    return await shared.ask(prepare)


class BatchLane:
    """Executes batches at once; an async context manager, of one event loop.

    Args:
        shared: where the runs are recorded.
        closing: set once the service is told to end.
    """

    def __init__(self, shared: SharedInstance, closing: asyncio.Event) -> None:
        settings = shared.settings
        self._shared = shared
        self._instance = shared.instance
        self._closing = closing
        self._workers = settings.online_batch_workers
        self._max_waiting = settings.online_max_waiting_batches
        log = settings.log_dir / "batch-workers.log"
        self._options = PoolOptions.from_settings(settings, size=self._workers, log=log)
        self._executions: dict[str, _Execution] = {}
        # Runs that are being created: they have a place already.
        self._starting = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        url = self._shared.settings.database_url
        assert url is not None  # noqa: S101 -- `shared_instance` named it
        self._engine = create_engine(url.get_secret_value())
        self._held = WaitingRuns(self._engine)
        self._renewing = asyncio.create_task(self._renew(), name="waiting-runs")
        # Of what this host's last API left behind nobody else can tell that it is dead.
        await self._shared.ask(end_orphans, self._instance)
        self._pool = await asyncio.to_thread(WarmPool, self._instance.get_ref(), self._options, self._on_end)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what is left; Dagster's daemon starts such a run again, which continues its batch."""
        self._renewing.cancel()
        # Where the database is away, those that wait are left to whoever sends them again.
        with suppress(StorageUnavailableError):
            await self._shared.ask(self._hand_back_waiting, list(self._executions))
        await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(self._held.close)
        self._engine.dispose()

    def check_room(self) -> None:
        """
        Raises:
            BusyError: as many batches wait as may.
        """
        taken = len(self._executions) + self._starting
        if taken >= self._workers + self._max_waiting:
            raise BusyError(
                f"{self._workers} batches are being extracted and {self._max_waiting} wait, the most that may; try "
                "again shortly, or send it to the endpoint of this name with _async at its end."
            )

    async def start(self, request: BatchRunRequest, tags: Mapping[str, str]) -> str:
        """Create a run of `request` and have it executed; answers the id of the Dagster run.

        Raises:
            BusyError: as many batches wait as may.
            WorkerDiedError: nothing executes batches any more.
            StorageUnavailableError: the database cannot be reached.
        """
        self.check_room()
        self._starting += 1
        try:
            run_id = await self._shared.tell(self._create, request, tags)
            self._executions[run_id] = _Execution(self._loop.create_future())
            try:
                self._pool.submit(run_id)
            except WorkerDiedError as error:
                self._forget(run_id)
                await self._shared.ask(end_run, self._instance, run_id, error.message, patience_s=0)
                raise
        finally:
            self._starting -= 1
        return run_id

    async def wait(self, run_id: str) -> EndedBatch:
        """Wait for the end of a run. When the last one who waits is cancelled, so is the run.

        Not so where it is the service that ends: then the run is handed back.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        execution = self._executions.get(run_id)
        if execution is None:
            return await self._wait_elsewhere(run_id)
        execution.waiting += 1
        try:
            await asyncio.shield(execution.ended)
        finally:
            execution.waiting -= 1
            if not execution.waiting and not execution.ended.done() and not self._closing.is_set():
                await self.cancel(run_id)
        return await self._shared.ask(self._ended, run_id)

    async def cancel(self, run_id: str) -> None:
        """Ask a run of this lane to end, since nobody waits for it any more: what is done stays."""
        if await self._shared.ask(self._report_canceling, run_id):
            self._pool.cancel(run_id)

    async def _wait_elsewhere(self, run_id: str) -> EndedBatch:
        while not (ended := await self._shared.ask(self._ended_if_finished, run_id)):  # noqa: ASYNC110 -- no event comes
            await asyncio.sleep(LOOK_S)
        return ended

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            # A database that is away is asked again.
            with suppress(StorageUnavailableError):
                await asyncio.to_thread(self._held.renew)

    def _on_end(self, run_id: str) -> None:
        # The loop may be over before the pool is.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_end, run_id)

    def _note_end(self, run_id: str) -> None:
        execution = self._forget(run_id)
        if execution is not None and not execution.ended.done():
            execution.ended.set_result(None)

    def _forget(self, run_id: str) -> _Execution | None:
        self._loop.run_in_executor(None, self._held.remove, run_id)
        return self._executions.pop(run_id, None)

    # --- in threads

    def _create(self, request: BatchRunRequest, tags: Mapping[str, str]) -> str:
        register_image_set(self._instance, request.image_set)
        # As long as the service lives, a client is told of the failure, and sends the batch again or not.
        once = {**tags, MAX_RETRIES_TAG: "0"}
        run_id = make_new_run_id()
        # Before it is there: from its first moment on, only this lane may say that it does not start.
        self._held.add(run_id)
        try:
            return create_run(self._instance, request.of_dagster(), once, may_be_retried=True, run_id=run_id)
        except BaseException:
            self._held.remove(run_id)
            raise

    def _hand_back_waiting(self, run_ids: list[str]) -> None:
        """Those under way are handed back by their workers, who alone write their tags."""
        if not run_ids:
            return
        waiting = dg.RunsFilter(run_ids=run_ids, statuses=[dg.DagsterRunStatus.NOT_STARTED])
        for run in self._instance.get_runs(waiting):
            self._instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: str(self._instance.run_retries_max_retries)})

    def _report_canceling(self, run_id: str) -> bool:
        """Whether it was not told to end before."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING:
            return False
        self._instance.report_run_canceling(run, CLIENT_GONE)
        return True

    def _ended_if_finished(self, run_id: str) -> EndedBatch | None:
        run = self._instance.get_run_by_id(run_id)
        return self._ended(run_id) if run is None or run.is_finished else None

    def _ended(self, run_id: str) -> EndedBatch:
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return EndedBatch(run_id, None, canceled=False, failure=RunFailure(f"Run {run_id} was deleted."))
        canceled = run.status is dg.DagsterRunStatus.CANCELED
        failed = not canceled and run.status is not dg.DagsterRunStatus.SUCCESS
        return EndedBatch(
            run_id,
            run.tags.get(run_tags.RUN_ID),
            canceled=canceled,
            abandoned=canceled and self._is_abandoned(run_id),
            failure=run_failure(self._instance, run) if failed else None,
        )

    def _is_abandoned(self, run_id: str) -> bool:
        told = self._instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_CANCELING)
        return any(entry.get_dagster_event().message == CLIENT_GONE for entry in told)
