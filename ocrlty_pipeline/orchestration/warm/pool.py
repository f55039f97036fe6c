"""A pool of warm worker processes that execute Dagster runs by id.

One thread supervises: it alone touches the workers, so that nothing here needs a lock. Others leave it commands.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

import dagster as dg
from dagster._core.instance import InstanceRef
from dagster._serdes import serialize_value

from ocrlty_pipeline.errors import WorkerDiedError
from ocrlty_pipeline.orchestration.warm.instances import DATABASE_ERRORS, end_run, open_instance
from ocrlty_pipeline.orchestration.warm.processes import WorkerProcess
from ocrlty_pipeline.orchestration.warm.run_worker import Done, work
from ocrlty_pipeline.settings import Settings

logger = logging.getLogger(__name__)

TICK_S = 1.0
# A batch lets its calls in flight come home, for ten seconds at most.
CANCEL_GRACE_S = 15.0
# A worker that cannot start, for example without a database, is tried again so often, and then not at once.
MAX_FAILED_STARTS = 3
RESTART_PAUSE_S = 1.0
# After the grace of a closing pool: time to tell Dagster of the runs that were killed.
LAST_WORD_S = 5.0
STOPPED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How many workers, and when one is replaced.

    Attributes:
        size: workers at most, and so runs at the same time; further runs wait.
        max_runs: runs after which a worker is replaced.
        max_mb: resident memory, in MiB, above which it is replaced.
        log: file for what the workers print; None leaves it where this process prints.
    """

    size: int
    max_runs: int
    max_mb: int
    log: Path | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, size: int | None = None, log: Path | None = None) -> Self:
        return cls(size or settings.warm_workers, settings.warm_worker_max_runs, settings.warm_worker_max_mb, log)


@dataclass(eq=False, slots=True)
class _Worker:
    process: WorkerProcess
    # Whether it has said that it can execute runs.
    ready: bool = False
    run_id: str | None = None
    runs: int = 0
    # When its run must have ended; None while it may take its time.
    deadline: float | None = None


class WarmPool:
    """Executes runs by id, each in a process that is warm already.

    A worker that dies takes only its own run with it, which is marked failed with the reason. A run that somebody
    cancels, from whatever process, is interrupted within a second, and its worker ended where that does not help.

    Args:
        instance_ref: the Dagster instance; workers and supervisor each open their own.
        on_end: told each run once it is no longer held, in the supervising thread, which it must not hold up.
    """

    def __init__(
        self, instance_ref: InstanceRef, options: PoolOptions, on_end: Callable[[str], None] = lambda _run_id: None
    ) -> None:
        self._ref = instance_ref
        self._serialized_ref = serialize_value(instance_ref)
        self._options = options
        self._on_end = on_end
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake_reader, self._wake_writer = Pipe(duplex=False)
        self._waiting: deque[str] = deque()
        self._workers: list[_Worker] = []
        # Told to end, and not seen to have ended yet.
        self._retired: list[WorkerProcess] = []
        # Submitted and not yet known to have ended; the only state that other threads read.
        self._unfinished: set[str] = set()
        # Runs whose worker died, and why: told to Dagster as soon as the database can be reached.
        self._unsettled: dict[str, str] = {}
        # Workers in a row that died before they were ready, and when the next may be started.
        self._failed_starts = 0
        self._next_start = 0.0
        self._closing: float | None = None
        self._instance: dg.DagsterInstance | None = None
        self._last_look = 0.0
        self._thread = threading.Thread(target=self._supervise, name="warm-pool", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def log(self) -> Path | None:
        return self._options.log

    def submit(self, run_id: str) -> None:
        """Execute a run as soon as a worker is free; returns at once.

        Raises:
            WorkerDiedError: the pool has ended.
        """
        if not self.alive:
            raise WorkerDiedError(f"Run {run_id} cannot be executed: the pool of workers has ended.")
        self._unfinished.add(run_id)
        self._tell(lambda: self._waiting.append(run_id))

    def cancel(self, run_id: str, grace_s: float = CANCEL_GRACE_S) -> None:
        """Interrupt a run, and end its worker when it has not ended after `grace_s` seconds.

        One that waits ends at once.
        """
        self._tell(lambda: self._interrupt(run_id, grace_s))

    def holds(self, run_id: str) -> bool:
        """Whether the run waits or executes here; once it does not, its status is final."""
        return run_id in self._unfinished

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def idle(self) -> bool:
        return not self._unfinished

    def close(self, grace_s: float = CANCEL_GRACE_S) -> None:
        """End all workers, interrupting their runs; what has not ended after `grace_s` seconds is killed.

        A run interrupted so is marked failed, not canceled: nobody asked for it to end.
        """
        atexit.unregister(self.close)
        if self.alive:
            self._tell(lambda: self._begin_closing(grace_s))
            self._thread.join()

    # --- the supervising thread

    def _tell(self, command: Callable[[], None]) -> None:
        self._commands.put(command)
        self._wake_writer.send_bytes(b"!")

    def _supervise(self) -> None:
        self._spawn()
        try:
            while not self._closed():
                self._assign()
                self._listen()
                self._obey()
                self._look_after()
        finally:
            for process in [*self._retired, *(worker.process for worker in self._workers)]:
                process.kill()
            for run_id in list(self._unfinished):
                self._let_go(run_id)
            if self._instance is not None:
                self._instance.dispose()

    def _let_go(self, run_id: str) -> None:
        if run_id in self._unfinished:
            self._unfinished.discard(run_id)
            self._on_end(run_id)

    def _closed(self) -> bool:
        """Closing ends with the last worker, and does not wait for ever for a database that is away."""
        if self._closing is None:
            return False
        return not (self._workers or self._retired or self._unsettled) or time.monotonic() > self._closing + LAST_WORD_S

    def _obey(self) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            command()

    def _listen(self) -> None:
        """Hear what workers say, and of their ends."""
        by_source: dict[Any, _Worker] = {}
        for worker in self._workers:
            by_source[worker.process.connection] = by_source[worker.process.sentinel] = worker
        ready = wait([self._wake_reader, *by_source, *(process.sentinel for process in self._retired)], timeout=TICK_S)
        while self._wake_reader.poll():
            self._wake_reader.recv_bytes()
        for source in ready:
            spoken = by_source.get(source)
            # The first of its two sources may have buried it.
            if spoken in self._workers:
                self._hear(spoken) if isinstance(source, Connection) else self._bury(spoken)
        self._retired = [process for process in self._retired if process.sentinel not in ready]

    def _hear(self, worker: _Worker) -> None:
        try:
            said: Done = worker.process.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if said.run_id is None:
            worker.ready, self._failed_starts = True, 0
            return None
        self._let_go(said.run_id)
        worker.run_id, worker.deadline = None, None
        worker.runs += 1
        worn = worker.runs >= self._options.max_runs or said.resident_mb >= self._options.max_mb
        if worn or self._closing is not None:
            self._retire(worker)
        return None

    def _retire(self, worker: _Worker) -> None:
        """It ends by itself when its connection does; its successor starts at once."""
        self._workers.remove(worker)
        self._retired.append(worker.process)
        worker.process.connection.close()
        if self._closing is None:
            self._spawn()

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        how = f"Its worker (process {worker.process.pid}) {worker.process.ended()}"
        if not worker.ready:
            self._note_failed_start(worker, how)
        elif worker.run_id is not None:
            self._give_up([worker.run_id], f"{how} before the run ended.")
        if worker.ready and self._closing is None:
            self._spawn()

    def _note_failed_start(self, worker: _Worker, how: str) -> None:
        """The run goes to the next worker, which starts after a pause; if none comes up, those that wait are failed."""
        if worker.run_id is not None:
            self._waiting.appendleft(worker.run_id)
        self._failed_starts += 1
        self._next_start = time.monotonic() + RESTART_PAUSE_S
        logger.error("%s before it was ready", how)
        if self._failed_starts >= MAX_FAILED_STARTS:
            waiting, self._waiting = list(self._waiting), deque()
            log = f"; see {self._options.log}" if self._options.log else ""
            self._give_up(waiting, f"{how} before it was ready, as did those before it{log}.")

    def _give_up(self, run_ids: list[str], reason: str) -> None:
        for run_id in run_ids:
            self._unsettled[run_id] = reason
            logger.warning("Run %s: %s", run_id, reason)

    def _assign(self) -> None:
        while self._waiting and self._closing is None:
            worker = self._free_worker()
            if worker is None:
                return
            run_id = self._waiting.popleft()
            try:
                worker.process.connection.send(run_id)
            except OSError:
                # It has died, which `_listen` will hear; the run goes to another.
                self._waiting.appendleft(run_id)
                self._bury(worker)
            else:
                worker.run_id = run_id

    def _free_worker(self) -> _Worker | None:
        for worker in self._workers:
            if worker.run_id is None:
                return worker
        may_start = len(self._workers) < self._options.size and time.monotonic() >= self._next_start
        return self._spawn() if may_start else None

    def _spawn(self) -> _Worker:
        worker = _Worker(WorkerProcess(work, self._serialized_ref, log=self._options.log))
        self._workers.append(worker)
        return worker

    def _look_after(self) -> None:
        """What time brings: runs cancelled elsewhere, workers that do not stop, deaths not yet told to Dagster."""
        busy = [worker for worker in self._workers if worker.run_id is not None]
        for worker in busy:
            if worker.deadline is not None and time.monotonic() > worker.deadline:
                worker.process.kill()
        if not busy and not self._unsettled:
            return
        try:
            self._settle()
            self._interrupt_stopped(
                [*self._waiting, *(str(worker.run_id) for worker in busy if worker.deadline is None)]
            )
        except DATABASE_ERRORS:
            logger.warning("The database cannot be reached; the pool tries again", exc_info=True)

    def _settle(self) -> None:
        for run_id, reason in list(self._unsettled.items()):
            end_run(self._opened(), run_id, reason, patience_s=0)
            del self._unsettled[run_id]
            self._let_go(run_id)

    def _interrupt_stopped(self, run_ids: list[str]) -> None:
        if not run_ids or not self._due():
            return
        stopped = self._opened().get_runs(dg.RunsFilter(run_ids=run_ids, statuses=list(STOPPED)))
        for run in stopped:
            self._interrupt(run.run_id, CANCEL_GRACE_S)

    def _due(self) -> bool:
        """Once a tick, however many messages come in between."""
        now = time.monotonic()
        if now - self._last_look < TICK_S:
            return False
        self._last_look = now
        return True

    def _interrupt(self, run_id: str, grace_s: float) -> None:
        if run_id in self._waiting:
            self._waiting.remove(run_id)
            self._give_up([run_id], "It was told to end before it began.")
        for worker in self._workers:
            if worker.run_id == run_id:
                worker.deadline = time.monotonic() + grace_s
                worker.process.interrupt()

    def _begin_closing(self, grace_s: float) -> None:
        self._closing = time.monotonic() + grace_s
        waiting, self._waiting = list(self._waiting), deque()
        self._give_up(waiting, "The service stopped before the run began.")
        for worker in list(self._workers):
            if worker.run_id is None:
                self._retire(worker)
            else:
                self._interrupt(worker.run_id, grace_s)

    def _opened(self) -> dg.DagsterInstance:
        if self._instance is None:
            self._instance = open_instance(self._ref)
        return self._instance
