"""Pages of a run's items: what is read for one, and what is shown where an item's artifact is gone."""

from __future__ import annotations

import asyncio

import pytest

from ocrlty_pipeline.artifacts.keys import shard_key
from ocrlty_pipeline.artifacts.shard_files import ShardFile
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactNotFoundError
from tests.support.stored_runs import ANSWER, store_run

COUNT, SIZE = 70, 30


@pytest.fixture
def items(store_services):
    """Those of a run in three shards, every tenth of which failed."""
    answers = {f"{n:03d}.jpg": ANSWER if n % 10 else None for n in range(COUNT)}
    items = store_run(store_services, "b1", answers, shard_size=SIZE)
    row = store_services.runs.find("b1")
    for first in range(0, COUNT, SIZE):
        shard = ShardFile(b"{}", [item.to_bytes() for item in items[first : first + SIZE]])
        asyncio.run(store_services.store.put(shard_key(row.day, "b1", first // SIZE), shard.to_bytes()))
    return items


@pytest.fixture
def reads(monkeypatch):
    """The keys that are read, in order."""
    keys = []
    for name in ("get", "get_or_none"):
        original = getattr(ArtifactStore, name)

        async def watched(self, rel, original=original):
            keys.append(rel)
            return await original(self, rel)

        monkeypatch.setattr(ArtifactStore, name, watched)
    return keys


def page_of(services, run_id="b1", **narrowed):
    row = services.runs.find(run_id)
    return asyncio.run(services.runs.items(row, **narrowed))


def test_a_large_page_of_a_run_in_shards_is_read_from_those_alone(store_services, items, reads):
    page = page_of(store_services, limit=40, after=9)
    assert page.items == items[10:50]
    assert page.next_after == 49
    day = store_services.runs.find("b1").day
    assert sorted(set(reads)) == [shard_key(day, "b1", 0), shard_key(day, "b1", 1)]


def test_a_large_page_of_one_outcome_has_no_other(store_services, items):
    page = page_of(store_services, limit=40, ok=True, after=9)
    assert page.items == [item for item in items[10:] if item.ok][:40]


@pytest.mark.parametrize("narrowed", [{"limit": 5}, {"limit": 40, "ok": False}, {"limit": 65}])
def test_pages_that_need_more_of_the_shards_than_they_show_are_read_item_by_item(
    store_services, items, reads, narrowed
):
    page = page_of(store_services, **narrowed)
    wanted = [item for item in items if narrowed.get("ok") in (None, item.ok)][: narrowed["limit"]]
    assert page.items == wanted
    assert all(rel.startswith("extracts/") for rel in reads)


def test_an_item_whose_artifact_is_gone_is_left_out_and_the_pages_go_on(store_services):
    stored = store_run(store_services, "b1", {f"{n}.jpg": ANSWER for n in range(4)})
    asyncio.run(store_services.store.delete(stored[1].artifact_rel))
    first = page_of(store_services, limit=2)
    assert first.items == stored[:1]
    assert page_of(store_services, limit=2, after=first.next_after).items == stored[2:]


def test_a_run_all_of_whose_items_are_gone_is_not_one_without_items(store_services):
    stored = store_run(store_services, "b1", {"a.jpg": ANSWER})
    asyncio.run(store_services.store.delete(stored[0].artifact_rel))
    with pytest.raises(ArtifactNotFoundError, match="b1"):
        page_of(store_services, limit=2)
    store_run(store_services, "empty", {})
    assert page_of(store_services, "empty", limit=2).items == []
