"""Waiting for news of jobs: one look at Dagster's storage now and then, however many wait for the same job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ocrlty_api.lanes.durable import DurableLane
from ocrlty_pipeline.orchestration.job_records import JobRecord

LOOK_S = 0.25
# Looks at all jobs together: each takes some 2 ms of CPU. More jobs are looked at less often.
LOOKS_PER_S = 100


@dataclass(slots=True)
class _Watch:
    task: asyncio.Task[None] | None = None
    waiting: dict[asyncio.Future[JobRecord | None], JobRecord] = field(default_factory=dict)


class JobWatcher:
    """Tells those who wait when a job changes; it looks only while somebody waits. Of one event loop."""

    def __init__(self, durable: DurableLane) -> None:
        self._durable = durable
        self._watches: dict[str, _Watch] = {}

    async def change(self, known: JobRecord, timeout_s: float) -> JobRecord | None:
        """The job once its status or progress differs from `known`; as it is when time is up. None when it is gone.

        Raises:
            StorageUnavailableError: the database cannot be reached.
        """
        watch = self._watches.setdefault(known.job_id, _Watch())
        news: asyncio.Future[JobRecord | None] = asyncio.get_running_loop().create_future()
        watch.waiting[news] = known
        if watch.task is None or watch.task.done():
            watch.task = asyncio.create_task(self._look(known.job_id, watch), name=f"watch-{known.job_id}")
        try:
            async with asyncio.timeout(timeout_s):
                return await news
        except TimeoutError:
            return await self._durable.job(known.job_id)
        finally:
            watch.waiting.pop(news, None)
            if not watch.waiting:
                self._end(known.job_id, watch)

    def _end(self, job_id: str, watch: _Watch) -> None:
        if watch.task is not None:
            watch.task.cancel()
        if self._watches.get(job_id) is watch:
            del self._watches[job_id]

    async def _look(self, job_id: str, watch: _Watch) -> None:
        try:
            while True:
                job = await self._durable.job(job_id)
                for news, known in watch.waiting.items():
                    if not news.done() and (job is None or version(job) != version(known)):
                        news.set_result(job)
                await asyncio.sleep(max(LOOK_S, len(self._watches) / LOOKS_PER_S))
        except Exception as error:  # noqa: BLE001 -- every one that waits raises it; none may wait in vain
            for news in watch.waiting:
                if not news.done():
                    news.set_exception(error)


def version(job: JobRecord) -> tuple[object, ...]:
    """What makes a job another than before, to somebody who follows it."""
    return job.status, job.progress, job.cancel_requested, len(job.dagster_run_ids)
