"""Pruning: what goes and what stays, on disk and in a bucket, and what a crash leaves to do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ocrlty_pipeline.artifacts import store as artifact_store
from ocrlty_pipeline.artifacts.keys import report_of, shard_inputs_key, shard_key
from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.batches.journal import BatchIdentity
from ocrlty_pipeline.errors import InputError, StorageError, StorageUnavailableError
from ocrlty_pipeline.pruning.execution import prune, survey
from ocrlty_pipeline.pruning.plan import Retention, check_runs, planned
from ocrlty_pipeline.records import BatchHeader
from ocrlty_pipeline.report.previews import make_previews
from ocrlty_pipeline.scoring import save_evaluation, score_batch
from ocrlty_pipeline.uploads import Upload
from tests.support.receipts import tiny_image
from tests.support.stored_runs import ANSWER, record, store_record, store_run

TASK = "receipt_header_v1"


def now():
    return datetime.now(UTC)


def later(days=3):
    """A limit beyond the age that inputs must have, of things that are made now."""
    return now() + timedelta(days=days)


def keys(services, *folders):
    async def listed():
        return sorted([rel for folder in folders for rel in [rel async for rel in services.store.iter_keys(folder)]])

    return asyncio.run(listed())


def names(services, *folders):
    return [rel.rpartition("/")[2].rpartition(".")[0] for rel in keys(services, *folders)]


def upload(services, name, image):
    async def made():
        upload = Upload(services.store, "alice")
        await upload.add("a.png", image)
        return await upload.register(name)

    return asyncio.run(made())


def told(services, **retention):
    with planned(services.engine, Retention(**retention)) as plan:
        amounts = asyncio.run(survey(services.store, plan))
    return {label: amount.count for label, amount in amounts.items() if amount.count}


def pruned(services, active=(), **retention):
    async def is_active(run_id):
        return run_id in active

    with planned(services.engine, Retention(**retention)) as plan:
        asyncio.run(survey(services.store, plan))
        return asyncio.run(prune(services, plan, is_active))


def test_runs_that_something_needs_stay_and_the_others_go_with_all_they_have(store_services, image_set):
    services = store_services
    for run_id in ("base", "source", "named", "old"):
        store_run(services, run_id, dict.fromkeys(image_set, ANSWER))
    services.baselines.set("set", TASK, "base", max_drop=0.0, blocking=False)
    truth = b'{"%s": {"company": "ACME"}}' % image_set[0].encode()
    asyncio.run(services.image_sets.attach_ground_truth("set", truth, source="gt", image_key="file"))
    evaluation = save_evaluation(services, score_batch(services, services.runs.find("old")))
    page = report_of(services.index.latest_eval("old").rel_ref)
    for rel in (page, page.replace("eval-", "compare-")):
        asyncio.run(services.store.put(rel, b"<!doctype html>"))
    store_run(services, "other-task", {"a.jpg": ANSWER}, task_id="receipt_fields_v1")
    store_record(services, record(services, "single", answer=ANSWER))
    store_run(services, "rerun", {"a.jpg": ANSWER}, source_run_id="source")
    store_run(services, "latest", {"a.jpg": None}, status="failed")
    limit = {"before": now(), "runs": frozenset({"named"})}
    store_record(services, record(services, "young", answer=ANSWER))

    before = keys(services, "")
    assert told(services, **limit) == {
        "batch runs": 1,
        "records of their images": 4,
        "evaluations": 1,
        "single extracts": 1,
        "report pages": 1,
    }
    assert keys(services, "") == before
    done = pruned(services, **limit)

    assert evaluation is not None
    assert (done.runs, done.extracts, done.pages, done.image_sets, done.inputs) == (1, 1, 1, [], 0)
    assert names(services, "batches") == ["base", "latest", "named", "other-task", "rerun", "source"]
    assert [row.artifact_id for row in services.index.page("batch", limit=9)][:2] == ["latest", "rerun"]
    assert keys(services, "evals") == []
    assert "young" in names(services, "extracts")
    assert services.index.find("extract", "single") is None
    assert len(keys(services, "inputs", "image_sets", "ground_truths")) == 6
    assert told(services, **limit) == {}
    assert asyncio.run(reindex(services.store, services.engine)).added == 0


def test_as_many_of_the_last_runs_stay_as_asked_for(store_services):
    for number in range(4):
        store_run(store_services, f"b{number}", {"a.jpg": ANSWER})
    pruned(store_services, before=now(), newest=2)
    assert names(store_services, "batches") == ["b2", "b3"]


def test_uploads_go_with_their_runs_and_inputs_when_no_set_names_them(store_services, image_set):
    services = store_services
    shared, own = tiny_image(0), tiny_image(77)
    manifests = {name: upload(services, f"upload-{name}", own) for name in ("gone", "gone-too")}
    for name, image in (("kept", tiny_image(78)), ("shared", shared)):
        manifests[name] = upload(services, f"upload-{name}", image)
    for name in manifests:
        store_run(services, name, {"a.png": ANSWER}, image_set=f"upload-{name}")
    leftover = "uploads/alice/0123/" + "ab" * 32 + ".png"
    asyncio.run(services.store.put(leftover, b"left by an upload that broke off"))
    asyncio.run(make_previews(services.store, services.image_limits, [manifests["gone"].items[0].input_ref]))
    inputs = len(keys(services, "inputs"))

    done = pruned(services, before=later(), runs=frozenset({"kept"}))

    assert sorted(done.image_sets) == ["upload-gone", "upload-gone-too", "upload-shared"]
    assert done.inputs == 2 + (manifests["shared"].items[0].input_ref not in keys(services, "inputs"))
    assert names(services, "batches") == ["kept"]
    assert keys(services, "uploads", "previews") == []
    assert len(keys(services, "inputs")) == inputs - done.inputs + 1
    assert manifests["kept"].items[0].input_ref in keys(services, "inputs")
    for item in asyncio.run(services.image_sets.load("set")).items:
        assert asyncio.run(services.store.exists(item.input_ref))


def test_what_is_active_stays_with_its_images(store_services):
    services = store_services
    manifest = upload(services, "upload-a", tiny_image(1))
    store_run(services, "a", {"a.png": ANSWER}, image_set="upload-a")
    done = pruned(services, active=["a"], before=later())
    assert (done.active, done.runs, done.image_sets, done.inputs) == (["a"], 0, [], 0)
    assert asyncio.run(services.store.exists(manifest.items[0].input_ref))
    assert pruned(services, before=later(), image_sets=frozenset({"upload-a"})).image_sets == []
    assert pruned(services, before=later()).image_sets == ["upload-a"]
    assert keys(services, "inputs") == []


def test_an_execution_that_crashed_long_ago_goes_unless_it_is_being_continued(store_services):
    services = store_services
    identity = BatchIdentity("set", 1, TASK, "f")
    with services.journal.claim(identity, new_id="crashed", dagster_run_id=None, has_artifact=lambda _rel: False):
        store_record(services, record(services, "r1", run_id="crashed", answer=ANSWER))
        assert pruned(services, before=now()).active == ["crashed"]
    assert told(services, before=now()) == {"batch runs": 1, "records of their images": 1}
    pruned(services, before=now())
    assert keys(services, "extracts") == []
    assert told(services, before=now()) == {}


def test_of_an_execution_in_shards_that_was_begun_another_day_and_crashed_nothing_is_left(store_services):
    services = store_services
    identity, yesterday = BatchIdentity("set", 1, TASK, "f"), now().date() - timedelta(days=1)
    with services.journal.claim(identity, new_id="crashed", dagster_run_id=None, has_artifact=lambda _rel: False):
        pass
    with services.engine.begin() as connection:
        connection.execute(text("UPDATE ocrlty.batch_runs SET day = :day"), {"day": yesterday})
    for rel in (shard_key(yesterday, "crashed", 0), shard_inputs_key(yesterday, "crashed", 1)):
        asyncio.run(services.store.put(rel, b"{}"))
    assert pruned(services, before=now()).runs == 1
    assert keys(services, "shards") == []


def test_an_input_that_is_given_again_is_young_again(store_services, monkeypatch):
    services = store_services
    manifest = upload(services, "upload-a", tiny_image(1))
    [rel] = keys(services, "inputs")
    first = asyncio.run(services.store.open(rel)).modified
    upload(services, "upload-b", tiny_image(1))
    assert asyncio.run(services.store.open(rel)).modified == first
    monkeypatch.setattr(artifact_store, "RENEW_AFTER", timedelta(seconds=-100))
    upload(services, "upload-c", tiny_image(1))
    assert asyncio.run(services.store.open(rel)).modified >= first
    assert asyncio.run(services.store.get(rel)) == tiny_image(1)
    assert manifest.items[0].input_ref == rel


def test_a_pruning_that_was_interrupted_is_completed_when_asked_for_again(store_services, monkeypatch):
    services = store_services
    really = ArtifactStore.delete
    left = 0

    async def crash(self, rel):
        nonlocal left
        if left == 0:
            raise StorageUnavailableError("gone")
        left -= 1
        await really(self, rel)

    for steps in range(7):
        for name in ("a", "b"):
            upload(services, f"upload-{name}", tiny_image(ord(name)))
            store_run(services, f"{name}-{steps}", {"a.png": ANSWER}, image_set=f"upload-{name}")
        store_record(services, record(services, f"single-{steps}", answer=ANSWER))
        left = steps
        with monkeypatch.context() as broken:
            broken.setattr(ArtifactStore, "delete", crash)
            with pytest.raises(StorageUnavailableError):
                pruned(services, before=later())
        pruned(services, before=later())
        assert keys(services, "") == [], steps
        assert told(services, before=later()) == {}


def test_a_run_that_is_to_stay_must_exist(store_services):
    with pytest.raises(InputError, match="'typo'"):
        check_runs(store_services.engine, ["typo"])


def test_an_index_that_lacks_the_sources_of_runs_is_refused_until_it_is_rebuilt(store_services):
    services = store_services
    store_run(services, "source", {"a.jpg": ANSWER})
    store_run(services, "rerun", {"a.jpg": ANSWER}, source_run_id="source")
    with services.engine.begin() as connection:
        connection.execute(text("UPDATE ocrlty.artifacts SET summary = summary - 'source_run_id'"))
    with pytest.raises(StorageError, match="ocrlty reindex"):
        told(services, before=now())
    asyncio.run(reindex(services.store, services.engine))
    assert told(services, before=now()) == {}
    header = BatchHeader.from_bytes(asyncio.run(services.store.get(services.runs.find("rerun").rel_ref)))
    assert header.source_run_id == "source"
