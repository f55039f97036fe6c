"""What batches of an earlier implementation got wrong, each seen on a running service: none of it may be true here."""

import contextlib
import statistics
import threading
import time

import httpx2
import psutil
import psycopg
import pytest

from ocrlty_pipeline.orchestration.warm.identity import ProcessIdentity
from tests.support.jobs import slow
from tests.support.openai_answers import server_error
from tests.support.receipts import tiny_images
from tests.support.requests import TASK, error_of, new_image, succeeded, upload
from tests.support.waiting import wait_until

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


# --- all failed


def test_a_batch_of_which_nothing_came_says_failed_and_why(alice, model, service):
    model.script(*[server_error()] * 40)
    answer = succeeded(alice.post(UPLOAD, **upload({f"{n}.png": new_image() for n in range(3)})))
    assert (answer["status"], answer["ok_count"], answer["error_count"]) == ("failed", 0, 3)
    assert "None of 3 images" in answer["status_reason"]
    assert {item["error"]["code"] for item in answer["items"]} == {"backend_unavailable"}
    model.reset()
    again = succeeded(alice.post(RERUN, json={"run_id": answer["run_id"], "only_failed": True}))
    assert (again["status"], again["ok_count"]) == ("succeeded", 3)


# --- disconnect


def test_a_client_that_goes_away_ends_its_batch_and_the_same_request_continues_it(service, alice, model, new_id):
    count = 60
    images = {f"{number:02d}.png": new_image() for number in range(count)}
    request = upload(images, run_id=new_id(), concurrency="2")
    model.script(*slow(count, 200))
    impatient = service.client("alice")
    impatient.timeout = httpx2.Timeout(60.0, read=2.5)
    with pytest.raises(httpx2.ReadTimeout):
        impatient.post(UPLOAD, **request)
    impatient.close()
    wait_until(lambda: list((service.home / "artifacts" / "batches").rglob(f"{request['data']['run_id']}.json")))
    calls = model.calls().calls
    assert 0 < calls < count
    model.reset()
    answer = succeeded(alice.post(UPLOAD, **request))
    assert (answer["status"], answer["ok_count"]) == ("succeeded", count)
    assert model.calls().calls <= count - calls + 2
    assert answer["reused_count"] >= calls - 2


# --- event loop


def test_other_requests_do_not_wait_while_batches_are_extracted(service, alice, bob, model, folder):
    model.script(*slow(200, 20))
    bodies = [{"task_id": TASK, "images_dir": folder(60), "concurrency": 4} for _ in range(2)]
    threads = [threading.Thread(target=alice.post, args=(FOLDER,), kwargs={"json": body}) for body in bodies]
    for thread in threads:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in threads):
        started = time.monotonic()
        succeeded(bob.get("/v1/me"))
        waits.append(time.monotonic() - started)
    assert len(waits) > 10
    assert statistics.median(waits) < 0.15


# --- batch memory, and bounds


def test_more_batches_than_may_wait_are_refused_and_the_others_served(service, model, folder):
    model.script(*slow(60, 400))
    body, statuses = {"task_id": TASK, "images_dir": folder(1)}, []

    def send():
        with contextlib.closing(service.client("alice")) as client:
            statuses.append(client.post(FOLDER, json=body).status_code)

    threads = [threading.Thread(target=send) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 18


def test_an_upload_larger_than_memory_allows_is_never_held_whole(service, alice, model):
    process = psutil.Process(service.api.pid)
    succeeded(alice.post(UPLOAD, **upload()))
    before = process.memory_info().rss
    most = [before]
    stop = threading.Event()

    def watch():
        while not stop.wait(0.02):
            most.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    images = {f"{number}.png": new_image() + bytes(4 * 2**20) for number in range(40)}
    succeeded(alice.post(UPLOAD, **upload(images)))
    stop.set()
    watcher.join()
    assert max(most) - before < 60 * 2**20  # of 160 MiB


# --- restart


def worker_of(service):
    """The process that executes the one run in execution, as the run's own tag names it."""
    with psycopg.connect(service.database_url.replace("+psycopg", "")) as connection:
        query = "SELECT value FROM run_tags JOIN runs USING (run_id) WHERE key = 'ocrlty/worker' AND status = 'STARTED'"
        found = connection.execute(query).fetchall()
    return psutil.Process(ProcessIdentity.from_tag(found[0][0]).pid) if found else None


def test_a_killed_worker_costs_its_client_an_error_and_no_image_twice(service, alice, model, new_id):
    count = 20
    request = upload({f"{n:02d}.png": new_image() for n in range(count)}, run_id=new_id(), concurrency="2")
    answers = []
    model.script(*slow(count, 200))
    thread = threading.Thread(target=lambda: answers.append(alice.post(UPLOAD, **request)))
    thread.start()
    wait_until(lambda: model.calls().calls >= 6)
    worker_of(service).kill()
    thread.join()
    error_of(answers[0], 503, "worker_died")
    answer = succeeded(alice.post(UPLOAD, **request))
    assert (answer["run_id"], answer["ok_count"]) == (request["data"]["run_id"], count)
    assert model.calls().calls <= count + 2
