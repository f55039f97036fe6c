from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import event, text

from ocrlty_pipeline.artifacts.index import ArtifactIndex, IndexRow, _narrowed, index_row
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.errors import StorageError, StorageUnavailableError
from tests.pipeline.artifacts import documents
from tests.support.storage import local_settings


@pytest.fixture
def index(engine):
    return ArtifactIndex(engine)


@pytest.fixture
def row_of(tmp_path):
    store = ArtifactStore.from_settings(local_settings(tmp_path))
    return lambda artifact: index_row(*artifact, store)


def ids(rows):
    return [row.artifact_id for row in rows]


def test_a_batch_run_s_columns_come_from_its_document(row_of, tmp_path):
    rel = "batches/2026-11-24/b1.json"
    assert row_of(documents.batch("b1")) == IndexRow(
        kind="batch",
        artifact_id="b1",
        owner_key_id="client-1",
        day=date(2026, 11, 24),
        storage="local",
        full_ref=f"{tmp_path}/{rel}",
        rel_ref=rel,
        created_at=datetime(2026, 11, 24, 0, 8, 29, 123456, tzinfo=UTC),
        task_id="receipt_fields_v1",
        image_set="sroie",
        run_id="b1",
        dagster_run_id="d1",
        item_count=3,
        ok_count=2,
        error_count=1,
        summary=documents.MADE_WITH
        | dict.fromkeys(("backend", "status", "source_run_id", "shard_size"))
        | {"total_time": 85.0},
    )


def test_an_extract_names_its_batch_run_and_an_evaluation_the_run_it_scores(row_of):
    assert row_of(documents.extract("r1")).run_id == "b1"
    assert row_of(documents.extract("r1", run_id=None)).run_id is None
    assert row_of(documents.evaluation("e1", "b9")).run_id == "b9"
    assert row_of(documents.evaluation("e1", "b9")).owner_key_id is None


@pytest.mark.parametrize(
    ("rel", "document"),
    [
        ("inputs/local/x.jpg", {}),
        ("extracts/2026-11-24/r1.json", {}),
        ("extracts/2026-11-24/r1.json", []),
        ("extracts/2026-11-24/r1.json", {"created_at": "yesterday"}),
        ("extracts/2026-11-24/r1.json", {"created_at": "2026-11-24T00:00:00"}),
        ("extracts/2026-11-24/r1.json", {"created_at": documents.created_at(0), "auth": "me"}),
    ],
)
def test_what_is_no_artifact_is_refused_by_its_key(row_of, rel, document):
    with pytest.raises(StorageError, match=rel):
        row_of((rel, document))


def test_a_row_is_found_as_it_was_added_to_the_microsecond(index, row_of):
    rows = [row_of(documents.extract("same")), row_of(documents.batch("same"))]
    assert index.add(rows) == 2
    assert [index.find("extract", "same"), index.find("batch", "same")] == rows
    assert index.find("eval", "same") is None


def test_adding_again_changes_nothing(index, row_of):
    row = row_of(documents.batch("b1"))
    index.add([row])
    assert index.add([row, replace(row, ok_count=0), row_of(documents.batch("b2"))]) == 1
    assert index.find("batch", "b1") == row
    assert index.add([]) == 0


def test_rows_are_added_all_or_none(index, row_of):
    good = row_of(documents.batch("b1"))
    with pytest.raises(Exception, match="artifacts_kind_check"):
        index.add([good, replace(good, kind="job")])
    assert index.find("batch", "b1") is None


def test_rows_are_written_one_after_the_other_on_the_same_connection(engine, row_of):
    """PITFALLS "database": a new connection for every index write."""
    engine.dispose()
    connections = []
    event.listen(engine, "connect", lambda *_: connections.append(1))
    index = ArtifactIndex(engine)
    for number in range(20):
        index.add([row_of(documents.batch(f"b{number}"))])
        assert index.find("batch", f"b{number}")
    assert len(connections) == 1


def test_the_newest_batch_run_is_that_of_its_image_set_and_task(index, row_of):
    index.add(
        [
            row_of(documents.batch("old", 1)),
            row_of(documents.batch("new", 2)),
            row_of(documents.batch("other-set", 3, image_set="cord")),
            row_of(documents.batch("other-task", 4, task_id="items_light_v1")),
            row_of(documents.evaluation("eval", "new", 5)),
        ]
    )
    assert index.latest_batch("sroie", "receipt_fields_v1").artifact_id == "new"
    assert index.latest_batch("sroie", "unknown") is None


def test_the_newest_evaluation_of_a_run_is_found(index, row_of):
    index.add([row_of(documents.evaluation(f"e{n}", run, n)) for n, run in enumerate(["b1", "b1", "b2"])])
    assert index.latest_eval("b1").artifact_id == "e1"
    assert index.latest_eval("b3") is None


def test_pages_run_from_newest_to_oldest_without_gap_or_repeat_where_times_are_equal(index, row_of):
    rows = [row_of(documents.batch(f"b{n:02d}", second=n // 5)) for n in range(23)]
    index.add(rows)
    seen, cursor = [], None
    while page := index.page("batch", limit=4, cursor=cursor):
        seen += page
        cursor = page[-1].cursor
    assert seen == sorted(rows, key=lambda row: row.cursor, reverse=True)


def test_a_page_continues_where_it_was_when_newer_rows_arrive(index, row_of):
    index.add([row_of(documents.batch(f"b{n}", n)) for n in range(4)])
    cursor = index.page("batch", limit=2)[-1].cursor
    index.add([row_of(documents.batch("newer", 9))])
    assert ids(index.page("batch", limit=2, cursor=cursor)) == ["b1", "b0"]


def test_pages_are_narrowed_to_an_owner_and_a_task(index, row_of):
    other = {"auth": {"key_id": "client-2"}}
    index.add(
        [
            row_of(documents.batch("mine", 1)),
            row_of(documents.batch("theirs", 2, **other)),
            row_of(documents.batch("mine-items", 3, task_id="items_light_v1")),
        ]
    )
    assert ids(index.page("batch", limit=9, owner="client-1")) == ["mine-items", "mine"]
    assert ids(index.page("batch", limit=9, task_id="receipt_fields_v1")) == ["theirs", "mine"]
    assert ids(index.page("batch", limit=9, owner="client-1", task_id="items_light_v1")) == ["mine-items"]


def test_runs_are_listed_with_the_summary_of_their_latest_evaluation(index, row_of):
    index.add([row_of(documents.batch(f"b{n}", n)) for n in range(3)])
    for second, (eval_id, run_id) in enumerate([("e1", "b1"), ("e2", "b1"), ("e3", "b2")]):
        index.add([row_of(documents.evaluation(eval_id, run_id, second, summary={"name": eval_id}))])
    listed = index.runs(limit=9)
    assert [(run.row.artifact_id, run.eval_summary) for run in listed] == [
        ("b2", {"name": "e3"}),
        ("b1", {"name": "e2"}),
        ("b0", None),
    ]
    assert [run.eval_id for run in listed] == ["e3", "e2", None]
    assert listed[2].row == row_of(documents.batch("b0", 0))
    assert [run.row.artifact_id for run in index.runs(limit=1, cursor=listed[0].row.cursor)] == ["b1"]


def test_a_row_from_before_there_were_summaries_gets_its_own_when_it_is_added_again(index, row_of):
    row = row_of(documents.batch("b1"))
    index.add([replace(row, summary=None)])
    assert index.find("batch", "b1").summary is None
    assert index.add([row]) == 1
    assert index.find("batch", "b1") == row


def test_the_newest_of_all_kinds_are_listed_also_of_one_day(index, row_of):
    index.add([row_of(documents.extract("r1", 1)), row_of(documents.batch("b1", 2))])
    index.add([row_of(documents.evaluation("e1", "b1", 3)), row_of(documents.extract("r2", 4))])
    index.add([row_of(documents.extract("tomorrow", 86_400)), row_of(documents.extract("yesterday", -86_400))])
    assert ids(index.newest(limit=9)) == ["tomorrow", "r2", "e1", "b1", "r1", "yesterday"]
    assert ids(index.newest(limit=3, day=date(2026, 11, 24))) == ["r2", "e1", "b1"]
    assert ids(index.newest(limit=9, owner="client-2")) == []
    assert "e1" not in ids(index.newest(limit=9, owner="client-1"))


@pytest.mark.parametrize("narrowed", [{}, {"owner": "client-1"}, {"task_id": "t"}, {"owner": "o", "task_id": "t"}])
def test_each_list_of_runs_is_one_backward_scan_of_an_index(engine, index, row_of, narrowed):
    query = str(
        _narrowed("batch", limit=5, cursor=row_of(documents.batch("b1")).cursor, **narrowed).compile(
            dialect=engine.dialect, compile_kwargs={"literal_binds": True}
        )
    )
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {query}")))
    assert "Index Scan Backward" in plan
    assert "Sort" not in plan
    assert "Filter" not in plan, plan


def test_times_are_in_utc_whatever_the_server_s_time_zone(database_url, row_of):
    engine = create_engine(f"{database_url}&options=-ctimezone%3DAsia/Jakarta")
    row = row_of(documents.batch("b1"))
    ArtifactIndex(engine).add([row])
    found = ArtifactIndex(engine).find("batch", "b1")
    assert found.created_at.utcoffset() == timedelta(0)
    assert found == row
    engine.dispose()


def test_a_database_that_is_down_is_said_so(row_of, tmp_path):
    index = ArtifactIndex(create_engine(f"postgresql+psycopg://me@/ocrlty?host={tmp_path}"))
    with pytest.raises(StorageUnavailableError, match="check DATABASE_URL"):
        index.add([row_of(documents.batch("b1"))])
