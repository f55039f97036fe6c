"""One execution of a batch, from the claim on its lineage to the closed journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ocrlty_pipeline.artifacts.keys import check_id
from ocrlty_pipeline.attempts import AttemptPolicy
from ocrlty_pipeline.backends.factory import create_backend, create_page_source
from ocrlty_pipeline.batches.inputs import BatchInputs, inputs_of_run, inputs_of_set
from ocrlty_pipeline.batches.journal import BatchIdentity, BatchJournal, Claim, Executions, unknown
from ocrlty_pipeline.batches.progress import ProgressSink, Stop
from ocrlty_pipeline.batches.runner import BatchJob, BatchOutcome, BatchRunner
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.overrides import NONE as NO_OVERRIDES
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.records import Auth
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.task_texts import keep_texts
from ocrlty_pipeline.uploads import remove_inputs


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What somebody asks for.

    Attributes:
        image_set_version: None for the latest.
        backend: None for the settings' own.
        concurrency: calls in flight.
        limit: only the first so many images; None for all.
        retries: the Dagster runs that this one retries, whose batch it goes on with, even where `resume` is false.
        run_id: a name for the run; None lets it derive from the Dagster run, and continue an unfinished one.
        resume: False starts afresh even where an unfinished run of the same work exists.
        source_run_id: the run whose inputs are taken, whatever the set has become since; None unless it is a rerun.
        only_failed: of a rerun, only the images for which the source run has no result.
        reuse_results: take over answers to the same questions; None does so in a rerun.
        overrides: what the batch changes about task and model.
    """

    image_set: str
    task_id: str
    dagster_run_id: str
    retries: tuple[str, ...] = ()
    backend: str | None = None
    concurrency: int = 16
    limit: int | None = None
    run_id: str | None = None
    resume: bool = True
    auth: Auth = field(default_factory=Auth)
    image_set_version: int | None = None
    source_run_id: str | None = None
    only_failed: bool = False
    reuse_results: bool | None = None
    overrides: Overrides = NO_OVERRIDES

    @property
    def reuses(self) -> bool:
        return self.source_run_id is not None if self.reuse_results is None else self.reuse_results


class OpenBatch:
    """A batch that this process has the right to execute."""

    def __init__(self, services: Services, job: BatchJob) -> None:
        self._services = services
        self._job = job
        self.claim = job.claim
        self.context = job.context
        self.inputs = job.inputs

    async def keep_texts(self) -> None:
        """Keep the prompt and the schema of the run, which its artifacts name by their hashes."""
        await keep_texts(self._services.store, self.context.task)

    def run(self, sink: ProgressSink) -> BatchOutcome:
        """Extract what is not extracted yet; the outcome is stored by `finish_batch`."""
        return asyncio.run(self._run(sink))

    def release_inputs(self) -> None:
        """Remove inputs that nobody asked to keep; call it once the batch has ended for good, never before."""
        asyncio.run(remove_inputs(self._services.store, self.inputs.image_set))

    async def _run(self, sink: ProgressSink) -> BatchOutcome:
        services = self._services
        await self.keep_texts()
        runner = BatchRunner(self._job, services.store, services.index)
        try:
            return await runner.run(sink, Stop(), services.settings.jobs_progress_min_seconds)
        finally:
            await self.context.backend.aclose()


class StoredBatch:
    """A named batch that ended well already: asked for again, it is answered by its artifact."""

    def __init__(self, services: Services, run_id: str, inputs: BatchInputs) -> None:
        self._services = services
        self._inputs = inputs
        self._row = services.runs.find(run_id)
        self.claim = Claim(run_id, run_id, self._row.day)

    def run(self, _sink: ProgressSink) -> BatchOutcome:
        batch = asyncio.run(self._services.runs.load(self._row))
        latencies = [item.timings_ms.total for item in batch.items]
        return BatchOutcome(batch, self.claim.day, [], latencies, stored=True)

    def release_inputs(self) -> None:
        """As `OpenBatch.release_inputs`: they may have been sent again."""
        asyncio.run(remove_inputs(self._services.store, self._inputs.image_set))


@contextmanager
def open_batch(
    services: Services, request: BatchRequest, executions: Executions = unknown
) -> Iterator[OpenBatch | StoredBatch]:
    """Claim the batch that `request` asks for, as long as the context is open.

    Args:
        services: the domain's objects.
        request: what is asked for.
        executions: tells what is known of Dagster runs that began such work before.

    Raises:
        InputError: unknown task or image set, bad run id, concurrency beyond its bound, inputs that were not kept.
        ArtifactNotFoundError: there is no source run of that id.
        ArtifactConflictError: the run id stands for other work, or is being executed elsewhere.
    """
    _check(request, services.settings)
    inputs = asyncio.run(_inputs(services, request))
    context = extraction_context(services, request)
    identity = BatchIdentity.of(inputs.image_set, inputs.items, context)
    beginning = _beginning(services.journal, request, identity)
    if beginning.stored:
        yield StoredBatch(services, beginning.run_id, inputs)
        return
    with services.journal.claim(
        identity,
        new_id=beginning.run_id,
        dagster_run_id=request.dagster_run_id,
        has_artifact=lambda rel: asyncio.run(services.store.exists(rel)),
        resume=beginning.resume,
        executions=executions,
    ) as claim:
        context = replace(context, run_id=claim.run_id)
        yield OpenBatch(services, BatchJob(claim, inputs, context, request.concurrency, request.reuses))


def finish_batch(services: Services, outcome: BatchOutcome) -> str:
    """Store the batch artifact, then close the journal; returns the artifact's key."""
    if not outcome.stored:
        facts = outcome.header.model_dump(mode="json")
        asyncio.run(services.runs.save_batch(outcome.rel, outcome.to_bytes(), facts, outcome.items))
        services.journal.close(outcome.header.run_id, outcome.header.status)
    return outcome.rel


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Under which id a batch begins, whether it may continue another; `stored`: it is done already, under this id."""

    run_id: str
    resume: bool = False
    stored: bool = False


def _beginning(journal: BatchJournal, request: BatchRequest, identity: BatchIdentity) -> _Beginning:
    if request.run_id is not None:
        return _Beginning(request.run_id, stored=journal.finished(request.run_id, identity))
    before = journal.begun_by(request.retries)
    if before is None or before.identity != identity:
        return _Beginning(run_id_of(request.dagster_run_id), resume=request.resume)
    if before.state == "finished":
        return _Beginning(before.run_id, stored=True)
    return _Beginning(before.lineage_id)


def _check(request: BatchRequest, settings: Settings) -> None:
    bound = settings.jobs_max_concurrency
    if request.concurrency > bound:
        raise InputError(f"concurrency {request.concurrency} is more than JOBS_MAX_CONCURRENCY={bound}; ask for less.")
    if request.run_id is not None:
        check_id("run_id", request.run_id)


async def _inputs(services: Services, request: BatchRequest) -> BatchInputs:
    if request.source_run_id is None:
        return await inputs_of_set(services, request.image_set, request.image_set_version, request.limit)
    return await inputs_of_run(services, request.source_run_id, only_failed=request.only_failed, limit=request.limit)


def run_id_of(dagster_run_id: str) -> str:
    """Run id of a batch that nobody named."""
    return f"run-{dagster_run_id.replace('-', '')[:16]}"


def extraction_context(services: Services, request: BatchRequest) -> ExtractionContext:
    """What the images of a batch are extracted with; its backend is for the caller to close."""
    settings = request.overrides.of_settings(services.settings)
    return ExtractionContext(
        task=request.overrides.of_task(services.tasks[request.task_id]),
        backend=create_backend(settings, request.backend),
        policy=AttemptPolicy.from_settings(settings),
        limits=services.image_limits,
        code_version=settings.code_version,
        auth=request.auth,
        dagster_run_id=request.dagster_run_id,
        page_source=create_page_source(settings),
    )
