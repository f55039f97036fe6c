"""Runs and their items, as the index and the store have them."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from ocrlty_pipeline.artifacts.run_items import RunItem
from ocrlty_pipeline.errors import ArtifactConflictError
from tests.support.stored_runs import ANSWER, store_run


def items_of(services, run_id, **narrowed):
    row = services.runs.find(run_id)
    return asyncio.run(services.runs.items(row, **narrowed))


def test_items_are_paged_in_the_run_s_order_from_their_own_artifacts(store_services):
    answers = {f"{n}.jpg": None if n == 2 else ANSWER for n in range(5)}
    stored = store_run(store_services, "b1", answers)
    first = items_of(store_services, "b1", limit=2)
    assert first.items == stored[:2]
    second = items_of(store_services, "b1", limit=3, after=first.next_after)
    assert second.items == stored[2:]
    assert second.next_after is None
    failed = items_of(store_services, "b1", limit=9, ok=False)
    assert [item.file for item in failed.items] == ["2.jpg"]
    assert items_of(store_services, "b1", limit=4, ok=True).next_after is None


def test_a_run_that_continued_another_has_that_one_s_items_as_well(store_services):
    earlier = store_run(store_services, "b1", {"a.jpg": ANSWER})
    store_run(store_services, "b1-2", {"b.jpg": ANSWER}, reused=earlier)
    items = items_of(store_services, "b1-2", limit=9).items
    assert [(item.file, item.request_id) for item in items] == [("a.jpg", "b1-r0"), ("b.jpg", "b1-2-r0")]


def test_a_page_of_items_never_reads_the_whole_run(store_services):
    store_run(store_services, "b1", {"a.jpg": ANSWER, "b.jpg": ANSWER})
    row = store_services.runs.find("b1")
    asyncio.run(store_services.store.delete(row.rel_ref))
    assert len(items_of(store_services, "b1", limit=9).items) == 2


@pytest.mark.parametrize("answers", [{}, {"a.jpg": ANSWER}])
def test_a_run_s_document_is_its_artifact_with_its_place_and_its_evaluation(store_services, answers):
    store_run(store_services, "b1", answers)
    row = store_services.runs.find("b1")
    artifact = orjson.loads(asyncio.run(store_services.store.get(row.rel_ref)))
    document = asyncio.run(store_services.runs.document(row))
    assert document == artifact | {"artifact_rel": row.rel_ref, "eval": None}
    assert len(document["items"]) == len(answers)


def test_an_item_that_was_tried_again_replaces_what_it_was(store_services):
    items = store_services.run_items
    items.add("b1", [RunItem(0, "a.jpg", "first", "extracts/first.json", ok=False)])
    items.add("b1", [RunItem(0, "a.jpg", "again", "extracts/again.json", ok=True)])
    assert items.page("b1", limit=9) == [RunItem(0, "a.jpg", "again", "extracts/again.json", ok=True)]
    assert items.counts("b1") == (1, 0)


def test_a_run_id_that_is_taken_adds_no_items(store_services):
    store_run(store_services, "b1", {"a.jpg": ANSWER})
    row = store_services.runs.find("b1")
    runs = store_services.runs
    with pytest.raises(ArtifactConflictError):
        asyncio.run(runs.save_batch(row.rel_ref, b"{}", {"run_id": "b1"}, [b'{"file": "other"}']))
    assert [item.file for item in items_of(store_services, "b1", limit=9).items] == ["a.jpg"]
