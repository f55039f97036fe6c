"""What batches may be given: names, globs, ids, numbers and files, of which what is none is refused at once or told."""

import pytest

from tests.support.job_requests import slow
from tests.support.receipts import tiny_images
from tests.support.requests import TASK, error_of, new_image, succeeded, upload

FOLDER, UPLOAD, RERUN = "/v1/batch_extract", "/v1/batch_extract_upload", "/v1/batch_extract_rerun"

# --- batch items


def test_equal_base_names_in_different_folders_stay_apart_and_in_order(alice, model, service, new_id):
    model.script(*slow(1, 300))  # the first image's answer comes last
    images = {f"{folder}/receipt.png": new_image() for folder in ("b", "a", "c")}
    answer = succeeded(alice.post(UPLOAD, **upload(images)))
    assert [item["file"] for item in answer["items"]] == list(images)
    assert len({item["request_id"] for item in answer["items"]}) == 3
    assert len({item["artifact_rel"] for item in answer["items"]}) == 3


def test_files_sent_under_one_name_are_both_there(alice, model):
    files = [("files", ("receipt.png", new_image(), "image/png")) for _ in range(2)]
    answer = succeeded(alice.post(UPLOAD, files=files, data={"task_id": TASK}))
    assert [item["file"] for item in answer["items"]] == ["receipt.png", "receipt (2).png"]
    assert len(model.calls().images) == 2


# --- file names


@pytest.mark.parametrize("name", ["/etc/passwd", "../../up.png", "a/../../b.png"])
def test_an_upload_named_like_a_path_of_the_server_is_refused(alice, model, name):
    error = error_of(alice.post(UPLOAD, **upload({name: new_image()})), 422, "validation_error")
    assert error["details"]["errors"][0]["loc"] == ["body", "files"]


@pytest.mark.parametrize("glob", ["../../x/*", "/etc/*", "a**b", "**/../*", "", "x" * 300, "**/" * 9 + "*", "\n"])
def test_a_glob_that_is_none_or_leaves_its_folder_is_refused(alice, folder, glob):
    error_of(alice.post(FOLDER, json={"task_id": TASK, "images_dir": folder(1), "glob": glob}), 422, "validation_error")


@pytest.mark.parametrize("images_dir", ["/etc", "..", "../..", "nowhere", "~root", "~nobody-such", "a" * 300, "x/\n"])
def test_a_folder_outside_the_root_or_missing_is_refused_without_naming_the_root(alice, service, images_dir):
    response = alice.post(FOLDER, json={"task_id": TASK, "images_dir": images_dir})
    error = error_of(response, 422, "validation_error")
    assert error["details"]["errors"][0]["loc"] == ["body", "images_dir"]
    assert str(service.data.parent) not in response.text


def test_a_link_out_of_the_root_is_no_way_out(alice, service, folder, tmp_path):
    tiny_images(tmp_path / "elsewhere", 1)
    name = folder(1)
    (service.data / name / "link.png").symlink_to(tmp_path / "elsewhere" / "000.png")
    (service.data / f"{name}-link").symlink_to(tmp_path / "elsewhere")
    answer = succeeded(alice.post(FOLDER, json={"task_id": TASK, "images_dir": name}))
    assert [item["file"] for item in answer["items"]] == ["000.png"]
    error_of(alice.post(FOLDER, json={"task_id": TASK, "images_dir": f"{name}-link"}), 422)


# --- ids and numbers


@pytest.mark.parametrize("run_id", ["a\n", "../../x", "a/b", "x" * 300, "-a", "a b", "é"])
def test_a_run_id_that_is_none_is_refused_and_writes_nothing(alice, model, service, folder, run_id):
    before = sorted((service.home / "artifacts" / "image_sets").rglob("*"))
    error_of(alice.post(UPLOAD, **upload(run_id=run_id)), 400, "input_error")
    assert sorted((service.home / "artifacts" / "image_sets").rglob("*")) == before
    error_of(alice.post(FOLDER, json={"task_id": TASK, "images_dir": folder(1), "run_id": run_id}), 400)
    error_of(alice.post(RERUN, json={"run_id": run_id}), 400)
    assert model.calls().calls == 0


@pytest.mark.parametrize("number", [0, -1, 33, 10**30, 1.5, "x", True])
def test_a_concurrency_or_limit_that_is_none_is_refused_at_once(alice, model, folder, number):
    body = {"task_id": TASK, "images_dir": folder(1)}
    error_of(alice.post(FOLDER, json=body | {"concurrency": number}), 422, "validation_error")
    error_of(alice.post(UPLOAD, **upload(concurrency=str(number))), 422, "validation_error")
    error_of(alice.post(RERUN, json={"run_id": "x", "concurrency": number}), 404 if number == 33 else 422)
    if number != 33:
        error_of(alice.post(FOLDER, json=body | {"limit": number}), 422, "validation_error")
        error_of(alice.post(UPLOAD, **upload(limit=str(number))), 422, "validation_error")
    assert model.calls().calls == 0


def test_a_task_that_is_none_is_refused_before_anything_is_kept(alice, model, folder):
    for task in ("no_such_task", "../x"):
        error_of(alice.post(FOLDER, json={"task_id": task, "images_dir": folder(1)}), 422, "validation_error")
        error_of(alice.post(UPLOAD, **upload(task_id=task)), 422, "validation_error")


# --- silent nothing


def test_empty_and_text_files_are_items_with_their_error(alice, model):
    answer = succeeded(alice.post(UPLOAD, **upload({"a.png": new_image(), "empty.png": b"", "text.jpg": b"hello"})))
    assert (answer["item_count"], answer["ok_count"], answer["error_count"]) == (3, 1, 2)
    assert [item["error"] and item["error"]["code"] for item in answer["items"]] == [None, "image_error", "image_error"]
    assert model.calls().calls == 1


def test_an_upload_of_nothing_is_refused_in_words(alice, model):
    error = error_of(alice.post(UPLOAD, **upload({"a.png": b"", "b.png": b""})), 422, "image_set_error")
    assert "a.png, b.png" in error["message"]
    boundary = '--b\r\nContent-Disposition: form-data; name="task_id"\r\n\r\nreceipt_fields_v1\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    error_of(alice.post(UPLOAD, content=boundary, headers=headers), 422, "image_set_error")


def test_an_empty_folder_is_refused(alice, service, folder):
    (service.data / "bare").mkdir(exist_ok=True)
    error_of(alice.post(FOLDER, json={"task_id": TASK, "images_dir": "bare"}), 422, "validation_error")
    error_of(alice.post(FOLDER, json={"task_id": TASK, "images_dir": folder(1), "glob": "*.tiff"}), 422)
