from __future__ import annotations

import asyncio
import gzip
import io
import tarfile
import tracemalloc

import pytest

from ocrlty_pipeline.artifacts import backup as backups
from ocrlty_pipeline.artifacts.backup import backup, restore
from ocrlty_pipeline.artifacts.reindex import reindex
from ocrlty_pipeline.artifacts.run_items import RunItems
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import InputError
from tests.pipeline.artifacts import documents
from tests.support.storage import local_settings

IMAGE = "inputs/alice/ab/cd/" + "ab" * 32 + ".jpg"
TRUTH = b'{"created_at": "2026-11-24T00:08:29Z", "source": "gt.json", "image_key": "file", "content": {}}'
CONTENT = {
    "ground_truths/set/000001.json": TRUTH,
    "ground_truth_drafts/set/000001.json": TRUTH,
    "image_sets/set/000001.json": b"x" * 1000,
    "uploads/alice/u1/a.jpg": b"of a batch that runs",
    IMAGE: bytes(range(256)) * 4000,
}


@pytest.fixture
def other_store(tmp_path):
    return ArtifactStore.from_settings(local_settings(tmp_path / "other"))


async def fill(store):
    await documents.put(store, documents.batch("b1", items=[documents.item(n) for n in range(3)]))
    await documents.put(store, *(documents.extract(f"b1-r{n}", n) for n in range(40)))
    for rel, data in CONTENT.items():
        await store.put(rel, data)


async def archived(store, **options):
    return b"".join([piece async for piece in backup(store, **options)])


def names_in(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return set(tar.getnames())


def test_what_is_backed_up_comes_back_index_included(store, other_store, engine):
    async def scenario():
        await fill(store)
        archive = await archived(store, inputs=True)
        report = await restore(other_store, io.BytesIO(archive))
        assert (report.restored, report.conflicts, report.refused) == (45, [], [])
        for rel in ("extracts/2026-11-24/b1-r39.json", IMAGE):
            assert await other_store.get(rel) == await store.get(rel)
        return await reindex(other_store, engine), await archived(store)

    rebuilt, without_inputs = asyncio.run(scenario())
    assert (rebuilt.seen, rebuilt.unreadable) == (43, [])
    assert len(RunItems(engine).page("b1", limit=9)) == 3
    names = names_in(without_inputs)
    assert len(names) == 44
    assert IMAGE not in names
    assert not any(name.startswith("uploads/") for name in names)


def test_what_is_there_with_other_content_stays_and_is_told(other_store):
    async def scenario():
        await fill(other_store)
        archive = await archived(other_store)
        rel = "image_sets/set/000001.json"
        await other_store.delete(rel)
        await other_store.put(rel, b"newer")
        report = await restore(other_store, io.BytesIO(archive))
        assert (report.restored, report.conflicts) == (43, [rel])
        assert await other_store.get(rel) == b"newer"

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["../outside.json", "/etc/cron.d/job", "extracts/../../x.json", "other/x.json"])
def test_names_that_are_no_artifacts_are_refused(other_store, tmp_path, name):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    archive.seek(0)
    report = asyncio.run(restore(other_store, archive))
    assert (report.restored, report.refused) == (0, [name])
    assert not (tmp_path / "outside.json").exists()


@pytest.mark.parametrize("cut", [20, 0.5, -4, -9], ids=["at the top", "in the middle", "in the sum", "before the end"])
def test_an_archive_that_is_cut_off_is_refused(store, other_store, cut):
    async def scenario():
        await fill(store)
        archive = await archived(store)
        end = cut if isinstance(cut, int) else int(len(archive) * cut)
        await restore(other_store, io.BytesIO(archive[:end]))

    with pytest.raises(InputError, match="cannot be read to its end"):
        asyncio.run(scenario())


def test_a_file_that_is_no_archive_is_refused(other_store):
    for data in (b"", b"not an archive", gzip.compress(b"not a tar file" * 100)):
        with pytest.raises(InputError, match="cannot be read to its end"):
            asyncio.run(restore(other_store, io.BytesIO(data)))


def test_memory_stays_flat_whatever_is_archived(other_store, monkeypatch):
    monkeypatch.setattr(backups, "OPEN_AHEAD", 4)

    async def scenario():
        for n in range(60):
            await other_store.put(f"batches/2026-11-24/b{n}.json", n.to_bytes(2) * 500_000)
        tracemalloc.start()
        size = 0
        async for piece in backup(other_store):
            size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size, peak

    size, peak = asyncio.run(scenario())
    assert size > 1000
    assert peak < 20_000_000
