"""Deleting runs: what goes, what stays, and what a crash leaves to do."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

import pytest

from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.batches.journal import BatchIdentity
from ocrlty_pipeline.errors import RunActiveError, StorageUnavailableError
from ocrlty_pipeline.run_deletion import delete_run
from ocrlty_pipeline.scoring import save_evaluation, score_batch
from tests.support.stored_runs import ANSWER, record, store_record, store_run

IDENTITY = BatchIdentity("set", 1, "receipt_header_v1", "f")


async def not_active(_run_id):
    return False


async def keys_in(store, *folders):
    return sorted([rel for folder in folders for rel in [rel async for rel in store.iter_keys(folder)]])


def kept(services):
    return asyncio.run(keys_in(services.store, "extracts", "batches", "evals"))


def delete(services, run_id, is_active=not_active):
    return asyncio.run(delete_run(services, run_id, services.runs.find(run_id).day, is_active))


def test_a_run_goes_with_all_that_is_its_own_and_inputs_stay(store_services, image_set):
    services = store_services
    store_run(services, "b1", dict.fromkeys(image_set, ANSWER))
    store_record(services, record(services, "b1-first-attempt", run_id="b1"))
    store_record(services, record(services, "single", answer=ANSWER))
    truth = b'{"%s": {"company": "ACME"}}' % image_set[0].encode()
    attached = services.image_sets.attach_ground_truth("set", truth, source="gt", image_key="file")
    asyncio.run(attached)
    save_evaluation(services, score_batch(services, services.runs.find("b1")))
    assert len(kept(services)) == 8

    deleted = delete(services, "b1")

    assert (deleted.extracts, deleted.evaluations, deleted.kept_extracts) == (5, 1, 0)
    assert [rel.rpartition("/")[2] for rel in kept(services)] == ["single.json"]
    assert len(asyncio.run(keys_in(services.store, "inputs"))) == 4
    assert [services.index.page(kind, limit=9) for kind in ("batch", "eval")] == [[], []]
    assert [row.artifact_id for row in services.index.page("extract", limit=9)] == ["single"]
    assert services.run_items.page("b1", limit=9) == []
    assert asyncio.run(reindex(services.store, services.engine)).added == 0


def test_extracts_that_another_run_continued_with_stay(store_services):
    earlier = store_run(store_services, "b1", {"a.jpg": ANSWER, "b.jpg": None})
    store_run(store_services, "b1-2", {"b.jpg": ANSWER}, reused=earlier[:1])
    deleted = delete(store_services, "b1")
    assert (deleted.extracts, deleted.kept_extracts) == (1, 1)
    page = asyncio.run(store_services.runs.items(store_services.runs.find("b1-2"), limit=9))
    assert [item.request_id for item in page.items] == ["b1-r0", "b1-2-r0"]
    delete(store_services, "b1-2")
    assert kept(store_services) == []


def test_a_run_whose_job_is_active_stays(store_services):
    store_run(store_services, "b1", {"a.jpg": ANSWER})

    async def active(run_id):
        return run_id == "b1"

    with pytest.raises(RunActiveError, match="b1"):
        delete(store_services, "b1", active)
    assert len(kept(store_services)) == 2


def test_a_run_that_is_being_continued_stays(store_services):
    services = store_services
    store_run(services, "b1", {"a.jpg": ANSWER})
    claim = services.journal.claim(IDENTITY, new_id="b1", dagster_run_id=None, has_artifact=lambda _rel: False)
    with claim, pytest.raises(RunActiveError):
        delete(services, "b1")
    delete(services, "b1")
    assert kept(services) == []


def test_the_id_of_a_deleted_run_may_be_used_again(store_services):
    services = store_services
    with services.journal.claim(IDENTITY, new_id="b1", dagster_run_id=None, has_artifact=lambda _rel: False):
        store_run(services, "b1", {"a.jpg": ANSWER})
    services.journal.close("b1", "succeeded")
    delete(services, "b1")
    other = replace(IDENTITY, fingerprint=hashlib.sha256(b"other").hexdigest())
    assert not services.journal.finished("b1", other)
    with services.journal.claim(other, new_id="b1", dagster_run_id=None, has_artifact=lambda _rel: False) as claim:
        assert (claim.run_id, claim.resumed_from) == ("b1", None)


@pytest.mark.parametrize("steps", range(4))
def test_a_deletion_that_was_interrupted_is_completed_when_asked_for_again(store_services, monkeypatch, steps):
    store_run(store_services, "b1", {f"{n}.jpg": ANSWER for n in range(3)})
    done = []
    really = ArtifactStore.delete

    async def crash(self, rel):
        if len(done) == steps:
            raise StorageUnavailableError("gone")
        done.append(rel)
        await really(self, rel)

    with monkeypatch.context() as broken:
        broken.setattr(ArtifactStore, "delete", crash)
        with pytest.raises(StorageUnavailableError):
            delete(store_services, "b1")
    delete(store_services, "b1")
    assert kept(store_services) == []
    assert store_services.index.find("batch", "b1") is None
