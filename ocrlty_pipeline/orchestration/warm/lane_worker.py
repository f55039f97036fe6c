"""Inside a worker of the online lane: extracts what is handed over at once, and records it as Dagster runs meanwhile.

Three threads: one hears requests, one runs the event loop in which they are extracted, and the main one executes
Dagster runs, one at a time. A request joins the run that is recorded next, so requests share runs exactly when
they come faster than runs can be recorded; nobody's answer waits for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.instance import InstanceRef
from dagster._core.utils import make_new_run_id
from dagster._serdes import deserialize_value

from ocrlty_pipeline.errors import AbandonedError, OcrltyError
from ocrlty_pipeline.extracts import ExtractRequest, Extracts
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.code_location import REPOSITORY_TAG, job_code_origin, resolved_job
from ocrlty_pipeline.orchestration.jobs import EXTRACT
from ocrlty_pipeline.orchestration.ops import Outcome, extract_images, handed_over
from ocrlty_pipeline.orchestration.resources import process_services
from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from ocrlty_pipeline.orchestration.warm.instances import end_run, open_instance, reconnect, without_compute_logs
from ocrlty_pipeline.orchestration.warm.processes import resident_mb
from ocrlty_pipeline.orchestration.work_tags import extract_tags

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HandOver:
    """To a worker: extract this, and answer under this number."""

    number: int
    request: ExtractRequest


@dataclass(frozen=True, slots=True)
class Abandon:
    """To a worker: nobody waits for this number's answer any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Finish:
    """To a worker: no more requests come; finish those begun."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: it can extract."""


@dataclass(frozen=True, slots=True)
class Answer:
    """From a worker: what became of a request, as soon as its record is durable."""

    number: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recording:
    """From a worker: it is going to record a run of this id."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """From a worker: a run of so many requests has its final status; `resident_mb` is the worker's memory in MiB."""

    run_id: str
    requests: int
    resident_mb: float


@dataclass(slots=True)
class _SharedRun:
    """Requests that stand in Dagster as one run."""

    run_id: str = field(default_factory=make_new_run_id)
    requests: list[ExtractRequest] = field(default_factory=list)
    outcomes: dict[str, Future[Outcome]] = field(default_factory=dict)


def serve(connection: Connection, instance_ref: str, max_shared: int) -> None:
    """Serve the requests that come over `connection` until its other end says so or is gone, and finish all begun.

    At most `max_shared` of them share a run.
    """
    # Dagster's switch for writing materializations together, off by default.
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = str(max_shared)
    LaneWorker(connection, deserialize_value(instance_ref, InstanceRef), max_shared).run()


class LaneWorker:
    def __init__(self, connection: Connection, instance_ref: InstanceRef, max_shared: int) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._max_shared = max_shared
        self._runs: deque[_SharedRun] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._loop = asyncio.new_event_loop()
        self._under_way: dict[int, asyncio.Task[Outcome]] = {}
        self._extracts = Extracts(process_services())
        self._instance = open_instance(without_compute_logs(instance_ref))
        self._job = resolved_job(EXTRACT)
        self._origin = job_code_origin(EXTRACT)
        self._worker_tag = ProcessIdentity.current().to_tag()

    def run(self) -> None:
        threading.Thread(target=self._loop.run_forever, name="extracts", daemon=True).start()
        threading.Thread(target=self._hear, name="requests", daemon=True).start()
        self._send(Ready())
        while (shared := self._next_run()) is not None:
            self._record(shared)
        asyncio.run_coroutine_threadsafe(self._extracts.aclose(), self._loop).result()

    # --- hearing and extracting

    def _hear(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._obey(self._connection.recv())
        self._finish()

    def _obey(self, said: HandOver | Abandon | Finish) -> None:
        match said:
            case HandOver():
                shared, outcome = self._join_run(said.request)
                self._loop.call_soon_threadsafe(self._begin, said, shared.run_id, outcome)
            case Abandon():
                self._loop.call_soon_threadsafe(self._abandon, said.number)
            case Finish():
                self._finish()

    def _finish(self) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify()

    def _join_run(self, request: ExtractRequest) -> tuple[_SharedRun, Future[Outcome]]:
        outcome: Future[Outcome] = Future()
        with self._changed:
            last = self._runs[-1] if self._runs else None
            # Two of one id are two stories, which one run could not tell apart.
            if last is None or len(last.requests) >= self._max_shared or request.request_id in last.outcomes:
                last = _SharedRun()
                self._runs.append(last)
            # Without its bytes: a run waits for its turn longer than an image is needed.
            last.requests.append(replace(request, image=None))
            last.outcomes[request.request_id] = outcome
            self._changed.notify()
        return last, outcome

    def _begin(self, handed: HandOver, run_id: str, outcome: Future[Outcome]) -> None:
        task = self._loop.create_task(self._extract(handed, run_id))
        self._under_way[handed.number] = task
        # Not in the task itself: one that is cancelled before its first step never comes to say so.
        task.add_done_callback(partial(self._answer, handed, outcome))

    def _abandon(self, number: int) -> None:
        if number in self._under_way:
            self._under_way[number].cancel()

    async def _extract(self, handed: HandOver, run_id: str) -> Outcome:
        try:
            return await self._extracts.extract(handed.request, run_id)
        except OcrltyError as error:
            return error
        except Exception as error:  # a fault of ours must not leave a client waiting
            logger.exception("Request %s", handed.request.request_id)
            return OcrltyError(f"An unexpected error: {type(error).__name__}: {error}")

    def _answer(self, handed: HandOver, outcome: Future[Outcome], task: asyncio.Task[Outcome]) -> None:
        del self._under_way[handed.number]
        gone = AbandonedError(f"Whoever asked for {handed.request.request_id} has gone before it was done.")
        result = gone if task.cancelled() else task.result()
        try:
            self._send(Answer(handed.number, result))
        finally:
            # Whatever becomes of the answer, the run that records it must not wait for ever.
            outcome.set_result(result)

    # --- recording

    def _next_run(self) -> _SharedRun | None:
        """The run to record next, from which on nothing joins it; None when all is recorded and nothing more comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._runs or self._ending)
            return self._runs.popleft() if self._runs else None

    def _record(self, shared: _SharedRun) -> None:
        self._send(Recording(shared.run_id))
        reason = "Its worker could not record the run to its end."
        try:
            reconnect(self._instance)
            handed_over.update(shared.outcomes)
            for _ in execute_run_iterator(InMemoryJob(self._job), self._create(shared), self._instance):
                pass
        except Exception as error:  # the answers are out; what Dagster could not record is told in its own record
            logger.exception("Run %s could not be recorded", shared.run_id)
            reason = f"{reason[:-1]}: {type(error).__name__}: {error}"
        finally:
            for request in shared.requests:
                handed_over.pop(request.request_id, None)
            end_run(self._instance, shared.run_id, reason)
        self._send(Recorded(shared.run_id, len(shared.requests), resident_mb()))

    def _create(self, shared: _SharedRun) -> dg.DagsterRun:
        return self._instance.create_run_for_job(
            self._job,
            run_id=shared.run_id,
            run_config=_run_config(shared.requests),
            tags={
                **extract_tags(process_services(), shared.requests),
                **REPOSITORY_TAG,
                run_tags.WORKER: self._worker_tag,
                # A run made again would have no image: its bytes were in this process alone.
                "dagster/max_retries": "0",
            },
            job_code_origin=self._origin,
        )

    def _send(self, said: Ready | Answer | Recording | Recorded) -> None:
        # Nobody may be left to hear it, and what was begun is finished all the same.
        with self._sending, suppress(OSError):
            self._connection.send(said)


def _run_config(requests: list[ExtractRequest]) -> dict[str, Any]:
    return {
        "ops": {extract_images.name: {"config": {"requests": list(map(_config, requests))}}},
        # A line for each event on a busy server's standard error: the events are in the database.
        "loggers": {"console": {"config": {"log_level": "ERROR"}}},
    }


def _config(request: ExtractRequest) -> dict[str, Any]:
    config = {"task_id": request.task_id, "request_id": request.request_id}
    optional = {"image_ref": request.image_ref, "backend": request.backend}
    return {**config, **{name: value for name, value in optional.items() if value is not None}}
