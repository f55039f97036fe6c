"""The online lane: one request, answered by a warm worker as soon as its record is durable.

For an asyncio application that executes no run itself: the worker does, around the extraction.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from dagster._core.instance import InstanceRef
from dagster._serdes import serialize_value

from ocrlty_pipeline.errors import BusyError, OcrltyError, WorkerDiedError
from ocrlty_pipeline.extracts import ExtractRequest, StoredExtract
from ocrlty_pipeline.orchestration.warm.instances import DATABASE_ERRORS, end_run, open_instance
from ocrlty_pipeline.orchestration.warm.lane_worker import (
    Abandon,
    Answer,
    Finish,
    HandOver,
    Ready,
    Recorded,
    Recording,
    serve,
)
from ocrlty_pipeline.orchestration.warm.processes import WorkerProcess
from ocrlty_pipeline.settings import Settings

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 15.0
# A worker that cannot start, for example without a database, is tried again so often before those who wait hear of it.
MAX_FAILED_STARTS = 3
RESTART_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """The lane's bounds.

    Attributes:
        workers: processes.
        max_in_flight: requests that are extracted at the same time, in all processes together.
        max_waiting: requests beyond these that wait; one more is refused.
        max_shared: requests in one Dagster run.
        max_runs, max_mb: runs, and resident memory in MiB, after which a worker is replaced.
        log: file for what the workers print; None leaves it where this process prints.
    """

    workers: int
    max_in_flight: int
    max_waiting: int
    max_shared: int
    max_runs: int
    max_mb: int
    log: Path | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, log: Path | None = None) -> Self:
        return cls(
            workers=settings.online_workers,
            max_in_flight=settings.online_max_in_flight,
            max_waiting=settings.online_max_waiting,
            max_shared=settings.online_max_shared,
            max_runs=settings.warm_worker_max_runs,
            max_mb=settings.warm_worker_max_mb,
            log=log,
        )


@dataclass(eq=False, slots=True)
class _Worker:
    process: WorkerProcess
    # None ends the thread that sends.
    outbox: SimpleQueue[HandOver | Abandon | Finish | None] = field(default_factory=SimpleQueue)
    # Whether it has said that it can extract.
    ready: bool = False
    answers: dict[int, asyncio.Future[StoredExtract]] = field(default_factory=dict)
    # Requests handed to it whose run is not complete yet, runs it has begun to record, and how many it has recorded.
    unrecorded: int = 0
    recording: set[str] = field(default_factory=set)
    recorded: int = 0


class OnlineLane:
    """Hands requests to warm workers; an async context manager, of one event loop.

    Args:
        instance_ref: the Dagster instance in which the runs are recorded.
    """

    def __init__(self, instance_ref: InstanceRef, options: LaneOptions) -> None:
        self._ref = instance_ref
        self._options = options
        self._workers: list[_Worker] = []
        # Replaced or told to end; they finish what they have.
        self._retired: set[_Worker] = set()
        self._waiting: deque[tuple[ExtractRequest, asyncio.Future[StoredExtract]]] = deque()
        self._numbers = itertools.count()
        # Workers in a row that did not come to be ready.
        self._failed_starts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        for _ in range(self._options.workers):
            await self._spawn()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the workers finish what they have, within `CLOSE_TIMEOUT_S`, and end them."""
        self._closing = True
        for waiting in self._waiting:
            waiting[1].cancel()
        for worker in list(self._workers):
            self._retire(worker)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while self._retired:
                    await self._ended.wait()
                    self._ended.clear()
        for worker in self._retired:
            worker.process.kill()
        await asyncio.gather(*self._tasks)

    async def extract(self, request: ExtractRequest) -> StoredExtract:
        """Extract one image; returns when the record is durable, whatever Dagster has still to write.

        Cancelled, it gives its place up: what waits is forgotten, and a call under way is broken off.

        Raises:
            BusyError: as many requests wait as may.
            WorkerDiedError: the process ended before it answered; the same request may be made again.
            OcrltyError: what `Extracts.extract` raises.
        """
        answer: asyncio.Future[StoredExtract] = self._loop.create_future()
        worker = self._free_worker()
        if worker is not None:
            self._hand_over(worker, request, answer)
        elif len(self._waiting) < self._options.max_waiting + self._places_to_come:
            self._waiting.append((request, answer))
        else:
            raise BusyError(
                f"{self.in_flight} requests are being extracted and {len(self._waiting)} wait, the most that may; "
                "try again shortly."
            )
        try:
            return await answer
        except asyncio.CancelledError:
            self._abandon(answer)
            raise

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        return sum(len(worker.answers) for worker in [*self._workers, *self._retired])

    @property
    def settled(self) -> bool:
        """Whether every request is answered and every run recorded."""
        return not self._waiting and not any(w.answers or w.unrecorded for w in [*self._workers, *self._retired])

    # --- handing over

    def _free_worker(self) -> _Worker | None:
        ready = [worker for worker in self._workers if worker.ready]
        worker = min(ready, key=lambda worker: (len(worker.answers), worker.unrecorded), default=None)
        return worker if worker is not None and self._has_room(worker) else None

    @property
    def _places_of_a_worker(self) -> int:
        return -(-self._options.max_in_flight // self._options.workers)

    @property
    def _places_to_come(self) -> int:
        """Of workers that are not ready yet; who waits for one of these counts as if it had it."""
        return self._places_of_a_worker * (self._options.workers - sum(worker.ready for worker in self._workers))

    def _has_room(self, worker: _Worker) -> bool:
        """Dagster's record may lag by the run that is being recorded and the next, never without bound."""
        in_flight = self._places_of_a_worker
        lag = 2 * max(self._options.max_shared, in_flight)
        return len(worker.answers) < in_flight and worker.unrecorded < lag

    def _hand_over(self, worker: _Worker, request: ExtractRequest, answer: asyncio.Future[StoredExtract]) -> None:
        number = next(self._numbers)
        worker.answers[number] = answer
        worker.unrecorded += 1
        worker.outbox.put(HandOver(number, request))

    def _hand_over_waiting(self) -> None:
        while self._waiting and (worker := self._free_worker()) is not None:
            request, answer = self._waiting.popleft()
            # Whoever waited for it may have gone.
            if not answer.done():
                self._hand_over(worker, request, answer)

    def _abandon(self, answer: asyncio.Future[StoredExtract]) -> None:
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1] is not answer)
        for worker in [*self._workers, *self._retired]:
            for number, awaited in worker.answers.items():
                if awaited is answer:
                    # Its place is free once the worker says so.
                    worker.outbox.put(Abandon(number))

    # --- workers

    async def _spawn(self) -> None:
        """Start a worker; where that is not possible, after a pause."""
        ref, options = serialize_value(self._ref), self._options
        try:
            worker = _Worker(await asyncio.to_thread(WorkerProcess, serve, ref, options.max_shared, log=options.log))
            self._converse(worker)
        except Exception as error:  # noqa: BLE001 -- too many open files, no memory: both pass, and the lane stays
            self._note_failed_start(f"A worker could not be started ({type(error).__name__}: {error})")
            return
        self._workers.append(worker)
        if self._closing:
            self._retire(worker)

    def _converse(self, worker: _Worker) -> None:
        try:
            for target, name in ((self._receive_from, "lane-in"), (self._send_to, "lane-out")):
                threading.Thread(target=target, args=(worker,), name=name, daemon=True).start()
        except RuntimeError:  # no thread can be started
            worker.process.kill()
            raise

    def _note_failed_start(self, how: str) -> None:
        """Try again after a pause; who waits hears of it when that fails again and again and no worker is there."""
        self._failed_starts += 1
        logger.error("%s", how)
        if self._failed_starts >= MAX_FAILED_STARTS and not any(worker.ready for worker in self._workers):
            waiting, self._waiting = self._waiting, deque()
            for _, answer in waiting:
                _resolve(answer, WorkerDiedError("No worker can be started at present; try again shortly."))
        if not self._closing:
            self._run(self._spawn_later())

    async def _spawn_later(self) -> None:
        await asyncio.sleep(RESTART_PAUSE_S)
        if not self._closing:
            await self._spawn()

    def _send_to(self, worker: _Worker) -> None:
        """In a thread: a pipe full of images must not hold up the event loop."""
        # A worker that died is noticed by whoever reads from it.
        with suppress(OSError):
            while (handed := worker.outbox.get()) is not None:
                worker.process.connection.send(handed)

    def _receive_from(self, worker: _Worker) -> None:
        with suppress(EOFError, OSError):
            while True:
                said = worker.process.connection.recv()
                self._loop.call_soon_threadsafe(self._hear, worker, said)
        worker.outbox.put(None)
        how = worker.process.ended()
        # The loop may be over before its last worker is.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._bury, worker, how)

    def _hear(self, worker: _Worker, said: Ready | Answer | Recording | Recorded) -> None:
        match said:
            case Ready():
                worker.ready, self._failed_starts = True, 0
                self._hand_over_waiting()
            case Answer(number, outcome):
                _resolve(worker.answers.pop(number), outcome)
                self._hand_over_waiting()
            case Recording(run_id):
                worker.recording.add(run_id)
            case Recorded(run_id, requests, resident_mb):
                worker.recording.discard(run_id)
                worker.recorded += 1
                worker.unrecorded -= requests
                self._hand_over_waiting()
                if worker.recorded >= self._options.max_runs or resident_mb >= self._options.max_mb:
                    self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._retire(worker)
            self._run(self._spawn())

    def _retire(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._retired.add(worker)
        worker.outbox.put(Finish())

    def _bury(self, worker: _Worker, how: str) -> None:
        self._retired.discard(worker)
        self._ended.set()
        reason = f"Its worker (process {worker.process.pid}) {how} before the request was answered."
        for answer in worker.answers.values():
            _resolve(answer, WorkerDiedError(f"{reason} Send it again."))
        if worker.recording:
            self._run(self._close_runs(worker.recording, reason))
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        if not worker.ready:
            self._note_failed_start(f"A worker (process {worker.process.pid}) {how} before it was ready")
            return
        logger.warning("A worker of the online lane (process %d) %s", worker.process.pid, how)
        if not self._closing:
            self._run(self._spawn())

    def _run(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_runs(self, run_ids: set[str], reason: str) -> None:
        try:
            await asyncio.to_thread(_end_runs, self._ref, run_ids, reason)
        except DATABASE_ERRORS:
            logger.exception("Runs %s are left to run monitoring", ", ".join(run_ids))


def _end_runs(ref: InstanceRef, run_ids: set[str], reason: str) -> None:
    with open_instance(ref) as instance:
        for run_id in run_ids:
            end_run(instance, run_id, reason)


def _resolve(answer: asyncio.Future[StoredExtract], outcome: StoredExtract | OcrltyError) -> None:
    if answer.done():
        return  # whoever asked has gone
    if isinstance(outcome, OcrltyError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
