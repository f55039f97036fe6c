"""Runs, their items and evaluations: listed by the index, owners' only, deleted when nothing works on them."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import dagster as dg
import orjson
import pytest

from ocrlty_api.lanes.active_runs import ACTIVE, active_owners
from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.artifacts.index import index_row
from ocrlty_pipeline.orchestration import run_tags
from tests.support.requests import error_of, extract_body, new_id, succeeded, upload
from tests.support.stored_runs import ANSWER, record, store_image_set, store_record, store_run

BAD_IDS = ("a%20b", ".hidden", "a" * 129, "%2e%2e", "a%0a", "..%5cx")
BAD_CURSORS = (
    "garbage", "", "|", "2026-11-24|b1", "2026-11-24T00:08:40+00:00|", "2026-11-24T00:08:40+00:00|../x",
    "2026-13-45T00:08:40+00:00|b1", "2026-11-24T00:08:40|b1", "2026-11-24T00:08:40+02:00|b1", "x" * 300,
    "2026-11-24T00:08:40+00:00|b1\n", "٢٠٢٦-11-24T00:08:40+00:00|b1",
)  # fmt: skip


@pytest.fixture
def run(stored):
    """A run of alice's with five items, the third failed."""
    run_id, name = new_id("run"), new_id("set")
    answers = {f"d/{n}.jpg": None if n == 2 else ANSWER for n in range(5)}
    store_image_set(stored, name, answers)
    return run_id, store_run(stored, run_id, answers, image_set=name)


def listed(client, **params):
    return succeeded(client.get("/v1/runs", params=params))


def test_the_list_shows_all_of_a_run_without_reading_its_artifact(alice, stored, service, run):
    run_id, _ = run
    row = stored.runs.find(run_id)
    path = service.artifact(row.rel_ref)
    path.rename(path.with_suffix(".away"))
    try:
        page = listed(alice, limit=1)
    finally:
        path.with_suffix(".away").rename(path)
    [item] = page["items"]
    assert (item["run_id"], item["task_id"], item["model_id"]) == (run_id, "receipt_header_v1", "mock")
    assert (item["item_count"], item["ok_count"], item["error_count"], item["total_time"]) == (5, 4, 1, 85.0)
    assert item["artifact_rel"] == row.rel_ref
    assert item["created_at"].endswith("Z")
    assert page["limit"] == 1


def test_the_artifact_comes_whole_as_it_is_stored(alice, stored, service, run):
    run_id, _ = run
    rel = stored.runs.find(run_id).rel_ref
    answer = alice.get(f"/v1/runs/{run_id}/artifact")
    assert (answer.status_code, answer.content) == (200, service.artifact(rel).read_bytes())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="{run_id}.json"'
    service.artifact(rel).unlink()
    error_of(alice.get(f"/v1/runs/{run_id}/artifact"), 404, "artifact_not_found")


def test_pages_run_to_the_end_newest_first_by_the_cursor(alice, stored):
    task_id = "items_light_v1"
    made = [new_id("run") for _ in range(5)]
    for run_id in made:
        store_run(stored, run_id, {"a.jpg": ANSWER}, task_id=task_id)
    seen, cursor = [], {}
    while cursor is not None:
        page = listed(alice, limit=2, task_id=task_id, **cursor)
        seen += [item["run_id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert seen == made[::-1]
    assert all(item["task_id"] == task_id for item in listed(alice, task_id=task_id)["items"])
    assert listed(alice, task_id="unknown")["items"] == []


def test_a_cursor_whose_plus_sign_was_not_escaped_is_understood(alice, stored, run):
    store_run(stored, new_id("run"), {"a.jpg": ANSWER})
    cursor = listed(alice, limit=1)["next_cursor"]
    assert "+00:00|" in cursor
    unescaped = succeeded(alice.get(f"/v1/runs?limit=1&cursor={cursor}"))
    assert unescaped["items"] == listed(alice, limit=1, cursor=cursor)["items"]


def test_a_cursor_that_is_none_is_refused(alice, run):
    run_id, _ = run
    for bad in BAD_CURSORS:
        error_of(alice.get("/v1/runs", params={"cursor": bad}), 400, "bad_request")
    for bad in ("garbage", "", "-1", "1.5", "9" * 20, "1\n", "٣"):
        error_of(alice.get(f"/v1/runs/{run_id}/items", params={"cursor": bad}), 400, "bad_request")


def test_limits_out_of_bounds_are_refused(alice, run):
    run_id, _ = run
    for path in ("/v1/runs", f"/v1/runs/{run_id}/items"):
        for bad in ("0", "-1", "201", "x", "1e2", "9" * 30):
            error = error_of(alice.get(path, params={"limit": bad}), 422, "validation_error")
            assert error["details"]["errors"][0]["loc"] == ["query", "limit"]


def test_a_run_is_read_whole_with_its_items_in_order(alice, run):
    run_id, items = run
    document = succeeded(alice.get(f"/v1/runs/{run_id}"))
    assert [item["file"] for item in document["items"]] == [item.file for item in items]
    assert (document["run_id"], document["eval"]) == (run_id, None)
    assert document["artifact_rel"].endswith(f"/{run_id}.json")
    assert "raw of" not in orjson.dumps(document).decode()


def test_items_are_paged_and_narrowed_by_outcome(alice, run):
    run_id, items = run
    path = f"/v1/runs/{run_id}/items"
    first = succeeded(alice.get(path, params={"limit": 2}))
    rest = succeeded(alice.get(path, params={"limit": 200, "cursor": first["next_cursor"]}))
    assert [item["file"] for item in first["items"] + rest["items"]] == [item.file for item in items]
    assert rest["next_cursor"] is None
    whole = succeeded(alice.get(f"/v1/runs/{run_id}"))["items"]
    assert first["items"] == whole[:2]
    failed = succeeded(alice.get(path, params={"status": "error"}))["items"]
    assert [(item["file"], item["error"]["code"]) for item in failed] == [("d/2.jpg", "output_truncated")]
    assert len(succeeded(alice.get(path, params={"status": "ok"}))["items"]) == 4
    error_of(alice.get(path, params={"status": "maybe"}), 422)


def test_one_item_is_read_by_its_request_id_and_raw_only_by_who_may(alice, root, run):
    run_id, _ = run
    path = f"/v1/runs/item/{run_id}-r0"
    answer = succeeded(alice.get(path))
    assert (answer["run_id"], answer["parsed"], answer["raw"]) == (run_id, ANSWER, None)
    assert answer["input"]["file"] == "d/0.jpg"
    assert succeeded(root.get(path))["raw"] == f"raw of {run_id}-r0"


def test_a_single_extract_is_an_item_too(alice, model):
    made = succeeded(alice.post("/v1/extract", json=extract_body()))
    read = succeeded(alice.get(f"/v1/runs/item/{made['request_id']}"))
    assert {name: read[name] for name in made} == made


def test_others_runs_items_and_evaluations_are_as_if_they_were_not(alice, bob, root, dora, stored, run):
    run_id, _ = run
    rel = evaluated(dora, root, run_id)
    paths = [f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/items", f"/v1/runs/item/{run_id}-r0"]
    for path in [*paths, f"/v1/runs/eval?artifact_rel={rel}"]:
        error = error_of(bob.get(path), 404, "not_found")
        unknown = error_of(bob.get(path.replace(run_id, "no-such-run")), 404, "not_found") if run_id in path else error
        assert error["message"].replace(run_id, "") == unknown["message"].replace("no-such-run", "")
        assert "ACME" not in str(error)
        succeeded(root.get(path))
        succeeded(alice.get(path))
    assert run_id not in [item["run_id"] for item in listed(bob, limit=200)["items"]]
    assert run_id in [item["run_id"] for item in listed(root, limit=200)["items"]]


def test_an_evaluated_run_shows_it_in_list_and_document(alice, dora, root, run):
    run_id, _ = run
    rel = evaluated(dora, root, run_id)
    [item] = [item for item in listed(alice, limit=200)["items"] if item["run_id"] == run_id]
    assert item["eval_summary"]["scored_count"] == 2
    document = succeeded(alice.get(f"/v1/runs/{run_id}"))
    assert document["eval"]["eval_artifact_rel"] == rel
    assert document["eval"]["summary"] == item["eval_summary"]
    assert succeeded(alice.get("/v1/runs/eval", params={"artifact_rel": rel}))["run_id"] == run_id


def evaluated(dora, root, run_id):
    """Score a run, as an admin; answers the key of the evaluation."""
    truth = {f"d/{n}.jpg": {"company": "ACME", "total": "2.00"} for n in (0, 2)}
    body = {"run_id": run_id, "ground_truth": truth}
    error_of(dora.post("/v1/debug/eval/batch_vs_gt", json=body), 404)
    return succeeded(root.post("/v1/debug/eval/batch_vs_gt", json=body))["eval_artifact_rel"]


@pytest.mark.parametrize(
    "bad",
    [
        "../../../etc/passwd", "/etc/passwd", "extracts/2026-11-24/r1.json", "evals/../extracts/2026-11-24/r1.json",
        "evals/2026-11-24/..%2f..%2fx.json", "evals/2026-11-24/x.json/../../y", "", "evals/2026-99-99/x.json",
    ],
)  # fmt: skip
def test_a_path_that_is_no_evaluation_s_is_refused(alice, root, bad):
    for client in (alice, root):
        error_of(client.get("/v1/runs/eval", params={"artifact_rel": bad}), 400, "input_error")


def test_an_evaluation_of_another_day_is_none(root, dora, stored, run):
    rel = evaluated(dora, root, run[0])
    other = rel.replace(rel.split("/")[1], "2001-01-01")
    error_of(root.get("/v1/runs/eval", params={"artifact_rel": other}), 404, "not_found")


def test_an_evaluation_s_path_takes_what_it_takes(root):
    refused = root.delete("/v1/runs/eval")
    error_of(refused, 405, "method_not_allowed")
    assert refused.headers["Allow"] == "GET"


def test_ids_that_are_none_are_refused_with_400(alice, root):
    for bad in BAD_IDS:
        for path in (f"/v1/runs/{bad}", f"/v1/runs/{bad}/items", f"/v1/runs/item/{bad}"):
            error_of(alice.get(path), 400)
        error_of(root.delete(f"/v1/runs/{bad}"), 400)
    for path in ("/v1/runs/%2e%2e%2fx", "/v1/runs/item/..%2f..%2fx"):
        error_of(alice.get(path), 404, "not_found")
    error_of(alice.get("/v1/runs/a%00"), 400)


def test_only_who_has_the_scope_deletes_and_then_it_is_gone(alice, dora, root, stored, run):
    run_id, _ = run
    kept = store_record(stored, record(stored, new_id("single"), answer=ANSWER))
    for client in (alice, dora):
        error = error_of(client.delete(f"/v1/runs/{run_id}"), 403, "forbidden")
        assert error["details"] == {"missing_scope": "runs:delete"}
    assert succeeded(root.delete(f"/v1/runs/{run_id}")) == {
        "run_id": run_id,
        "extracts": 5,
        "evaluations": 0,
        "kept_extracts": 0,
    }
    for path in (f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/items", f"/v1/runs/item/{run_id}-r0"):
        error_of(alice.get(path), 404, "not_found")
    error_of(root.delete(f"/v1/runs/{run_id}"), 404, "not_found")
    succeeded(alice.get(f"/v1/runs/item/{kept.rpartition('/')[2].removesuffix('.json')}"))


def test_a_run_that_a_job_works_on_is_not_deleted(root, alice, service, run, monkeypatch):
    run_id, _ = run
    monkeypatch.setenv("DAGSTER_HOME", service.environment["DAGSTER_HOME"])
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", service.environment["DAGSTER_POSTGRES_URL"])
    with dg.DagsterInstance.get() as instance:
        tags = {run_tags.RUN_ID: run_id, run_tags.KEY_ID: "alice"}
        job = instance.create_run_for_job(_nothing, tags=tags)
        assert asyncio.run(active_owners(SharedInstance(instance, None), run_id)) == ["alice"]
        error_of(root.delete(f"/v1/runs/{run_id}"), 409, "run_active")
        succeeded(alice.get(f"/v1/runs/{run_id}"))
        instance.report_run_canceled(job)
        assert asyncio.run(active_owners(SharedInstance(instance, None), run_id)) == []
    succeeded(root.delete(f"/v1/runs/{run_id}"))


def test_every_status_of_a_run_that_has_not_ended_is_active():
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    assert set(ACTIVE) == set(dg.DagsterRunStatus) - ended - {dg.DagsterRunStatus.MANAGED}


def test_the_last_page_of_many_runs_is_as_cheap_as_the_first(alice, stored):
    begin = datetime(2001, 1, 1, tzinfo=UTC)
    prefix = new_id("old")
    rows = [
        index_row(
            f"batches/2001-01-01/{prefix}-{n}.json",
            {
                "created_at": (begin + timedelta(seconds=n)).isoformat(),
                "auth": {"key_id": "alice"},
                "task_id": prefix,
            },
            stored.store,
        )
        for n in range(1000)
    ]
    stored.index.add(rows)
    last = f"{(begin + timedelta(seconds=3)).isoformat()}|{prefix}-3"
    page = listed(alice, limit=200, task_id=prefix, cursor=last)
    assert [item["run_id"] for item in page["items"]] == [f"{prefix}-{n}" for n in (2, 1, 0)]
    assert page["next_cursor"] is None


@dg.op
def _idle():
    pass


@dg.job
def _nothing():
    _idle()


def test_the_page_of_an_evaluation_and_its_previews_are_their_owners(alice, bob, root, nobody, model, new_id):
    run_id = new_id()
    truth = orjson.dumps([{"file": "a.png", "total": "8.20"}]).decode()
    succeeded(alice.post("/v1/batch_extract_upload", **upload(run_id=run_id, gt_json=truth)))
    rel = succeeded(alice.get(f"/v1/runs/{run_id}"))["eval"]["report_rel"]
    page = alice.get(f"/v1/reports/{rel}")
    assert page.status_code == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    assert run_id in page.text
    preview, *_ = set(re.findall(r"previews/alice/[0-9a-f]{2}/[0-9a-f]{64}\.jpg", page.text))
    for path in (rel, preview):
        error_of(bob.get(f"/v1/reports/{path}"), 404, "not_found")
        error_of(nobody.get(f"/v1/reports/{path}"), 401)
        assert root.get(f"/v1/reports/{path}").status_code == 200
    assert alice.get(f"/v1/reports/{preview}").content.startswith(b"\xff\xd8\xff")
    for bad in (
        "reports/x",
        rel.replace("reports/20", "reports/19"),
        "extracts/2026-11-24/x.json",
        "..%2f..%2fetc/passwd",
    ):
        error_of(alice.get(f"/v1/reports/{bad}"), 404, "not_found")
    succeeded(root.delete(f"/v1/runs/{run_id}"))
    error_of(root.get(f"/v1/reports/{rel}"), 404)
