"""A batch run in shards: slices of its inputs that other processes extract, each kept and retried alone.

Belongs here: cutting a claimed batch, extracting one shard, closing the run. Does not: in which processes that happens.

What passes from one to the next is in storage: a file of inputs for each shard, then a file of its items. A shard whose
items are there is done, whoever asks for it again. A run that broke off has no batch artifact; the next execution of
the same work goes on with its shards.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from ocrlty_pipeline.artifacts.keys import shard_inputs_key, shard_key
from ocrlty_pipeline.artifacts.run_items import items_of
from ocrlty_pipeline.artifacts.shard_files import ShardFile, shard_files
from ocrlty_pipeline.batches.execution import BatchRequest, OpenBatch, extraction_context, open_batch
from ocrlty_pipeline.batches.inputs import BatchInputs
from ocrlty_pipeline.batches.journal import Claim, Executions, unknown
from ocrlty_pipeline.batches.progress import Progress, ProgressSink, Stop
from ocrlty_pipeline.batches.runner import BatchJob, BatchOutcome, BatchRunner
from ocrlty_pipeline.errors import ArtifactConflictError, TransientBackendError
from ocrlty_pipeline.extraction import ExtractionContext
from ocrlty_pipeline.image_sets import ImageSet
from ocrlty_pipeline.records import BatchHeader, CheckCount, Document
from ocrlty_pipeline.services import Services

WRITES_AT_ONCE = 16
_NAME = re.compile(r"shard_([0-9]{6})(_again)?\Z")


@dataclass(frozen=True, slots=True)
class Shard:
    """One slice of a run's inputs; written `shard_000017`, or `shard_000017_again`.

    Attributes:
        number: counts from 0.
        again: whether an earlier execution may have extracted some of it, so that each image is looked for first.
    """

    number: int
    again: bool = False

    def __str__(self) -> str:
        return f"shard_{self.number:06d}" + ("_again" if self.again else "")

    @classmethod
    def parse(cls, name: str) -> Self:
        match = _NAME.match(name)
        if match is None:
            raise ValueError(f"{name!r} names no shard.")
        return cls(int(match[1]), again=match[2] is not None)


class ShardInputs(Document):
    """What one shard is to extract.

    Attributes:
        image_set: the run's, with just the shard's items; `version` is its version.
        size: items in a full shard; `total` those of the whole run.
    """

    image_set: ImageSet
    version: int
    size: int
    total: int

    def cut(self, number: int, inputs: BatchInputs) -> Self:
        """The same of another shard of the run that takes all of `inputs`."""
        items = inputs.items[number * self.size : (number + 1) * self.size]
        return self.model_copy(update={"image_set": self.image_set.model_copy(update={"items": items})})


@dataclass(frozen=True, slots=True)
class ShardedBatch:
    """A claimed batch that is cut; without shards and context, its artifact is there already."""

    claim: Claim
    shards: list[Shard]
    context: ExtractionContext | None = None


@contextmanager
def open_shards(
    services: Services, request: BatchRequest, size: int, executions: Executions = unknown
) -> Iterator[ShardedBatch]:
    """Claim the batch that `request` asks for and cut its inputs into shards of `size` images.

    A batch that is continued keeps the size that it was cut by.

    Raises:
        As `open_batch`.
    """
    with open_batch(services, request, executions) as batch:
        if isinstance(batch, OpenBatch):
            yield ShardedBatch(batch.claim, asyncio.run(_cut(services, batch, size)), batch.context)
        else:
            yield ShardedBatch(batch.claim, [])


async def _cut(services: Services, batch: OpenBatch, size: int) -> list[Shard]:
    await batch.keep_texts()
    claim, inputs = batch.claim, batch.inputs
    first = await services.store.get_or_none(shard_inputs_key(claim.day, claim.run_id, 0))
    cut = ShardInputs.from_bytes(first) if first else _first_cut(inputs, size)
    numbers = range(-(-cut.total // cut.size))
    slots = asyncio.Semaphore(WRITES_AT_ONCE)

    async def write(number: int) -> None:
        async with slots:
            rel = shard_inputs_key(claim.day, claim.run_id, number)
            await services.store.put(rel, cut.cut(number, inputs).to_bytes())

    await asyncio.gather(*map(write, numbers))
    return [Shard(number, again=claim.resumed_from is not None) for number in numbers]


def _first_cut(inputs: BatchInputs, size: int) -> ShardInputs:
    image_set = inputs.image_set.model_copy(update={"items": []})
    return ShardInputs(image_set=image_set, version=image_set.version, size=size, total=len(inputs.items))


def extract_shard(services: Services, request: BatchRequest, shard: Shard, sink: ProgressSink) -> BatchHeader:
    """Extract what of a shard is not extracted yet, and keep its items unless it was stopped; its header.

    Raises:
        ArtifactConflictError: another execution has taken the batch over.
        TransientBackendError: the service failed too often; what was extracted is kept, and found again.
    """
    claim = services.journal.executed_by(request.dagster_run_id)
    if claim is None:
        raise _taken_over(request)
    with services.journal.taking_part(claim):
        return asyncio.run(_extract(services, request, claim, shard, sink))


async def _extract(
    services: Services, request: BatchRequest, claim: Claim, shard: Shard, sink: ProgressSink
) -> BatchHeader:
    rel = shard_key(claim.day, claim.run_id, shard.number)
    stored = await services.store.get_or_none(rel)
    given = ShardInputs.from_bytes(await services.store.get(shard_inputs_key(claim.day, claim.run_id, shard.number)))
    if stored is None:
        outcome = await _run(services, request, claim, shard, given, sink)
        if outcome.header.status == "canceled":
            return outcome.header
        _refuse_unfinished(outcome.header)
        file = ShardFile(outcome.header.to_bytes(), outcome.items)
        await services.store.put(rel, file.to_bytes())
    else:
        file = ShardFile.from_bytes(stored)
    items = items_of(file.items, shard.number * given.size)
    await asyncio.to_thread(services.run_items.add, claim.run_id, items)
    return BatchHeader.from_bytes(file.header)


async def _run(  # noqa: PLR0913, PLR0917 -- what one shard is
    services: Services,
    request: BatchRequest,
    claim: Claim,
    shard: Shard,
    given: ShardInputs,
    sink: ProgressSink,
) -> BatchOutcome:
    if shard.again:
        claim = replace(claim, resumed_from=claim.resumed_from or claim.run_id)
    image_set = given.image_set.model_copy(update={"version": given.version})
    context = replace(extraction_context(services, request), run_id=claim.run_id)
    inputs = BatchInputs(image_set, image_set.items)
    job = BatchJob(claim, inputs, context, request.concurrency, request.reuses)
    try:
        runner = BatchRunner(job, services.store, services.index)
        return await runner.run(
            _of_run(services, claim, given.total, sink), Stop(), services.settings.jobs_progress_min_seconds
        )
    finally:
        await context.backend.aclose()


def _of_run(services: Services, claim: Claim, total: int, sink: ProgressSink) -> ProgressSink:
    """Tell `sink` how far the whole run is: its shards that are done, and the one that tells."""

    def tell(shard: Progress) -> bool:
        ok, err = services.run_items.counts(claim.run_id)
        ok, err = ok + shard.ok, err + shard.err
        return sink(Progress("extracting", total, done=ok + err, ok=ok, err=err, current=shard.current))

    return tell


def _refuse_unfinished(header: BatchHeader) -> None:
    """A shard in which every image failed is done; one that gave up is not."""
    if header.pending_count:
        tried = f"{header.ok_count + header.error_count} of the shard's {header.item_count} images were tried"
        raise TransientBackendError(f"{header.status_reason} ({tried}; what they gave is kept)")


def close_shards(services: Services, request: BatchRequest) -> BatchOutcome:
    """The outcome of a run all of whose shards are done; `finish_batch` stores it.

    Raises:
        ArtifactNotFoundError: a shard is not there.
        ArtifactConflictError: another execution has taken the batch over.
    """
    claim = services.journal.executed_by(request.dagster_run_id)
    if claim is None:
        row = services.runs.find(_finished_before(services, request))
        header = asyncio.run(services.runs.header(row))
        return BatchOutcome(header, row.day, [], [], stored=True)
    with services.journal.taking_part(claim):
        return asyncio.run(_close(services, request, claim))


def _finished_before(services: Services, request: BatchRequest) -> str:
    """The run that was the answer already when this one began, so that nothing was claimed: named, or a retry's."""
    if request.run_id is not None:
        return request.run_id
    before = services.journal.begun_by(request.retries)
    if before is None or before.state != "finished":
        raise _taken_over(request)
    return before.run_id


def _taken_over(request: BatchRequest) -> ArtifactConflictError:
    return ArtifactConflictError(
        f"The batch of Dagster run {request.dagster_run_id} is being executed by a later run; it continues there."
    )


async def _close(services: Services, request: BatchRequest, claim: Claim) -> BatchOutcome:
    cut = ShardInputs.from_bytes(await services.store.get(shard_inputs_key(claim.day, claim.run_id, 0)))
    sums = _Sums()
    async for file in shard_files(services.store, claim.day, claim.run_id, -(-cut.total // cut.size)):
        await asyncio.to_thread(sums.add, file)
    header = sums.header(
        {
            "dagster_run_id": request.dagster_run_id,
            "source_run_id": request.source_run_id,
            "only_failed": request.only_failed,
            "resumed_from": claim.resumed_from,
            "shard_size": cut.size,
        }
    )
    return BatchOutcome(header, claim.day, [], sums.latencies_ms)


@dataclass(slots=True)
class _Sums:
    """What the headers of a run's shards add up to."""

    headers: list[BatchHeader] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, file: ShardFile) -> None:
        self.headers.append(BatchHeader.from_bytes(file.header))
        self.latencies_ms += [_Timed.from_bytes(item).timings_ms["total"] for item in file.items]

    def header(self, facts: dict[str, object]) -> BatchHeader:
        headers = self.headers
        began, ended = min(h.created_at for h in headers), max(h.finished_at for h in headers)
        counts = {name: sum(getattr(h, name) for h in headers) for name in _COUNTS}
        ok = counts["ok_count"]
        return headers[0].model_copy(
            update={
                **counts,
                **facts,
                "created_at": began,
                "finished_at": ended,
                "timings_ms": {"total": _ms_between(began, ended)},
                "status": "succeeded" if ok else "failed",
                "status_reason": None if ok else headers[0].status_reason,
                "errors_by_code": _summed(h.errors_by_code for h in headers),
                "usage": _summed(h.usage for h in headers),
                "checks": self._checks(),
            }
        )

    def _checks(self) -> dict[str, CheckCount]:
        checks: dict[str, CheckCount] = {}
        for name, count in (made for header in self.headers for made in header.checks.items()):
            before = checks.get(name, CheckCount(passed=0, violated=0))
            checks[name] = CheckCount(passed=before.passed + count.passed, violated=before.violated + count.violated)
        return checks


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter()))


_COUNTS = ("item_count", "ok_count", "error_count", "pending_count", "schema_valid_count", "reused_count")


class _Timed(Document):
    """Of an item, only how long it took."""

    timings_ms: dict[str, float]


def _ms_between(began: str, ended: str) -> float:
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds() * 1000, 1)
