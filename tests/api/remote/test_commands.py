"""`ocrlty extract`, `batch`, `jobs`, `runs` against the running service: what they print, and how they end."""

import json
import signal

import pytest

from ocrlty_pipeline.cli.remote.client import remote_service
from ocrlty_pipeline.cli.remote.multipart import Upload
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.settings import Settings
from tests.support.openai_answers import Answer, completed
from tests.support.requests import error_of, finished, new_image, succeeded
from tests.support.waiting import wait_until

TASK = ("--task", "receipt_fields_v1")
AWKWARD = ['a "quoted" one.png', "%22.png", "sub folder/deeper/x;y=1.png", "日本 é.png", "100%.png"]


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "receipt.png"
    path.write_bytes(new_image())
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of two new images."""
    return filled(tmp_path / "images", ["0.png", "1.png"])


def filled(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(new_image())
    return folder


def test_an_extract_prints_what_was_extracted_and_the_same_id_gives_it_again(ocrlty, image, model, new_id):
    request_id = new_id()
    first = ocrlty("extract", image, *TASK, "--request-id", request_id)
    assert (first.code, first.stderr) == (0, "")
    record = ocrlty("extract", image, *TASK, "--request-id", request_id, "--json").json
    assert (record["request_id"], record["parsed"]) == (request_id, first.json)
    assert model.calls().calls == 1


def test_an_extract_without_a_good_answer_has_an_exit_code_of_its_own(ocrlty, image, model):
    model.script(completed("no JSON at all"))
    failed = ocrlty("extract", image, *TASK)
    assert (failed.code, failed.json) == (3, None)
    assert failed.stderr.startswith("output_not_json: ")
    model.script(completed('{"total": {"amount": 5}}'))
    departed = ocrlty("extract", image, *TASK)
    assert (departed.code, departed.json) == (4, {"total": {"amount": 5}})
    assert departed.stderr.startswith("schema: ")


def test_a_folder_with_awkward_names_comes_back_under_these_names_and_is_scored(ocrlty, tmp_path, model, new_id):
    folder = filled(tmp_path / "images", AWKWARD)
    (folder / "notes.txt").write_text("no image")
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps([{"image": name, "total": "1.00"} for name in AWKWARD]))
    run_id = new_id()
    arguments = ("batch", folder, *TASK, "--run-id", run_id, "--gt", truth, "--gt-image-key", "image", "--json")
    done = ocrlty(*arguments)
    assert done.code == 0, done.stderr
    assert [item["file"] for item in done.json["items"]] == sorted(AWKWARD)
    assert (done.json["run_id"], done.json["ok_count"]) == (run_id, len(AWKWARD))
    assert done.json["eval"]["summary"]["scored_count"] == len(AWKWARD)
    for progress in (f"Sending {len(AWKWARD)} images", f"Extracting {run_id}", f"{len(AWKWARD)}/{len(AWKWARD)}"):
        assert progress in done.stderr
    again = ocrlty(*arguments)
    assert (again.code, again.json) == (0, done.json)
    assert model.calls().calls == len(AWKWARD)


def test_a_run_is_printed_for_people_listed_and_shown(ocrlty, folder, model, new_id):
    run_id = new_id("run-with-a-name-that-is-longer-than-a-narrow-terminal-would-show")
    done = ocrlty("batch", folder, *TASK, "--run-id", run_id, "--concurrency", "1")
    assert done.code == 0, done.stderr
    assert run_id in done.stdout
    assert "2: 2 ok, 0 errors" in done.stdout
    listed = ocrlty("runs", "--task", "receipt_fields_v1", "--limit", "5", COLUMNS="40")
    (line,) = [line for line in listed.stdout.splitlines() if run_id in line]
    assert line.split()[-3:] == ["2", "0", "-"]
    assert ocrlty("runs", run_id).json["concurrency"] == 1


def test_a_job_that_nobody_waits_for_is_listed_followed_and_shown(ocrlty, folder, model, new_id):
    done = ocrlty("batch", folder, *TASK, "--run-id", new_id(), "--no-wait")
    assert (done.code, done.stdout) == (0, "")
    job_id = done.stderr.partition("`ocrlty jobs ")[2].partition(" ")[0]
    followed = ocrlty("jobs", job_id, "--wait")
    assert (followed.code, followed.json["status"]) == (0, "succeeded")
    assert f"Job {job_id}" in followed.stderr
    (line,) = [line for line in ocrlty("jobs", COLUMNS="40").stdout.splitlines() if job_id in line]
    assert line.split()[1:3] == ["batch_extract_upload", "succeeded"]
    assert line.rstrip().endswith("2 of 2")
    assert ocrlty("jobs", job_id).json == followed.json
    assert job_id not in ocrlty("jobs", "--status", "failed").stdout
    canceled = ocrlty("jobs", job_id, "--cancel")
    assert (canceled.code, canceled.json["status"]) == (0, "succeeded")
    assert f"Job {job_id} is asked to stop." in canceled.stderr


def test_a_job_that_fails_ends_with_1_and_its_reason(ocrlty, folder, model):
    model.script(*[completed("no JSON at all")] * 2)
    done = ocrlty("batch", folder, *TASK, "--json")
    assert (done.code, done.stdout) == (1, "")
    assert " is failed: " in done.stderr


def test_ctrl_c_while_waiting_ends_the_command_and_not_the_job(start, folder, model, alice, new_id):
    model.script(*[Answer(503, delay_ms=4000)] * 2)
    run_id = new_id()
    process = start("batch", folder, *TASK, "--run-id", run_id)
    job = {}

    def is_running():
        assert process.poll() is None, process.communicate()
        jobs = succeeded(alice.get("/v1/jobs", params={"limit": 5}))["items"]
        job.update(next((job for job in jobs if job["request"].get("run_id") == run_id), {}))
        return job.get("status") == "running"

    wait_until(is_running)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert f"Not waited for: see `ocrlty jobs {job['job_id']} --wait`" in said
    assert "Traceback" not in said
    assert finished(alice, job["job_id"])["status"] == "succeeded"
    assert succeeded(alice.get(f"/v1/runs/{run_id}"))["ok_count"] == 2


def test_ctrl_c_in_an_extract_ends_it_without_a_traceback(start, image, model):
    model.script(Answer(503, delay_ms=5000))
    before = model.calls().calls
    process = start("extract", image, *TASK)
    wait_until(lambda: model.calls().calls > before)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode not in {0, None}
    assert (out, "Traceback" in said) == ("", False)


@pytest.mark.parametrize("content", [b"longer than it was" * 1000, b"", None])
def test_a_file_that_changes_while_it_is_sent_is_named_and_nothing_is_begun(service, alice, folder, new_id, content):
    run_id = new_id()
    files = [("files", path.name, path) for path in sorted(folder.iterdir())]
    upload = Upload({"task_id": "receipt_fields_v1", "run_id": run_id}, files)
    path, before = files[1][2], files[1][2].read_bytes()
    path.unlink() if content is None else path.write_bytes(content)
    settings = Settings(_env_file=None, ocrlty_url=service.url, ocrlty_api_key=service.keys["alice"])
    with remote_service(settings) as remote:
        with pytest.raises(InputError, match=r"1\.png (changed|cannot be read)"):
            remote.send("/v1/batch_extract_upload", upload.body, upload.headers)
        error_of(alice.get(f"/v1/runs/{run_id}"), 404)
        path.write_bytes(before)
        assert remote.send("/v1/batch_extract_upload", upload.body, upload.headers)["ok_count"] == 2


def test_a_name_that_is_no_text_is_refused_before_anything_is_sent(folder):
    with pytest.raises(InputError, match="not UTF-8"):
        Upload({}, [("files", "caf\udce9.png", folder / "0.png")])
