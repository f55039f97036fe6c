"""One execution of a batch, from the claim on its lineage to the closed journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.attempts import AttemptPolicy
from ocrlty_pipeline.backends.factory import create_backend, create_page_source
from ocrlty_pipeline.batches.journal import BatchIdentity, Claim
from ocrlty_pipeline.batches.progress import ProgressSink, Stop
from ocrlty_pipeline.batches.runner import BatchJob, BatchOutcome, BatchRunner
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.records import Auth
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.task_texts import keep_texts


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What somebody asks for.

    Attributes:
        backend: None for the settings' own.
        concurrency: calls in flight.
        limit: only the first so many images; None for all.
        run_id: a name for the run; None lets it derive from the Dagster run, and continue an unfinished one.
        resume: False starts afresh even where an unfinished run of the same work exists.
    """

    image_set: str
    task_id: str
    dagster_run_id: str
    backend: str | None = None
    concurrency: int = 16
    limit: int | None = None
    run_id: str | None = None
    resume: bool = True
    auth: Auth = field(default_factory=Auth)


class OpenBatch:
    """A batch that this process has the right to execute."""

    def __init__(self, services: Services, job: BatchJob) -> None:
        self._services = services
        self._job = job
        self.claim = job.claim

    def run(self, sink: ProgressSink) -> BatchOutcome:
        """Extract what is not extracted yet; the outcome is stored by `finish_batch`."""
        return asyncio.run(self._run(sink))

    async def _run(self, sink: ProgressSink) -> BatchOutcome:
        services = self._services
        runner = BatchRunner(self._job, services.store, services.index)
        try:
            return await runner.run(sink, Stop(), services.settings.jobs_progress_min_seconds)
        finally:
            await self._job.context.backend.aclose()


class StoredBatch:
    """A named batch that ended well already: asked for again, it is answered by its artifact."""

    def __init__(self, services: Services, run_id: str) -> None:
        self._services = services
        self._row = services.runs.find(run_id)
        self.claim = Claim(run_id, run_id, self._row.day)

    def run(self, _sink: ProgressSink) -> BatchOutcome:
        batch = asyncio.run(self._services.runs.load(self._row))
        latencies = [item.timings_ms.total for item in batch.items]
        return BatchOutcome(batch, self.claim.day, [], latencies, stored=True)


@contextmanager
def open_batch(services: Services, request: BatchRequest) -> Iterator[OpenBatch | StoredBatch]:
    """Claim the batch that `request` asks for, as long as the context is open.

    Raises:
        InputError: unknown task or image set, bad run id, concurrency beyond its bound.
        ArtifactConflictError: the run id stands for other work, or is being executed elsewhere.
    """
    _check(request, services.settings)
    image_set = asyncio.run(services.image_sets.load(request.image_set))
    context = _context(services, request)
    identity = BatchIdentity.of(image_set.name, image_set.version, request.limit, context)
    if request.run_id is not None and services.journal.finished(request.run_id, identity):
        yield StoredBatch(services, request.run_id)
        return
    with services.journal.claim(
        identity,
        new_id=request.run_id or run_id_of(request.dagster_run_id),
        dagster_run_id=request.dagster_run_id,
        has_artifact=lambda rel: asyncio.run(services.store.exists(rel)),
        resume=request.resume and request.run_id is None,
    ) as claim:
        context = replace(context, run_id=claim.run_id)
        yield OpenBatch(services, BatchJob(claim, image_set, context, request.concurrency, request.limit))


def finish_batch(services: Services, outcome: BatchOutcome) -> str:
    """Store the batch artifact, then close the journal; returns the artifact's key."""
    if not outcome.stored:
        facts = outcome.header.model_dump(mode="json")
        asyncio.run(keep_texts(services.store, services.tasks[outcome.header.task_id]))
        asyncio.run(services.runs.save(outcome.rel, outcome.to_bytes(), facts))
        services.journal.close(outcome.header.run_id, outcome.header.status)
    return outcome.rel


def _check(request: BatchRequest, settings: Settings) -> None:
    bound = settings.jobs_max_concurrency
    if request.concurrency > bound:
        raise InputError(f"concurrency {request.concurrency} is more than JOBS_MAX_CONCURRENCY={bound}; ask for less.")
    if request.run_id is not None:
        check_id("run_id", request.run_id)


def run_id_of(dagster_run_id: str) -> str:
    """Run id of a batch that nobody named."""
    return f"run-{dagster_run_id.replace('-', '')[:16]}"


def _context(services: Services, request: BatchRequest) -> ExtractionContext:
    settings = services.settings
    return ExtractionContext(
        task=services.tasks[request.task_id],
        backend=create_backend(settings, request.backend),
        policy=AttemptPolicy.from_settings(settings),
        limits=services.image_limits,
        code_version=settings.code_version,
        auth=request.auth,
        dagster_run_id=request.dagster_run_id,
        page_source=create_page_source(settings),
    )
