"""Batches as jobs: checked at once, done in their turn, stopped in the middle."""

import orjson

from tests.support.job_requests import FOLDER, RERUN, UPLOAD, accepted, ended_job, images, slow
from tests.support.requests import TASK, error_of, extract_body, finished, new_image, succeeded, upload
from tests.support.waiting import wait_until


def test_a_folder_larger_than_a_client_may_wait_for_is_extracted_as_a_job(alice, model, folder):
    response = alice.post(FOLDER, json={"task_id": TASK, "images_dir": folder(120), "concurrency": 8})
    job = ended_job(alice, response)
    assert (job["status"], job["kind"], job["owner_key_id"]) == ("succeeded", "batch_extract", "alice")
    assert job["request"]["task_id"] == TASK
    assert (job["progress"]["total"], job["progress"]["ok"]) == (120, 120)
    batch = succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))
    assert [item["file"] for item in batch["items"]] == [f"{number:03d}.png" for number in range(120)]
    assert model.calls().calls == 120


def test_a_batch_job_tells_its_progress_and_gives_the_run(alice, model, new_id):
    run_id = new_id()
    truth = [{"file": "000.png", "total": None}]
    files = images(5)
    form = upload(files, run_id=run_id, concurrency="2", gt_json=orjson.dumps(truth).decode())
    job = ended_job(alice, alice.post(UPLOAD, **form))
    assert (job["kind"], job["status"], job["request"]["run_id"]) == ("batch_extract_upload", "succeeded", run_id)
    assert job["progress"] | {"current": None} == {
        "stage": "succeeded", "total": 5, "done": 5, "ok": 5, "err": 0, "current": None,
    }  # fmt: skip
    assert job["result_meta"] == {
        "type": "batch",
        "task_id": "receipt_fields_v1",
        "run_id": run_id,
        "artifact_rel": job["result_rel"],
        "item_count": 5,
        "ok_count": 5,
        "error_count": 0,
    }
    result = succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))
    assert [item["file"] for item in result["items"]] == list(files)
    assert result["eval"]["summary"]["scored_count"] == 1
    assert succeeded(alice.get(f"/v1/runs/{run_id}"))["run_id"] == run_id
    assert model.calls().calls == 5


def test_an_upload_is_extracted_scored_and_not_kept_as_a_job(alice, model, service, new_id):
    files, run_id = {"b.png": new_image(), "a.png": new_image(), "empty.png": b""}, new_id()
    fields = {"run_id": run_id, "persist_inputs": "false", "gt_json": '{"a.png": {"total": "1.00"}}'}
    job = ended_job(alice, alice.post(UPLOAD, **upload(files, **fields)))
    assert (job["status"], job["kind"]) == ("succeeded", "batch_extract_upload")
    batch = succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))
    assert [item["file"] for item in batch["items"]] == list(files)
    assert (batch["run_id"], batch["ok_count"], batch["error_count"]) == (run_id, 2, 1)
    assert batch["eval"]["summary"]["scored_count"] == 1
    wait_until(lambda: not [path for path in (service.home / "artifacts" / "uploads").rglob("*") if path.is_file()])
    error_of(alice.post(RERUN, json={"run_id": run_id}), 422, "image_set_error")


def test_a_rerun_is_a_job_that_pays_only_for_what_changed(alice, model, new_id):
    first = succeeded(alice.post("/v1/batch_extract_upload", **upload()))
    body = {"run_id": first["run_id"], "new_run_id": new_id()}
    job = ended_job(alice, alice.post(RERUN, json=body))
    assert (job["status"], job["kind"], job["result_meta"]["run_id"]) == (
        "succeeded",
        "batch_extract_rerun",
        body["new_run_id"],
    )
    assert accepted(alice.post(RERUN, json=body)) == job["job_id"]
    batch = succeeded(alice.get(f"/v1/jobs/{job['job_id']}/result"))
    assert (batch["source_run_id"], batch["reused_count"], model.calls().calls) == (first["run_id"], 2, 2)


def test_the_same_submission_again_is_the_same_job(alice, bob, model, new_id):
    run_id = new_id()
    request = upload(run_id=run_id)
    first = accepted(alice.post(UPLOAD, **request))
    assert accepted(alice.post(UPLOAD, **request)) == first
    error_of(alice.post(UPLOAD, **upload(run_id=run_id)), 409, "conflict")
    error_of(bob.post(UPLOAD, **request), 409, "conflict")
    finished(alice, first)
    waited_for = succeeded(alice.post("/v1/batch_extract_upload", **request))
    assert (waited_for["run_id"], waited_for["ok_count"], model.calls().calls) == (run_id, 2, 2)


def test_what_was_waited_for_can_be_had_as_a_job_without_another_call(alice, model, new_id):
    request = upload(run_id=new_id())
    batch = succeeded(alice.post("/v1/batch_extract_upload", **request))
    job = ended_job(alice, alice.post(UPLOAD, **request))
    assert (job["status"], job["result_rel"], model.calls().calls) == ("succeeded", batch["artifact_rel"], 2)


def test_what_cannot_be_done_is_refused_at_once_and_makes_no_job(alice, model, folder):
    name = folder(1)
    before = ended_job(alice, alice.post(FOLDER, json={"task_id": TASK, "images_dir": name}))["job_id"]
    calls = model.calls().calls
    body = {"task_id": TASK, "images_dir": name}
    refused = [
        (FOLDER, body | {"task_id": "no_such_task"}, 422),
        (FOLDER, body | {"images_dir": "../x"}, 422),
        (FOLDER, body | {"images_dir": "nowhere"}, 422),
        (FOLDER, body | {"glob": "a**b"}, 422),
        (FOLDER, body | {"images_dir": "/etc"}, 422),
        (FOLDER, body | {"glob": "*.tiff"}, 422),
        (FOLDER, body | {"glob": "../*"}, 422),
        (FOLDER, body | {"limit": 0}, 422),
        (FOLDER, body | {"concurrency": -1}, 422),
        (FOLDER, body | {"concurrency": 0}, 422),
        (FOLDER, body | {"concurrency": 33}, 422),
        (FOLDER, body | {"run_id": "a\n"}, 400),
        (FOLDER, body | {"run_id": "x" * 300}, 400),
        (FOLDER, body | {"gt_path": f"{name}/gt.json"}, 403),
        (RERUN, {"run_id": "no-such-run"}, 404),
    ]
    for path, refused_body, status in refused:
        error_of(alice.post(path, json=refused_body), status)
    error_of(alice.post(UPLOAD, **upload({"a.png": b""})), 422, "image_set_error")
    error_of(alice.post(UPLOAD, **upload(run_id="../x")), 400)
    error_of(alice.post(UPLOAD, **upload(task_id="no_such_task")), 422)
    assert newest_job(alice) == before
    assert model.calls().calls == calls


def newest_job(client):
    return succeeded(client.get("/v1/jobs?limit=1"))["items"][0]["job_id"]


def test_a_batch_of_which_nothing_came_is_a_failed_job(alice, model):
    texts = {"a.png": b"no image", "b.png": b"nor this"}
    failed = ended_job(alice, alice.post(UPLOAD, **upload(texts)))
    assert (failed["status"], failed["error"]["code"]) == ("failed", "batch_failed")
    assert "None of 2 images gave a result" in failed["error"]["message"]
    assert failed["error_rel"] == failed["result_rel"]
    batch = succeeded(alice.get(f"/v1/jobs/{failed['job_id']}/result"))
    assert (batch["status"], batch["ok_count"], batch["error_count"]) == ("failed", 0, 2)


def test_a_cancelled_batch_stops_making_calls_and_says_what_it_did(alice, model, service, folder):
    count = 200
    model.script(*slow(count, 200))
    body = {"task_id": TASK, "images_dir": folder(count), "concurrency": 4}
    job_id = accepted(alice.post(FOLDER, json=body))
    wait_until(lambda: model.calls().calls >= 12)
    error_of(alice.get(f"/v1/jobs/{job_id}/result"), 409, "job_not_ended")
    assert succeeded(alice.post(f"/v1/jobs/{job_id}/cancel")) == {"ok": True}
    assert succeeded(alice.get(f"/v1/jobs/{job_id}"))["cancel_requested"]
    job = finished(alice, job_id)
    assert (job["status"], job["error"]["code"]) == ("canceled", "canceled")
    calls = model.calls().calls
    assert 12 <= calls < count / 2
    batch = orjson.loads(service.artifact(job["result_rel"]).read_bytes())
    assert (batch["status"], batch["ok_count"] + batch["pending_count"]) == ("canceled", count)
    assert calls - 4 <= batch["ok_count"] <= calls
    assert succeeded(alice.post(f"/v1/jobs/{job_id}/cancel")) == {"ok": True}
    # Had the batch gone on, its calls would have been made before this one is answered.
    succeeded(alice.post("/v1/extract", json=extract_body()))
    assert model.calls().calls == calls + 1
