"""What goes wrong between a remote command and its service is told in one sentence, or waited out."""

import subprocess
import sys

import pytest

from tests.support.requests import new_image
from tests.support.service import ROOT

BUSY = {"error": {"code": "busy", "message": "As many requests wait as may.", "request_id": "r-1", "details": None}}
NO_JOBS = {"items": [], "limit": 20, "next_cursor": None}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "receipt.png"
    path.write_bytes(new_image())
    return path


def refusal(done):
    assert (done.code, done.stdout) == (1, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line.removeprefix("Error: ")


@pytest.mark.parametrize("arguments", [("jobs",), ("runs",), ("extract", "IMAGE", "--task", "t")])
def test_a_service_that_is_away_is_named_with_the_way_out(ocrlty, image, arguments):
    arguments = [str(image) if argument == "IMAGE" else argument for argument in arguments]
    said = refusal(ocrlty(*arguments, OCRLTY_URL="http://127.0.0.1:9"))
    assert said.startswith("The service at http://127.0.0.1:9 cannot be reached: ")
    assert said.endswith("Start it with `ocrlty up`, or set OCRLTY_URL.")


def test_a_wrong_key_and_a_missing_one_are_told_with_the_services_own_words(ocrlty, service):
    said = refusal(ocrlty("runs", OCRLTY_API_KEY="ocr_wrong"))
    assert "(unauthorized, request " in said
    assert said.endswith("Set OCRLTY_API_KEY to your key.")
    assert "ocr_wrong" not in said
    assert "unauthorized" in refusal(ocrlty("jobs", OCRLTY_API_KEY=""))
    assert "copy it again" in refusal(ocrlty("jobs", OCRLTY_API_KEY="schlüssel"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("jobs", "no-such-job"), "not_found"),
        (("jobs", "../runs"), "not_found"),
        (("jobs", "--status", "asleep"), "validation_error"),
        (("jobs", "--wait"), "name it"),
        (("jobs", "--cancel"), "name it"),
        (("runs", "no-such-run"), "not_found"),
        (("runs", "?limit=1"), "input_error"),
        (("extract", "nowhere.png", "--task", "receipt_fields_v1"), "nowhere.png cannot be read"),
        (("batch", "nowhere", "--task", "receipt_fields_v1"), "nowhere is not a folder"),
        (("batch", ".", "--task", "receipt_fields_v1"), "No image in"),
    ],
)
def test_what_cannot_be_used_is_named(ocrlty, arguments, expected):
    assert expected in refusal(ocrlty(*arguments))


def test_an_unknown_task_an_id_in_use_and_a_ground_truth_of_other_files_are_refused(
    ocrlty, image, model, tmp_path, new_id
):
    assert "receipt_v9" in refusal(ocrlty("extract", image, "--task", "receipt_v9"))
    request_id = new_id()
    assert ocrlty("extract", image, "--task", "receipt_fields_v1", "--request-id", request_id).code == 0
    image.write_bytes(new_image())
    assert "conflict" in refusal(ocrlty("extract", image, "--task", "receipt_fields_v1", "--request-id", request_id))
    truth = tmp_path / "truth.json"
    truth.write_text('[{"file": "other.png", "total": "1.00"}]')
    said = refusal(ocrlty("batch", tmp_path, "--task", "receipt_fields_v1", "--gt", truth))
    assert "ground_truth_error" in said
    assert "is no file" in refusal(ocrlty("batch", tmp_path, "--task", "receipt_fields_v1", "--gt", "no.json"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, b"<html>Welcome</html>"), "HTTP 200 from something that is no OCRlty service: '<html>Welcome</html>'"),
        ((404, b"<html>Not here</html>"), "HTTP 404 from something that is no OCRlty service"),
        ((302, b"", {"Location": "https://login.example.org/"}), "HTTP 302 from something that is no OCRlty service"),
        ((400, {"error": "no"}), "HTTP 400 from something that is no OCRlty service"),
    ],
)
def test_another_server_is_recognized(ocrlty, scripted, answer, expected):
    scripted.script(answer)
    assert expected in refusal(ocrlty("jobs", OCRLTY_URL=scripted.url))


def test_an_address_that_is_none_is_refused_by_its_variable(ocrlty):
    assert "OCRLTY_URL" in refusal(ocrlty("jobs", OCRLTY_URL="http://127.0.0.1:99999999"))
    assert "OCRLTY_URL" in refusal(ocrlty("jobs", OCRLTY_URL="localhost:8000"))


def test_what_passes_by_itself_is_asked_again_after_the_pause_that_is_asked_for(ocrlty, scripted, pauses):
    scripted.script((503, BUSY, {"Retry-After": "7"}), (429, BUSY, {"Retry-After": "0"}), (502, b"bad gateway"))
    scripted.script((200, NO_JOBS))
    assert ocrlty("jobs", OCRLTY_URL=scripted.url).code == 0
    assert pauses == [7, 0, 2]
    assert len(scripted.requests) == 4


def test_what_does_not_pass_is_given_up_on_with_the_last_word(ocrlty, scripted, pauses):
    scripted.script(*[(503, BUSY, {"Retry-After": "3600"})] * 5)
    assert "As many requests wait as may. (busy, request r-1)" in refusal(ocrlty("jobs", OCRLTY_URL=scripted.url))
    assert pauses == [60] * 4


def test_an_upload_is_sent_again_whole_under_the_same_run_id(ocrlty, scripted, pauses, image):
    accepted = {"job_id": "j-1", "status": "queued", "poll_url": "/v1/jobs/j-1"}
    scripted.script((503, BUSY, {"Retry-After": "1"}), (202, accepted))
    arguments = ("batch", image.parent, "--task", "t", "--no-wait", "--run-id", "r-1")
    done = ocrlty(*arguments, OCRLTY_URL=scripted.url)
    assert (done.code, done.stdout) == (0, "")
    assert "Follow it with `ocrlty jobs j-1 --wait`; its run is r-1." in done.stderr
    first, second = scripted.requests
    assert first == second
    assert first[1] == "/v1/batch_extract_upload_async"
    assert image.read_bytes() in first[2]


def test_they_load_neither_dagster_nor_the_database():
    code = (
        "import sys\n"
        "from ocrlty_pipeline.cli.app import COMMANDS\n"
        "for name in ('extract', 'batch', 'jobs', 'runs'): COMMANDS[name].load()\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & {'dagster', 'sqlalchemy', 'fastapi', 'pandas'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == ""
