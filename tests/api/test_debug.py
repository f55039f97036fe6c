"""Looking behind the scenes, where DEBUG_MODE allows it, and who may."""

import asyncio
import io
import tarfile

import orjson
import pytest

from ocrlty_pipeline.artifacts.backup import restore
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.settings import Settings
from tests.support.requests import error_of, extract_body, new_id, succeeded
from tests.support.stored_runs import ANSWER, record, store_image_set, store_record, store_run

LIST = "/v1/debug/artifacts"
SCORE = "/v1/debug/eval/batch_vs_gt"
TRUTH = {"0.jpg": {"company": "ACME", "total": "2.00"}}


@pytest.fixture
def run_id(stored):
    """A run of dora's over an image set of its own."""
    run_id, name = new_id("run"), new_id("set")
    store_image_set(stored, name, ["0.jpg", "1.jpg"], owner="dora")
    store_run(stored, run_id, {"0.jpg": ANSWER, "1.jpg": None}, owner="dora", image_set=name)
    return run_id


def test_artifacts_are_listed_newest_first_with_the_times_they_were_made(root, stored, run_id):
    items = succeeded(root.get(LIST, params={"limit": 3}))["items"]
    assert [(item["kind"], item["request_id"]) for item in items] == [
        ("batch", run_id),
        ("extract", f"{run_id}-r1"),
        ("extract", f"{run_id}-r0"),
    ]
    row = stored.runs.find(run_id)
    assert items[0]["created_at"] == row.created_at.isoformat(timespec="microseconds")
    assert items[0]["rel_path"] == row.rel_ref
    today = items[0]["created_at"][:10]
    assert succeeded(root.get(LIST, params={"limit": 3, "date": today}))["items"] == items
    assert succeeded(root.get(LIST, params={"date": "1999-12-31"}))["items"] == []
    for params in (
        {"date": "yesterday"},
        {"date": "0"},
        {"date": "20261128"},
        {"date": "2026-02-30"},
        {"limit": 0},
        {"limit": 201},
    ):
        error_of(root.get(LIST, params=params), 422, "validation_error")


def test_an_artifact_and_its_raw_text_are_read_by_id(root, stored, run_id):
    assert succeeded(root.get(f"{LIST}/{run_id}-r0"))["raw"] == f"raw of {run_id}-r0"
    assert succeeded(root.get(f"{LIST}/{run_id}"))["item_count"] == 2
    raw = root.get(f"{LIST}/{run_id}-r0/raw")
    assert (raw.status_code, raw.text) == (200, f"raw of {run_id}-r0")
    assert raw.headers["Content-Type"].startswith("text/plain")
    error_of(root.get(f"{LIST}/{run_id}/raw"), 404, "not_found")
    error_of(root.get(f"{LIST}/unknown"), 404, "not_found")
    silent = record(stored, new_id(), answer=ANSWER).model_copy(update={"raw": None})
    store_record(stored, silent)
    error_of(root.get(f"{LIST}/{silent.request_id}/raw"), 404, "not_found")


def test_ids_that_are_none_are_refused(root):
    for bad in ("a%20b", "%2e%2e", "..%5cx", "a" * 129):
        error_of(root.get(f"{LIST}/{bad}"), 400, "input_error")
        error_of(root.get(f"{LIST}/{bad}/raw"), 400, "input_error")
    error_of(root.get(f"{LIST}/..%2f..%2fetc%2fpasswd"), 404, "not_found")


def test_only_keys_with_the_scope_look_behind_the_scenes(alice, dora, nobody, run_id):
    paths = [LIST, f"{LIST}/backup.tar.gz", f"{LIST}/{run_id}", f"{LIST}/{run_id}-r0/raw"]
    for path in paths:
        error_of(nobody.get(path), 401, "unauthorized")
        for client in (alice, dora):
            error_of(client.get(path), 403, "forbidden")
    error_of(alice.post(SCORE, json={"run_id": run_id}), 403, "forbidden")


def test_a_backup_streams_everything_and_can_be_restored(root, alice, stored, model, run_id, tmp_path):
    succeeded(alice.post("/v1/extract", json=extract_body()))
    with root.stream("GET", f"{LIST}/backup.tar.gz", params={"inputs": True}) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/gzip"
        assert "content-length" not in answer.headers
        archive = answer.read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = set(tar.getnames())
    assert stored.runs.find(run_id).rel_ref in names
    assert not any(name.startswith(("..", "/")) for name in names)
    other = ArtifactStore.from_settings(Settings(_env_file=None, artifacts_dir=tmp_path))
    report = asyncio.run(restore(other, io.BytesIO(archive)))
    assert (report.restored, report.conflicts, report.refused) == (len(names), [], [])


def test_a_run_is_scored_against_what_is_given(dora, root, run_id):
    answer = succeeded(dora.post(SCORE, json={"run_id": run_id, "ground_truth": TRUTH}))
    assert (answer["run_id"], answer["ground_truth_version"]) == (run_id, None)
    assert answer["summary"]["scored_count"] == 1
    [mismatch] = answer["by_request_id"][f"{run_id}-r0"]["mismatches"]
    assert (mismatch["expected"], mismatch["predicted"]) == ("2.00", "1.00")
    whole = succeeded(dora.get("/v1/runs/eval", params={"artifact_rel": answer["eval_artifact_rel"]}))
    assert whole["eval_id"] == answer["eval_id"]
    assert succeeded(root.get(f"{LIST}/{answer['eval_id']}"))["run_id"] == run_id
    by_image = {"run_id": run_id, "gt_image_key": "image", "ground_truth": [{"image": "1.jpg", "total": "3"}]}
    assert succeeded(dora.post(SCORE, json=by_image))["summary"]["failed_count"] == 1


def test_a_run_is_scored_against_a_file_under_data_root_and_no_other(dora, service, run_id, tmp_path):
    name = f"{new_id()}.json"
    for folder in (service.data, tmp_path):
        (folder / name).write_bytes(orjson.dumps(TRUTH))
    for path in (name, str(service.data / name)):
        assert succeeded(dora.post(SCORE, json={"run_id": run_id, "gt_path": path}))["summary"]["scored_count"] == 1
    (service.data / f"link-{name}").symlink_to(tmp_path / name)
    for bad in (str(tmp_path / name), f"../{name}", "/etc/passwd", f"link-{name}", "no-such.json", ".", "~root/x"):
        error = error_of(dora.post(SCORE, json={"run_id": run_id, "gt_path": bad}), 422, "validation_error")
        assert "root:" not in str(error)


def test_a_run_is_scored_against_a_stored_version(dora, stored, run_id):
    name = stored.runs.find(run_id).image_set
    succeeded(dora.post("/v1/ground_truths", json={"image_set": name, "content": TRUTH}), 201)
    right = {"0.jpg": {"company": "ACME", "total": "1.00"}}
    succeeded(dora.put(f"/v1/ground_truths/{name}", json={"content": right}))
    latest = succeeded(dora.post(SCORE, json={"run_id": run_id}))
    assert (latest["ground_truth_version"], latest["summary"]["exact_match"]["count"]) == (2, 1)
    first = succeeded(dora.post(SCORE, json={"run_id": run_id, "version": 1}))
    assert (first["ground_truth_version"], first["summary"]["exact_match"]["count"]) == (1, 0)
    error_of(dora.post(SCORE, json={"run_id": run_id, "version": 9}), 404, "not_found")


def test_what_cannot_be_scored_is_refused(dora, stored, run_id):
    theirs = new_id("run")
    store_run(stored, theirs, {"0.jpg": ANSWER}, owner="alice")
    for other in (theirs, "unknown"):
        error_of(dora.post(SCORE, json={"run_id": other, "ground_truth": TRUTH}), 404, "not_found")
    error_of(dora.post(SCORE, json={"run_id": "../x", "ground_truth": TRUTH}), 400, "input_error")
    error_of(dora.post(SCORE, json={"run_id": run_id, "ground_truth": TRUTH, "version": 1}), 422, "validation_error")
    for bad in ({"9.jpg": {}}, [], {}, {"0.jpg": 5}):
        error_of(dora.post(SCORE, json={"run_id": run_id, "ground_truth": bad}), 422, "ground_truth_error")
