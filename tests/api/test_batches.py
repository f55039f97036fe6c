"""Batches that a client waits for: folders, uploads, reruns."""

import hashlib
import json
import threading

import orjson

from tests.support.job_requests import images
from tests.support.openai_answers import refusal, server_error
from tests.support.receipts import tiny_images
from tests.support.requests import TASK, error_of, new_image, succeeded, upload
from tests.support.waiting import wait_until

FOLDER, UPLOAD, RERUN = "/v1/batch_extract", "/v1/batch_extract_upload", "/v1/batch_extract_rerun"


def uploaded(client, files=None, **fields):
    return succeeded(client.post(UPLOAD, **upload(files, **fields)))


def test_an_upload_is_answered_with_an_item_for_each_file_in_the_order_sent(alice, model, service, new_id):
    files = {"z.png": new_image(), "a/b.png": new_image(), "a.png": new_image()}
    run_id = new_id()
    answer = uploaded(alice, files, run_id=run_id, concurrency="2")
    assert (answer["run_id"], answer["images_dir"], answer["glob"]) == (run_id, "(upload)", "(upload)")
    assert (answer["status"], answer["item_count"], answer["ok_count"], answer["error_count"]) == ("succeeded", 3, 3, 0)
    assert (answer["concurrency"], answer["eval"], model.calls().calls) == (2, None, 3)
    assert [item["file"] for item in answer["items"]] == list(files)
    assert len({item["request_id"] for item in answer["items"]}) == 3
    for item in answer["items"]:
        assert item["schema_valid"]
        assert service.artifact(item["input_ref"]).read_bytes() == files[item["file"]]
        record = orjson.loads(service.artifact(item["artifact_rel"]).read_bytes())
        assert record["auth"]["key_id"] == "alice"
        assert record["run_id"] == run_id
    batch = orjson.loads(service.artifact(answer["artifact_rel"]).read_bytes())
    assert batch["auth"]["key_id"] == "alice"


def test_a_folder_of_the_service_is_extracted_in_the_order_of_its_names(alice, model, service, folder):
    name = folder(3)
    (service.data / name / "notes.txt").write_text("no image")
    answer = succeeded(alice.post(FOLDER, json={"task_id": TASK, "images_dir": name, "limit": 2}))
    assert [item["file"] for item in answer["items"]] == ["000.png", "001.png"]
    assert (answer["images_dir"], answer["glob"]) == (str(service.data / name), "**/*")
    absolute = {"task_id": TASK, "images_dir": str(service.data / name), "glob": "*2.png"}
    assert [item["file"] for item in succeeded(alice.post(FOLDER, json=absolute))["items"]] == ["002.png"]


def test_the_same_run_id_with_the_same_content_gives_what_is_there(alice, bob, model, new_id):
    files, run_id = images(2), new_id()
    first = uploaded(alice, files, run_id=run_id)
    assert uploaded(alice, files, run_id=run_id) == first
    assert model.calls().calls == 2
    others = [
        (alice, upload(images(2), run_id=run_id)),
        (alice, upload(files, run_id=run_id, task_id="items_light_v1")),
        (alice, upload(files, run_id=run_id, limit="1")),
        (bob, upload(files, run_id=run_id)),
    ]
    for client, other in others:
        error = error_of(client.post(UPLOAD, **other), 409, "conflict")
        assert first["artifact_rel"] not in str(error)
    assert model.calls().calls == 2


def test_the_same_batch_sent_twice_at_once_is_executed_once(alice, model, new_id):
    request, answers = upload(images(3), run_id=new_id()), []

    def send():
        answers.append(succeeded(alice.post(UPLOAD, **request)))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert model.calls().calls == 3


def test_an_idempotency_key_names_a_batch_without_a_run_id(alice, model, new_id):
    header, request = {"Idempotency-Key": new_id()}, upload(images(1))
    first = succeeded(alice.post(UPLOAD, **request, headers=header))
    assert succeeded(alice.post(UPLOAD, **request, headers=header)) == first
    error_of(alice.post(UPLOAD, **upload(images(1)), headers=header), 409)


def test_ground_truth_that_comes_with_an_upload_scores_it(alice, model, new_id):
    truth = [{"image": "000.png", "total": "1.00"}, {"image": "001.png", "total": "2.00"}]
    answer = uploaded(alice, images(2), gt_json=json.dumps(truth), gt_image_key="image")
    assert answer["eval"]["summary"]["scored_count"] == 2
    request = upload(images(1))
    request["files"].append(("gt", ("gt.json", b'{"000.png": {"total": "1.00"}}', "application/json")))
    assert succeeded(alice.post(UPLOAD, **request))["eval"]["summary"]["scored_count"] == 1
    for gt in ("{", '[{"file": "elsewhere.png"}]', "[]"):
        error_of(alice.post(UPLOAD, **upload(images(1), gt_json=gt)), 422, "ground_truth_error")
    assert model.calls().calls == 3


def test_ground_truth_on_the_service_s_disk_is_for_debuggers(alice, dora, model, service, folder):
    name = folder(1)
    (service.data / name / "gt.json").write_text('[{"image": "000.png", "total": "1.00"}]')
    body = {"task_id": TASK, "images_dir": name, "gt_path": f"{name}/gt.json", "gt_image_key": "image"}
    error_of(alice.post(FOLDER, json=body), 403, "forbidden")
    assert succeeded(dora.post(FOLDER, json=body))["eval"]["summary"]["scored_count"] == 1
    for path in ("../gt.json", "/etc/passwd", f"{name}/none.json", name):
        error = error_of(dora.post(FOLDER, json=body | {"gt_path": path}), 422, "validation_error")
        assert error["details"]["errors"][0]["loc"] == ["body", "gt_path"]


def test_a_rerun_pays_only_for_what_changed(alice, dora, model, new_id):
    first = uploaded(alice, images(3))
    body = {"run_id": first["run_id"]}
    again = succeeded(alice.post(RERUN, json=body | {"new_run_id": new_id()}))
    assert (again["source_run_id"], again["reused_count"], model.calls().calls) == (first["run_id"], 3, 3)
    for item, origin in zip(again["items"], first["items"], strict=True):
        assert (item["file"], item["parsed"], item["reused_from"]) == (
            origin["file"],
            origin["parsed"],
            origin["artifact_rel"],
        )
        assert item["request_id"] != origin["request_id"]
    paid = succeeded(alice.post(RERUN, json=body | {"reuse_results": False}))
    assert (paid["reused_count"], model.calls().calls) == (0, 6)
    other = succeeded(alice.post(RERUN, json=body | {"task_id": "items_light_v1"}))
    assert (other["task_id"], other["reused_count"], model.calls().calls) == ("items_light_v1", 0, 9)
    error_of(alice.post(RERUN, json=body | {"debug": {"temperature": 0.5}}), 403)


def test_only_what_failed_is_run_again(alice, model):
    model.script(None, refusal(400, "Failed to load image"), None)
    first = uploaded(alice, images(3), concurrency="1")
    assert (first["ok_count"], first["error_count"]) == (2, 1)
    again = succeeded(alice.post(RERUN, json={"run_id": first["run_id"], "only_failed": True}))
    assert [item["file"] for item in again["items"]] == ["001.png"]
    assert (again["ok_count"], again["only_failed"]) == (1, True)
    error_of(alice.post(RERUN, json={"run_id": again["run_id"], "only_failed": True}), 422, "validation_error")


def test_a_batch_of_which_nothing_came_says_failed_and_why(alice, model, service):
    model.script(*[server_error()] * 40)
    answer = uploaded(alice, images(3))
    assert (answer["status"], answer["ok_count"], answer["error_count"]) == ("failed", 0, 3)
    assert "None of 3 images" in answer["status_reason"]
    assert {item["error"]["code"] for item in answer["items"]} == {"backend_unavailable"}
    model.reset()
    again = succeeded(alice.post(RERUN, json={"run_id": answer["run_id"], "only_failed": True}))
    assert (again["status"], again["ok_count"]) == ("succeeded", 3)


def test_another_key_s_run_cannot_be_run_again_nor_told_from_none(alice, bob, root, model, new_id):
    run_id = uploaded(alice, images(1))["run_id"]
    refusals = {name: error_of(bob.post(RERUN, json={"run_id": name}), 404)["message"] for name in (run_id, new_id())}
    assert len({message.replace(name, "") for name, message in refusals.items()}) == 1
    assert succeeded(root.post(RERUN, json={"run_id": run_id}))["ok_count"] == 1


def test_an_earlier_run_is_looked_for_no_further_back_than_asked(alice, model):
    first = uploaded(alice, images(1))
    day = first["artifact_rel"].split("/")[1]
    body = {"run_id": first["run_id"], "max_days": 2}
    assert succeeded(alice.post(RERUN, json=body | {"batch_date": day}))["reused_count"] == 1
    error_of(alice.post(RERUN, json=body | {"batch_date": "2020-01-01"}), 404)


def test_files_that_are_not_to_be_kept_are_gone_and_a_rerun_says_so(alice, model, service, new_id):
    files = images(2)
    answer = uploaded(alice, files, persist_inputs="false", run_id=new_id())
    assert [item["input_ref"] for item in answer["items"]] == [None, None]
    assert answer["ok_count"] == 2
    for data in files.values():
        digest = hashlib.sha256(data).hexdigest()
        wait_until(lambda digest=digest: not list((service.home / "artifacts").rglob(f"{digest}*")))
    error = error_of(alice.post(RERUN, json={"run_id": answer["run_id"]}), 422, "image_set_error")
    assert "not kept" in error["message"]
    assert uploaded(alice, files, persist_inputs="false", run_id=answer["run_id"]) == answer


def test_files_sent_before_the_word_that_they_are_not_to_be_kept_are_refused(alice, model):
    parts = [("files", (name, new_image() + bytes(200_000), "image/png")) for name in ("a.png", "b.png")]
    parts += [(name, (None, value)) for name, value in (("task_id", TASK), ("persist_inputs", "false"))]
    error = error_of(alice.post(UPLOAD, files=parts), 422, "validation_error")
    assert "before" in error["message"]
    assert model.calls().calls == 0


def test_a_batch_that_is_too_long_to_wait_for_is_sent_to_the_async_endpoint(alice, model, service, new_id):
    name = new_id("many")
    tiny_images(service.data / name, 101)
    error = error_of(alice.post(FOLDER, json={"task_id": TASK, "images_dir": name}), 413, "payload_too_large")
    assert "/v1/batch_extract_async" in error["message"]
    many = {f"{number}.png": b"x" for number in range(101)}
    error = error_of(alice.post(UPLOAD, **upload(many)), 413, "payload_too_large")
    assert "/v1/batch_extract_upload_async" in error["message"]
    assert succeeded(alice.post(FOLDER, json={"task_id": TASK, "images_dir": name, "limit": 2}))["ok_count"] == 2
