from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import delete

from ocrlty_pipeline.artifacts import reindex as reindexing
from ocrlty_pipeline.artifacts.index import ArtifactIndex, index_row
from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.models import ArtifactRow
from ocrlty_pipeline.errors import StorageUnavailableError
from tests.pipeline.artifacts import documents
from tests.pipeline.artifacts.conftest import local_settings, not_root, s3_settings

ARTIFACTS = [
    *[documents.extract(f"r{n}", n) for n in range(7)],
    documents.batch("b1", 8),
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
    with engine.begin() as connection:
        connection.execute(delete(ArtifactRow))

    report = asyncio.run(reindex(store, index))

    assert (report.seen, report.added, report.unreadable) == (10, 10, [])
    assert everything(index) == before
    assert len(before) == 10


def test_what_the_index_has_is_left_alone(store, index):
    asyncio.run(documents.put(store, *ARTIFACTS))
    index.add([index_row(rel, document, store) for rel, document in ARTIFACTS[:4]])
    report = asyncio.run(reindex(store, index))
    assert (report.seen, report.added) == (10, 6)


def test_broken_files_are_reported_and_the_others_added(store, index):
    async def scenario():
        await documents.put(store, documents.batch("b1"))
        await store.put("batches/2026-11-24/half.json", b'{"run_id": ')
        await store.put("batches/2026-11-24/list.json", b"[]")
        await store.put("batches/some-day/b3.json", b"{}")
        return await reindex(store, index)

    report = asyncio.run(scenario())
    assert (report.seen, report.added) == (4, 1)
    assert sorted(sentence.split()[0].rpartition("/")[2] for sentence in report.unreadable) == [
        "b3.json",
        "half.json",
        "list.json",
    ]


def test_a_file_that_cannot_be_read_is_reported_while_the_store_works(open_folder, index):
    store = ArtifactStore.from_settings(local_settings(open_folder))
    asyncio.run(documents.put(store, documents.batch("b1"), documents.batch("b2")))
    (open_folder / "batches/2026-11-24/b1.json").chmod(0)
    index.find("batch", "b1")  # connects while this process may
    with not_root():
        report = asyncio.run(reindex(store, index))
    assert report.added == 1
    assert "b1.json: Permission denied" in report.unreadable[0]


def test_a_store_that_cannot_be_used_ends_the_rebuild(s3_server, index):
    store = ArtifactStore.from_settings(s3_settings(s3_server, "no-such-bucket"))
    with pytest.raises(StorageUnavailableError, match="create it or correct S3_BUCKET"):
        asyncio.run(reindex(store, index))
