"""Submitting once: what is asked again under the same id with the same content is not done again.

Belongs here: which run a submission is, and that two equal ones at the same time make one run. Does not: what is
submitted, or how it is executed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ocrlty_api.errors import ConflictError, LaunchUnknownError
from ocrlty_api.lanes.submitted import SubmittedRun, find_submitted, submission_tags
from ocrlty_api.state import AppState
from ocrlty_pipeline.db.locks import AdvisoryLock
from ocrlty_pipeline.errors import StorageUnavailableError

# Between looks at a lock that another process has; each is twice as long as the one before.
LOCK_PAUSE_S = 0.05
MAX_LOCK_PAUSE_S = 0.8

Launch = Callable[[Mapping[str, str]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client submits.

    Attributes:
        id: by which it is known again, over all clients.
        content: digest of what is asked, and by whom.
        named: the field and the id as the client gave them, for messages.
    """

    id: str
    content: str
    named: str

    @classmethod
    def of_run(cls, run_id: str, content: str) -> Submission:
        """A batch by its run_id, which is one name space for all keys."""
        return cls(_digest("run_id", run_id), content, f"run_id {run_id!r}")

    @classmethod
    def of_request(cls, request_id: str, content: str) -> Submission:
        """A single extract by its request_id, which is one name space for all keys."""
        return cls(_digest("request_id", request_id), content, f"request_id {request_id!r}")

    @classmethod
    def of_key(cls, key_id: str, idempotency_key: str, content: str) -> Submission:
        """Anything by its Idempotency-Key, each API key's own."""
        return cls(_digest("idempotency_key", key_id, idempotency_key), content, "This Idempotency-Key")

    def refuse_other(self, found: SubmittedRun | None) -> None:
        """
        Raises:
            ConflictError: what was submitted under the id is something else.
        """
        if found is not None and found.content != self.content:
            raise ConflictError(f"{self.named} is in use with other content; choose another.")


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run of a submission.

    Attributes:
        job_id: by which clients know it where it is a job.
        repeated: it was there before.
        ending: it was told to end; submitted again once it has, it continues.
    """

    dagster_run_id: str
    job_id: str
    repeated: bool
    ending: bool = False

    @classmethod
    def launched(cls, dagster_run_id: str) -> Submitted:
        return cls(dagster_run_id, dagster_run_id, repeated=False)


async def submit_once(
    state: AppState, submission: Submission | None, launch: Launch, *, waits: bool = False
) -> Submitted:
    """The run of `submission`; launched now unless it is there.

    Args:
        state: of the application.
        submission: None for one that nobody can repeat.
        launch: makes the run, with the tags it is given, and answers its id.
        waits: whether the client waits for the run's end. It may get any run but one that failed or was cancelled,
            which is launched again and continues; who does not wait gets a job, whatever became of it, nothing else.
            Nobody gets a batch that was deleted since.

    Raises:
        ConflictError: the id stands for other content.
        LaunchUnknownError: it may have been launched; nothing is to be seen of it.
    """
    if submission is None:
        return Submitted.launched(await launch({}))
    async with _locked(state, submission.id):
        found = await find_submitted(state.shared, submission.id)
        submission.refuse_other(found)
        if found is not None and _may_get(found, waits=waits) and not await _is_deleted(state, found):
            return Submitted(found.dagster_run_id, found.job_id, repeated=True, ending=found.ending)
        try:
            return Submitted.launched(await launch(submission_tags(submission.id, submission.content)))
        except LaunchUnknownError:
            if (run_id := await _launched_since(state, submission, found)) is None:
                raise
            return Submitted.launched(run_id)


def _may_get(found: SubmittedRun, *, waits: bool) -> bool:
    return not found.broken_off if waits else found.is_job


async def _is_deleted(state: AppState, found: SubmittedRun) -> bool:
    """Whether what it made was deleted: Dagster's record of it stays, and says that it succeeded."""
    if found.batch is None:
        return False
    return await asyncio.to_thread(state.services.index.find, "batch", found.batch) is None


async def _launched_since(state: AppState, submission: Submission, before: SubmittedRun | None) -> str | None:
    """The run of a launch whose outcome nobody told."""
    with suppress(StorageUnavailableError):
        found = await find_submitted(state.shared, submission.id)
        if found is not None and (before is None or found.dagster_run_id != before.dagster_run_id):
            return found.dagster_run_id
    return None


@asynccontextmanager
async def _locked(state: AppState, name: str) -> AsyncIterator[None]:
    """One at a time, in all processes; who has the lock has it for as long as a launch takes."""
    # One of this process asks for the lock of all, which takes a connection each time.
    async with state.submitting.setdefault(name, asyncio.Lock()):
        lock = AdvisoryLock(state.services.engine, f"submission:{name}")
        pause_s = LOCK_PAUSE_S
        try:
            while not await asyncio.to_thread(lock.try_acquire):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_LOCK_PAUSE_S)
            yield
        finally:
            await asyncio.shield(asyncio.to_thread(lock.release))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
