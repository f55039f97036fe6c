"""Execute one batch run: many extractions with bounded concurrency.

Inputs are read as they are needed and items are kept as JSON bytes, so memory does not grow with the images. An item is
durable before it is counted. A run that is killed loses only the calls in flight.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow, extract_row
from ocrlty_pipeline.artifacts.keys import batch_key, extract_key
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.batches.inputs import BatchInputs
from ocrlty_pipeline.batches.journal import Claim
from ocrlty_pipeline.batches.progress import Progress, ProgressSink, Stop, report
from ocrlty_pipeline.batches.reuse import Reuse
from ocrlty_pipeline.errors import ArtifactNotFoundError, BackendMisconfiguredError, ImageError, OcrltyError
from ocrlty_pipeline.extraction import ExtractInput, ExtractionContext, extract_image
from ocrlty_pipeline.image_sets import ImageSetItem
from ocrlty_pipeline.records import BatchHeader, BatchItem, BatchStatus, CheckCount, ExtractRecord, batch_bytes, utc_now

INDEX_ROWS_AT_ONCE = 500
# After a request to stop, calls in flight are paid for: give them this long to come home.
GRACE_S = 10.0
# So many images in a row that failed for reasons outside them mean that the service is down, not the images bad.
GIVE_UP_AFTER = 20


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One execution: what to extract, as which run, with how many calls in flight.

    Attributes:
        reuse_results: take over what an earlier record of the same owner answers already.
    """

    claim: Claim
    inputs: BatchInputs
    context: ExtractionContext
    concurrency: int
    reuse_results: bool = False


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What a batch run came to.

    Attributes:
        day: UTC day of its artifact's key.
        items: JSON of its items, in the image set's order.
        stored: whether this was read from an artifact that is there already.
    """

    header: BatchHeader
    day: date
    items: list[bytes]
    latencies_ms: list[float]
    stored: bool = False

    @property
    def rel(self) -> str:
        return batch_key(self.day, self.header.run_id)

    def to_bytes(self) -> bytes:
        return batch_bytes(self.header, self.items)


def item_request_id(task_id: str, lineage_id: str, file: str, attempt: int = 1) -> str:
    """Request id of an item: the same whenever the lineage is executed again; later attempts have a suffix."""
    digest = hashlib.sha256(f"{task_id}\n{lineage_id}\n{file}".encode()).hexdigest()[:32]
    return digest if attempt == 1 else f"{digest}-{attempt}"


@dataclass(slots=True)
class _Tally:
    ok: int = 0
    error: int = 0
    schema_valid: int = 0
    reused: int = 0
    outside_in_a_row: int = 0
    errors_by_code: Counter[str] = field(default_factory=Counter)
    usage: Counter[str] = field(default_factory=Counter)
    checks_passed: Counter[str] = field(default_factory=Counter)
    checks_violated: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)


class BatchRunner:
    """Executes one `BatchJob`."""

    def __init__(self, job: BatchJob, store: ArtifactStore, index: ArtifactIndex) -> None:
        self._job = job
        self._store = store
        self._index = index
        self._inputs = job.inputs.items
        self._reuse = Reuse(store, index, job.context)
        self._items: list[bytes | None] = [None] * len(self._inputs)
        self._rows: list[IndexRow] = []
        self._tally = _Tally()
        self._progress = Progress("extracting", len(self._inputs))
        self._concurrency = max(1, min(job.concurrency, job.context.backend.max_concurrency))

    async def run(self, sink: ProgressSink, stop: Stop, progress_every_s: float) -> BatchOutcome:
        """Extract every item that has no lasting record yet.

        Raises:
            StorageError: storage or database failed; what was done stays, and the same batch run again continues it.
        """
        created_at, started = utc_now(), time.perf_counter()
        reporter = asyncio.create_task(report(self._progress, sink, stop, progress_every_s))
        try:
            if self._job.reuse_results:
                await self._reuse.look_up(self._inputs)
            await self._work_until(stop)
        finally:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
            await self._flush()
        total_ms = round((time.perf_counter() - started) * 1000, 1)
        header = self._header(created_at, total_ms, stop)
        self._progress.stage = header.status
        await asyncio.to_thread(sink, self._progress)
        items = [item for item in self._items if item is not None]
        return BatchOutcome(header, self._job.claim.day, items, self._tally.latencies_ms)

    async def _work_until(self, stop: Stop) -> None:
        todo = iter(range(len(self._inputs)))
        workers = [asyncio.create_task(self._work(todo, stop)) for _ in range(self._concurrency)]
        stopped = asyncio.create_task(stop.event.wait())
        try:
            pending = set(workers)
            while pending and not stop.event.is_set():
                done, _ = await asyncio.wait({*pending, stopped}, return_when=asyncio.FIRST_COMPLETED)
                pending -= done
                for worker in done - {stopped}:
                    worker.result()
            if pending:
                await asyncio.wait(pending, timeout=GRACE_S)
        finally:
            for task in (stopped, *workers):
                task.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _work(self, todo: Iterator[int], stop: Stop) -> None:
        for position in todo:
            if stop.event.is_set():
                return
            self._progress.current = self._inputs[position].file
            record, reused = await self._extract(self._inputs[position])
            await self._keep(position, record, reused=reused)
            self._consider_giving_up(record, stop)

    async def _extract(self, item: ImageSetItem) -> tuple[ExtractRecord, bool]:
        """The item's record, and whether it was there before or took over its answer: no model was asked."""
        attempt = 1
        if self._job.claim.resumed_from is not None:
            while (record := await self._existing(item.file, attempt)) is not None:
                if record.error is None or not record.error.retryable:
                    return record, True
                attempt += 1
        request_id, described = self._request_id(item.file, attempt), self._describe(item)
        record = await self._reuse.take(item, request_id, described)
        if record is None:
            given = ExtractInput(request_id, await self._read(item), described)
            record = await extract_image(given, self._job.context)
        await self._store.put(self._rel(request_id), record.to_bytes())
        return record, record.reused_from is not None

    async def _existing(self, file: str, attempt: int) -> ExtractRecord | None:
        data = await self._store.get_or_none(self._rel(self._request_id(file, attempt)))
        return None if data is None else ExtractRecord.from_bytes(data)

    async def _read(self, item: ImageSetItem) -> bytes | OcrltyError:
        if item.input_ref is None:
            return ImageError(item.error.message if item.error else "The file was not kept at import.")
        try:
            return await self._store.get(item.input_ref)
        except ArtifactNotFoundError as error:
            return error

    async def _keep(self, position: int, record: ExtractRecord, *, reused: bool) -> None:
        rel = self._rel(record.request_id)
        item = BatchItem.of(record, file=self._inputs[position].file, artifact_rel=rel)
        self._items[position] = item.to_bytes()
        self._count(record, reused=reused)
        self._tally.checks_passed.update(item.checks_passed)
        self._tally.checks_violated.update({violation.check for violation in item.violations})
        self._rows.append(extract_row(rel, record, self._store))
        if len(self._rows) >= INDEX_ROWS_AT_ONCE:
            await self._flush()

    def _count(self, record: ExtractRecord, *, reused: bool) -> None:
        tally, progress = self._tally, self._progress
        tally.ok += record.ok
        tally.error += not record.ok
        tally.schema_valid += record.schema_valid is True
        tally.reused += reused
        if not reused:
            tally.usage.update(record.usage or {})
        if record.error:
            tally.errors_by_code[record.error.code] += 1
        tally.latencies_ms.append(record.timings_ms.total)
        progress.done, progress.ok, progress.err = tally.ok + tally.error, tally.ok, tally.error

    def _consider_giving_up(self, record: ExtractRecord, stop: Stop) -> None:
        error = record.error
        if error is None or not error.retryable:
            self._tally.outside_in_a_row = 0
            return
        self._tally.outside_in_a_row += 1
        if error.code == BackendMisconfiguredError.code:
            stop.give_up(error.message)
        elif self._tally.outside_in_a_row >= max(GIVE_UP_AFTER, self._concurrency):
            stop.give_up(f"{self._tally.outside_in_a_row} images in a row failed, the last with: {error.message}")

    async def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            await asyncio.to_thread(self._index.add, rows)

    def _request_id(self, file: str, attempt: int) -> str:
        return item_request_id(self._job.context.task.task_id, self._job.claim.lineage_id, file, attempt)

    def _rel(self, request_id: str) -> str:
        return extract_key(self._job.claim.day, request_id)

    def _describe(self, item: ImageSetItem) -> dict[str, object]:
        image_set = self._job.inputs.image_set
        return {
            "file": item.file,
            # A reference to what will not be there is none.
            "image_ref": item.input_ref if image_set.kept else None,
            "image_sha256": item.sha256,
            "mime_type": item.mime_type,
            "image_set": image_set.name,
            "image_set_version": image_set.version,
        }

    def _status(self, stop: Stop) -> tuple[BatchStatus, str | None]:
        tally = self._tally
        if stop.canceled:
            return "canceled", stop.reason
        if stop.event.is_set():
            return "failed", stop.reason
        if tally.ok == 0:
            return "failed", f"None of {tally.error} images gave a result; the first error: {self._first_error()}"
        return "succeeded", None

    def _first_error(self) -> str:
        first = next(item for item in self._items if item is not None)
        error = BatchItem.from_bytes(first).error
        return error.message if error else "none"

    def _header(self, created_at: str, total_ms: float, stop: Stop) -> BatchHeader:
        job, tally, context = self._job, self._tally, self._job.context
        inputs, image_set = job.inputs, job.inputs.image_set
        status, reason = self._status(stop)
        return BatchHeader(
            run_id=job.claim.run_id,
            created_at=created_at,
            finished_at=utc_now(),
            task_id=context.task.task_id,
            status=status,
            status_reason=reason,
            image_set=image_set.name,
            image_set_version=image_set.version,
            images_dir=image_set.images_dir,
            glob=image_set.glob,
            concurrency=self._concurrency,
            item_count=len(self._inputs),
            ok_count=tally.ok,
            error_count=tally.error,
            pending_count=len(self._inputs) - tally.ok - tally.error,
            schema_valid_count=tally.schema_valid,
            reused_count=tally.reused,
            errors_by_code=dict(tally.errors_by_code),
            checks=_check_counts(tally),
            usage=dict(tally.usage),
            timings_ms={"total": total_ms},
            auth=context.auth,
            dagster_run_id=context.dagster_run_id,
            source_run_id=inputs.source.run_id if inputs.source else None,
            only_failed=inputs.only_failed,
            resumed_from=job.claim.resumed_from,
            backend=context.backend.name,
            model_id=context.backend.model_id,
            prompt_sha256=context.task.prompt_sha256,
            schema_sha256=context.task.schema_sha256,
            temperature=context.policy.temperature,
            max_tokens=context.policy.max_tokens,
            code_version=context.code_version,
        )


def _check_counts(tally: _Tally) -> dict[str, CheckCount]:
    made = sorted({*tally.checks_passed, *tally.checks_violated})
    return {name: CheckCount(passed=tally.checks_passed[name], violated=tally.checks_violated[name]) for name in made}
