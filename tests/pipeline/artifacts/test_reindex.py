from __future__ import annotations

import asyncio

import orjson
import pytest
from sqlalchemy import delete

from ocrlty_pipeline.artifacts import reindex as reindexing
from ocrlty_pipeline.artifacts.ground_truth_index import GroundTruthIndex
from ocrlty_pipeline.artifacts.index import ArtifactIndex, index_row
from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.artifacts.run_items import RunItems
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.models import ArtifactRow
from ocrlty_pipeline.errors import StorageUnavailableError
from tests.pipeline.artifacts import documents
from tests.support.storage import local_settings, not_root, s3_settings

TRUTH = {
    "image_set": "sroie",
    "owner_key_id": "dora",
    "created_at": documents.created_at(0),
    "source": "gt.json",
    "image_key": "file",
    "content": [{"file": "a"}, {"file": "b"}],
}
ARTIFACTS = [
    *[documents.extract(f"r{n}", n) for n in range(7)],
    documents.batch("b1", 8, items=[documents.item(n) for n in range(5)]),
    documents.batch("b2", 9),
    documents.evaluation("e1", "b1", 10),
]


@pytest.fixture
def index(engine):
    return ArtifactIndex(engine)


def everything(index):
    return [row for kind in ("extract", "batch", "eval") for row in index.page(kind, limit=100)]


def test_a_lost_index_is_rebuilt_as_it_was(store, index, engine, monkeypatch):
    monkeypatch.setattr(reindexing, "ROWS_AT_ONCE", 3)
    asyncio.run(documents.put(store, *ARTIFACTS))
    index.add([index_row(rel, document, store) for rel, document in ARTIFACTS])
    before = everything(index)
    asyncio.run(store.put("ground_truths/sroie/000001.json", orjson.dumps(TRUTH)))
    asyncio.run(store.put("ground_truths/sroie/000002.json", orjson.dumps(TRUTH | {"content": []})))
    asyncio.run(store.put("ground_truth_drafts/sroie/000001.json", orjson.dumps(TRUTH)))
    with engine.begin() as connection:
        connection.execute(delete(ArtifactRow))

    report = asyncio.run(reindex(store, engine))

    assert (report.seen, report.unreadable) == (13, [])
    assert everything(index) == before
    assert len(before) == 10
    assert [item.position for item in RunItems(engine).page("b1", limit=9, ok=True)] == [1, 2, 4]
    [truth] = GroundTruthIndex(engine).page(limit=9)
    assert (truth.image_set, truth.version, truth.entry_count) == ("sroie", 2, 0)
    [draft] = GroundTruthIndex(engine).page(limit=9, draft=True)
    assert (draft.version, draft.entry_count, draft.owner_key_id) == (1, 2, "dora")


def test_what_the_index_has_is_left_alone(store, index, engine):
    asyncio.run(documents.put(store, *ARTIFACTS))
    index.add([index_row(rel, document, store) for rel, document in ARTIFACTS[:4]])
    report = asyncio.run(reindex(store, engine))
    assert (report.seen, report.added) == (10, 6)


def test_broken_files_are_reported_and_the_others_added(store, engine):
    async def scenario():
        await documents.put(store, documents.batch("b1"))
        await store.put("batches/2026-11-24/half.json", b'{"run_id": ')
        await store.put("batches/2026-11-24/list.json", b"[]")
        await store.put("batches/some-day/b3.json", b"{}")
        await documents.put(store, documents.batch("b4", items=[{"file": "a.jpg"}]))
        await store.put("ground_truths/cord/000001.json", b"{}")
        return await reindex(store, engine)

    report = asyncio.run(scenario())
    assert (report.seen, report.added) == (6, 1)
    assert sorted(sentence.split()[0].rpartition("/")[2] for sentence in report.unreadable) == [
        "000001.json",
        "b3.json",
        "b4.json",
        "half.json",
        "list.json",
    ]


def test_a_file_that_cannot_be_read_is_reported_while_the_store_works(open_folder, index, engine):
    store = ArtifactStore.from_settings(local_settings(open_folder))
    asyncio.run(documents.put(store, documents.batch("b1"), documents.batch("b2")))
    (open_folder / "batches/2026-11-24/b1.json").chmod(0)
    index.find("batch", "b1")  # connects while this process may
    with not_root():
        report = asyncio.run(reindex(store, engine))
    assert report.added == 1
    assert "b1.json: Permission denied" in report.unreadable[0]


def test_a_store_that_cannot_be_used_ends_the_rebuild(s3_server, engine):
    store = ArtifactStore.from_settings(s3_settings(s3_server, "no-such-bucket"))
    with pytest.raises(StorageUnavailableError, match="create it or correct S3_BUCKET"):
        asyncio.run(reindex(store, engine))
