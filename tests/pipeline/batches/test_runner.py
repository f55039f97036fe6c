"""One execution of a batch: order, bounds, counting, stopping, continuing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from ocrlty_pipeline.batches.journal import Claim
from ocrlty_pipeline.batches.progress import Stop
from ocrlty_pipeline.batches.runner import GIVE_UP_AFTER, BatchJob, BatchRunner, item_request_id
from ocrlty_pipeline.errors import BackendError, BackendMisconfiguredError, TransientBackendError
from ocrlty_pipeline.orchestration.asset_checks import check_extractions
from ocrlty_pipeline.records import BatchRun, CheckCount
from tests.pipeline.batches.conftest import CountingBackend

CLAIM = Claim("run-1", "run-1", datetime.now(UTC).date())


def execute(services, job, *, sink=lambda _progress: False):
    runner = BatchRunner(job, services.store, services.index)
    return asyncio.run(runner.run(sink, Stop(), progress_every_s=0.01))


def test_every_image_has_its_item_in_the_sets_order_and_its_record_in_the_store(services, import_images, context):
    images, backend = import_images(30), CountingBackend()
    outcome = execute(services, BatchJob(CLAIM, images, context(backend), concurrency=7))
    batch = BatchRun.from_bytes(outcome.to_bytes())
    assert [item.file for item in batch.items] == [item.file for item in images.items]
    assert (batch.status, batch.ok_count, batch.error_count, batch.pending_count) == ("succeeded", 30, 0, 0)
    for item in batch.items:
        record = orjson.loads(asyncio.run(services.store.get(item.artifact_rel)))
        assert (record["request_id"], record["input"]["file"]) == (item.request_id, item.file)
        assert services.index.find("extract", item.request_id).rel_ref == item.artifact_rel


def test_no_more_calls_are_in_flight_than_asked_for_or_than_the_backend_takes(services, import_images, context):
    images = import_images(30)
    asked = CountingBackend()
    execute(services, BatchJob(CLAIM, images, context(asked), concurrency=5))
    assert asked.most_in_flight == 5
    bounded = CountingBackend()
    bounded.max_concurrency = 2
    execute(services, BatchJob(replace(CLAIM, lineage_id="other"), images, context(bounded), concurrency=5))
    assert bounded.most_in_flight == 2


def test_a_limit_takes_the_first_images(services, import_images, context):
    images = import_images(10)
    outcome = execute(services, BatchJob(CLAIM, images, context(CountingBackend()), concurrency=2, limit=3))
    assert outcome.header.item_count == len(outcome.items) == 3


def test_checks_without_ground_truth_are_counted_by_image(services, import_images, context):
    days = {1: "14/03/2018", 2: "14/03/2018", 3: "14/03/2108"}
    backend = CountingBackend(lambda number: {"date": days.get(number)})
    outcome = execute(services, BatchJob(CLAIM, import_images(5), context(backend), concurrency=1))
    batch = BatchRun.from_bytes(outcome.to_bytes())
    assert batch.checks == {"date_possible": CheckCount(passed=2, violated=1)}
    assert [item.checks_passed for item in batch.items] == [["date_possible"], ["date_possible"], [], [], []]
    assert [violation.paths for violation in batch.items[2].violations] == [["date"]]
    plausible = next(result for result in check_extractions(batch) if result.check_name == "plausible")
    assert not plausible.passed


def test_one_failing_image_does_not_touch_its_neighbours(services, import_images, context):
    backend = CountingBackend(lambda number: BackendError("bad") if number == 4 else None)
    header = execute(services, BatchJob(CLAIM, import_images(10), context(backend), concurrency=3)).header
    assert (header.status, header.ok_count, header.errors_by_code) == ("succeeded", 9, {"backend_error": 1})


def test_a_batch_of_which_nothing_succeeded_has_failed_and_says_why(services, import_images, context):
    backend = CountingBackend(lambda _number: BackendError("the lens is dirty"))
    header = execute(services, BatchJob(CLAIM, import_images(3), context(backend), concurrency=3)).header
    assert header.status == "failed"
    assert "the lens is dirty" in header.status_reason


def test_a_misconfigured_backend_stops_the_batch_at_its_first_word(services, import_images, context):
    backend = CountingBackend(lambda _number: BackendMisconfiguredError("wrong key"))
    header = execute(services, BatchJob(CLAIM, import_images(40), context(backend), concurrency=2)).header
    assert (header.status, header.status_reason) == ("failed", "wrong key")
    assert header.error_count <= 4
    assert header.pending_count == 40 - header.error_count


def test_a_service_that_went_down_is_not_asked_for_every_remaining_image(services, import_images, context):
    backend = CountingBackend(lambda number: TransientBackendError("refused") if number > 5 else None)
    header = execute(services, BatchJob(CLAIM, import_images(100), context(backend), concurrency=4)).header
    assert header.status == "failed"
    assert header.ok_count == 5
    # As many as are in flight may fail before the last success ends, and again after the batch gave up.
    assert GIVE_UP_AFTER <= header.error_count <= GIVE_UP_AFTER + 2 * 4


def test_passing_failures_between_successes_do_not_stop_a_batch(services, import_images, context):
    backend = CountingBackend(lambda number: TransientBackendError("hiccup") if number % 2 else None)
    header = execute(services, BatchJob(CLAIM, import_images(60), context(backend), concurrency=1)).header
    assert (header.status, header.ok_count, header.pending_count) == ("succeeded", 30, 0)


def test_a_request_to_cancel_ends_the_batch_with_what_is_done(services, import_images, context):
    job = BatchJob(CLAIM, import_images(200), context(CountingBackend()), concurrency=2)
    outcome = execute(services, job, sink=lambda progress: progress.done >= 5)
    header = outcome.header
    assert header.status == "canceled"
    assert 5 <= header.ok_count < 200
    assert header.ok_count + header.pending_count == 200
    assert len(outcome.items) == header.ok_count


def test_a_continued_batch_infers_only_what_has_no_lasting_record(services, import_images, context):
    images = import_images(20)
    first = CountingBackend(lambda number: TransientBackendError("down") if number > 8 else None)
    execute(services, BatchJob(CLAIM, images, context(first), concurrency=1, limit=12))
    second = CountingBackend()
    claim = replace(CLAIM, run_id="run-1-2", resumed_from="run-1")
    header = execute(services, BatchJob(claim, images, context(second), concurrency=4)).header
    assert (header.ok_count, header.reused_count) == (20, 8)
    assert len(second.calls) == 12


def test_an_item_tried_again_keeps_the_record_of_its_failure_beside_the_new_one(services, import_images, context):
    images = import_images(1)
    execute(services, BatchJob(CLAIM, images, context(CountingBackend(lambda _: TransientBackendError("down"))), 1))
    claim = replace(CLAIM, resumed_from="run-1")
    outcome = execute(services, BatchJob(claim, images, context(CountingBackend()), 1))
    (item,) = BatchRun.from_bytes(outcome.to_bytes()).items
    first = item_request_id("receipt_header_v1", "run-1", "000.png")
    assert item.request_id == f"{first}-2"
    assert services.index.find("extract", first) is not None


def test_equal_names_in_different_folders_have_request_ids_of_their_own():
    ids = {item_request_id("t", "run", file) for file in ("a/1.png", "b/1.png", "1.png")}
    assert len(ids) == 3
    assert item_request_id("t", "run", "1.png") == item_request_id("t", "run", "1.png")
    assert item_request_id("t", "other", "1.png") not in ids


def test_progress_ends_with_the_outcome(services, import_images, context):
    told = []
    job = BatchJob(CLAIM, import_images(10), context(CountingBackend()), concurrency=2)
    execute(services, job, sink=lambda progress: told.append(progress.to_json()) or False)
    counts = {"total": 10, "done": 10, "ok": 10, "err": 0}
    assert orjson.loads(told[-1]) == {"stage": "succeeded", **counts, "current": "009.png"}


def test_a_store_that_fails_ends_the_batch_and_leaves_what_was_done(services, import_images, context, monkeypatch):
    images = import_images(10)
    put, written = services.store.put, []

    async def failing(rel, data):
        if len(written) == 4:
            raise OSError("disk full")
        await put(rel, data)
        written.append(rel)

    monkeypatch.setattr(services.store, "put", failing)
    with pytest.raises(OSError, match="disk full"):
        execute(services, BatchJob(CLAIM, images, context(CountingBackend()), concurrency=1))
    assert all(asyncio.run(services.store.exists(rel)) for rel in written)
