from __future__ import annotations

import orjson
import pytest
from sqlalchemy import text

from ocrlty_pipeline.artifacts import run_items
from ocrlty_pipeline.artifacts.run_items import RunItems, items_of
from tests.pipeline.artifacts import documents


@pytest.fixture
def items(engine):
    return RunItems(engine)


def positions(page):
    return [item.position for item in page]


def test_a_run_s_items_are_paged_in_order_and_by_outcome(items, monkeypatch):
    monkeypatch.setattr(run_items, "ROWS_AT_ONCE", 4)
    items.add("b1", items_of(documents.item(n) for n in range(10)))
    items.add("b2", items_of(orjson.dumps(documents.item(n, "b2")) for n in range(2)))
    first = items.page("b1", limit=4)
    assert positions(first) == [0, 1, 2, 3]
    assert first[1].rel_ref == "extracts/2026-11-24/b1-r1.json"
    assert positions(items.page("b1", limit=9, after=3)) == [4, 5, 6, 7, 8, 9]
    assert positions(items.page("b1", limit=9, ok=False)) == [0, 3, 6, 9]
    assert positions(items.page("b1", limit=2, after=3, ok=True)) == [4, 5]
    assert items.page("b3", limit=9) == []


def test_a_run_s_items_are_added_all_or_none_and_once(items):
    broken = [documents.item(0), documents.item(1, file=None)]
    with pytest.raises(Exception, match="not-null"):
        items.add("b1", items_of(broken))
    assert items.page("b1", limit=9) == []
    for _ in range(2):
        items.add("b1", items_of([documents.item(0)]))
    assert positions(items.page("b1", limit=9)) == [0]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM ocrlty.run_items WHERE run_id = 'b1' AND position > 4900 ORDER BY position LIMIT 9",
        "SELECT * FROM ocrlty.run_items WHERE run_id = 'b1' AND position > 4900 AND ok ORDER BY position LIMIT 9",
    ],
)
def test_a_deep_page_reads_no_item_before_it(items, engine, query):
    items.add("b1", items_of(documents.item(n) for n in range(5000)))
    with engine.begin() as connection:
        connection.execute(text("ANALYZE ocrlty.run_items"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {query}")))
    assert "Index Scan using" in plan
    assert "> 4900" in plan.partition("Index Cond")[2], plan
    assert "Sort" not in plan
