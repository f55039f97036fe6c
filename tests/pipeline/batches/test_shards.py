"""Batches in shards: the same run as in one piece, and each shard kept and retried alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.batches import execution
from ocrlty_pipeline.batches.execution import BatchRequest, finish_batch, open_batch
from ocrlty_pipeline.batches.shards import Shard, close_shards, extract_shard, open_shards
from ocrlty_pipeline.errors import ArtifactConflictError, TransientBackendError
from ocrlty_pipeline.image_sets import FolderSource
from ocrlty_pipeline.run_deletion import delete_run
from tests.pipeline.batches.conftest import TASK, CountingBackend
from tests.support.receipts import tiny_images

COUNT, SIZE = 7, 3
REQUEST = BatchRequest("set", TASK, "d1", concurrency=1)


@pytest.fixture
def services(store_services, tmp_path):
    folder = tiny_images(tmp_path / "images", COUNT)
    source = FolderSource(folder, tmp_path, store_services.folder_limits)
    asyncio.run(store_services.image_sets.import_folder("set", source))
    return store_services


@pytest.fixture
def backend(monkeypatch):
    counting = CountingBackend()
    monkeypatch.setattr(execution, "create_backend", lambda *_: counting)
    return counting


def plan(services, request=REQUEST, size=SIZE):
    with open_shards(services, request, size) as batch:
        return batch


def extract(services, shard, request=REQUEST):
    return extract_shard(services, request, shard, lambda _progress: False)


def run(services, request=REQUEST, size=SIZE):
    """Execute a batch in shards; answers the row of its run."""
    for shard in plan(services, request, size).shards:
        extract(services, shard, request)
    outcome = close_shards(services, request)
    finish_batch(services, outcome)
    return services.runs.find(outcome.header.run_id)


def test_a_run_in_shards_is_the_run_in_one_piece(services, backend):
    row = run(services)
    whole = replace(REQUEST, dagster_run_id="d2", resume=False)
    with open_batch(services, whole) as batch:
        finish_batch(services, batch.run(lambda _progress: False))
    one, other = (asyncio.run(services.runs.load(services.runs.find(run_id))) for run_id in (row.artifact_id, "run-d2"))
    assert [item.file for item in one.items] == [item.file for item in other.items]
    assert [item.parsed for item in one.items] == [item.parsed for item in other.items]
    same = {"item_count", "ok_count", "error_count", "pending_count", "schema_valid_count", "reused_count", "checks"}
    same |= {"status", "errors_by_code", "image_set_version", "prompt_sha256", "schema_sha256", "resumed_from"}
    assert one.model_dump(include=same) == other.model_dump(include=same)
    assert set(backend.calls.values()) == {2}


def test_its_items_are_read_page_by_page_and_in_one_document(services, backend):
    row = run(services)
    document = asyncio.run(services.runs.document(row))
    assert len({item["file"] for item in document["items"]}) == COUNT
    assert (document["shard_size"], document["artifact_rel"], document["eval"]) == (SIZE, row.rel_ref, None)
    assert orjson.loads(asyncio.run(services.store.get(row.rel_ref)))["items"] == []
    page = asyncio.run(services.runs.items(row, limit=2, after=SIZE - 2))
    assert [item.file for item in page.items] == [item["file"] for item in document["items"][SIZE - 1 : SIZE + 1]]
    assert backend.calls


def test_the_index_is_rebuilt_from_its_shards(services, backend):
    row = run(services)
    before = services.run_items.page(row.artifact_id, limit=COUNT)
    with services.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE ocrlty.artifacts, ocrlty.run_items")
    assert asyncio.run(reindex(services.store, services.engine)).unreadable == []
    assert services.run_items.page(row.artifact_id, limit=COUNT) == before
    assert len(before) == COUNT == len(backend.calls)


def test_deleting_it_leaves_no_shard(services, backend):
    row = run(services)

    async def nobody(_run_id):
        return False

    async def keys():
        return [rel async for rel in services.store.iter_keys("") if row.artifact_id in rel or "extracts" in rel]

    assert len(asyncio.run(keys())) > COUNT
    assert asyncio.run(delete_run(services, row.artifact_id, row.day, nobody)).extracts == COUNT
    assert asyncio.run(keys()) == []
    assert backend.calls


def test_a_shard_that_is_done_is_not_extracted_again(services, backend):
    shards = plan(services).shards
    first = extract(services, shards[0])
    assert extract(services, shards[0]) == first
    assert sum(backend.calls.values()) == SIZE


def test_images_that_failed_are_errors_of_a_shard_that_is_done(services, backend):
    backend.answer = lambda number: None if number < 3 else TransientBackendError("The service is away.")
    (shard,) = plan(services, size=COUNT).shards
    header = extract(services, shard)
    assert (header.ok_count, header.error_count, header.pending_count) == (2, COUNT - 2, 0)


def test_a_shard_that_gave_up_is_not_done(services, backend, monkeypatch):
    monkeypatch.setattr("ocrlty_pipeline.batches.runner.GIVE_UP_AFTER", 1)
    backend.answer = lambda number: None if number <= 2 else TransientBackendError("The service is away.")
    (shard,) = plan(services, size=COUNT).shards
    with pytest.raises(TransientBackendError, match=f"away.*3 of the shard's {COUNT} images were tried"):
        extract(services, shard)
    backend.answer = lambda _number: None
    paid = dict(backend.calls)
    header = extract(services, replace(shard, again=True))
    assert (header.ok_count, header.reused_count) == (COUNT, 2)
    assert sum(backend.calls[image] == times for image, times in paid.items()) == 2


def test_the_next_execution_goes_on_with_the_shards_that_are_done(services, backend):
    first = plan(services)
    extract(services, first.shards[0])
    later = replace(REQUEST, dagster_run_id="d2")
    with open_shards(services, later, size=COUNT) as batch:
        assert batch.claim.interrupted_dagster_run_id == "d1"
        assert batch.shards == [Shard(number, again=True) for number in range(3)]
    with pytest.raises(ArtifactConflictError, match="d1"):
        extract(services, first.shards[1])
    for shard in batch.shards:
        extract(services, shard, later)
    outcome = close_shards(services, later)
    assert (outcome.header.run_id, outcome.header.ok_count) == (first.claim.run_id, COUNT)
    assert set(backend.calls.values()) == {1}


def test_a_retry_goes_on_with_the_shards_of_a_fresh_start(services, backend):
    fresh = replace(REQUEST, resume=False)
    extract(services, plan(services, fresh).shards[0], fresh)
    row = run(services, replace(fresh, dagster_run_id="d2", retries=("d1",)))
    assert (row.artifact_id, row.ok_count, set(backend.calls.values())) == ("run-d1", COUNT, {1})


def test_a_retry_of_what_is_done_is_answered_by_its_artifact(services, backend):
    run(services)
    again = replace(REQUEST, dagster_run_id="d2", retries=("d1",))
    assert plan(services, again).shards == []
    assert close_shards(services, again).header.run_id == "run-d1"
    assert set(backend.calls.values()) == {1}


def test_a_retry_of_other_images_starts_afresh(services, backend, tmp_path):
    first = plan(services)
    folder = tiny_images(tmp_path / "images", COUNT + 1)
    asyncio.run(services.image_sets.import_folder("set", FolderSource(folder, tmp_path, services.folder_limits)))
    second = plan(services, replace(REQUEST, dagster_run_id="d2", retries=("d1",)))
    assert second.claim.lineage_id != first.claim.lineage_id
    assert not backend.calls


def test_closing_a_run_that_was_taken_over_says_so(services, backend):
    plan(services)
    plan(services, replace(REQUEST, dagster_run_id="d2"))
    with pytest.raises(ArtifactConflictError, match="by a later run"):
        close_shards(services, REQUEST)
    assert not backend.calls


def test_a_run_that_is_finished_is_answered_by_its_artifact(services, backend):
    named = replace(REQUEST, run_id="monday")
    run(services, named)
    again = replace(named, dagster_run_id="d2")
    assert plan(services, again).shards == []
    outcome = close_shards(services, again)
    assert (outcome.header.run_id, outcome.stored) == ("monday", True)
    assert set(backend.calls.values()) == {1}


def test_nobody_claims_a_run_of_which_a_shard_is_being_extracted(services, backend):
    claim = plan(services).claim
    with services.journal.taking_part(claim), services.journal.taking_part(claim):
        other = plan(services, replace(REQUEST, dagster_run_id="d2"))
    assert other.claim.lineage_id != claim.lineage_id
    assert plan(services, replace(REQUEST, dagster_run_id="d3")).claim.resumed_from is not None
    assert not backend.calls


def test_its_progress_is_the_whole_run_s(services, backend):
    told = []
    for shard in plan(services).shards:
        extract_shard(services, REQUEST, shard, lambda progress: told.append((progress.done, progress.total)))
    assert told[-1] == (COUNT, COUNT)
    assert sorted(told) == told
    assert backend.calls


@pytest.mark.parametrize("name", ["shard_1", "shard_000001_", "xshard_000001", ""])
def test_what_names_no_shard_is_refused(name):
    with pytest.raises(ValueError, match="names no shard"):
        Shard.parse(name)


@pytest.mark.parametrize("shard", [Shard(0), Shard(17, again=True)])
def test_a_shard_s_name_says_all_of_it(shard):
    assert Shard.parse(str(shard)) == shard
