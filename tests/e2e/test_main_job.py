"""Import, run, evaluate: the main job from the command line, and how it ends when something is wrong."""

import json

import orjson

from tests.support.openai_server import openai_server
from tests.support.receipts import receipt, tiny_images
from tests.support.waiting import wait_until
from tests.support.workers import only_worker

RECEIPT = [
    "Kedai Kopi Maju",
    "Nasi Lemak\t8.50",
    "SUBTOTAL\t8.50",
    "TAX\t0.50",
    "TOTAL\t9.00",
    "CASH\t10.00",
    "CHANGE\t1.00",
]


def test_receipts_are_imported_read_and_scored_and_one_document_says_so(workplace):
    images = workplace.data / "images"
    for folder in ("morning", "evening"):
        (images / folder).mkdir(parents=True)
    (images / "morning" / "1.png").write_bytes(receipt(RECEIPT))
    (images / "evening" / "1.png").write_bytes(receipt([*RECEIPT[:4], "TOTAL\t19.00"]))
    (images / "morning" / "again.png").write_bytes(receipt(RECEIPT))
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    truth = {
        "a": {"file": "x/morning/1.png", "total": 9.0, "cash": "10.00", "tax": "0.50"},
        "b": {"file": "x/evening/1.png", "total": "19.00"},
        "c": {"file": "broken.jpg", "total": "5.00"},
    }
    (workplace.data / "gt.json").write_text(json.dumps(truth))
    told = workplace.succeed("import", images, "--name", "shop", "--gt", workplace.data / "gt.json").stderr
    assert "4 images" in told
    inputs = [path for path in (workplace.home / "artifacts" / "inputs").rglob("*") if path.is_file()]
    assert len(inputs) == 3  # the same file twice is one object

    told = workplace.succeed("run", "shop", "--task", "receipt_fields_v1", "--backend", "ocr", "--json")
    run = orjson.loads(told.stdout)

    assert [item["file"] for item in run["items"]] == [
        "broken.jpg",
        "evening/1.png",
        "morning/1.png",
        "morning/again.png",
    ]
    assert len({item["request_id"] for item in run["items"]}) == 4
    assert (run["status"], run["ok_count"], run["error_count"]) == ("succeeded", 3, 1)
    assert run["items"][0]["error"]["code"] == "image_error"
    assert run["items"][2]["parsed"]["total"] == "9.00"
    assert run["eval"]["fields"]["total"]["matched"] == 2
    assert run["eval"]["fields"]["total"]["pred_missing"] == 1
    for rel in (run["artifact_rel"], run["eval"]["eval_artifact_rel"], run["items"][1]["artifact_rel"]):
        assert (workplace.home / "artifacts" / rel).is_file()
    report = run["eval"]["eval_artifact_rel"].replace("evals/", "reports/").replace(".json", ".html")
    assert "broken.jpg" in (workplace.home / "artifacts" / report).read_text()


def test_the_same_import_again_is_the_same_version_and_a_changed_folder_the_next(workplace):
    images = tiny_images(workplace.data / "images", 2)
    assert "version 1" in workplace.here("import", images, "--name", "s").stderr
    assert "version 1" in workplace.here("import", images, "--name", "s").stderr
    tiny_images(images, 3)
    assert "version 2" in workplace.here("import", images, "--name", "s").stderr


def test_a_run_killed_in_mid_batch_is_continued_and_pays_for_no_image_twice(workplace):
    count, concurrency = 40, 4
    workplace.imported(tiny_images(workplace.data / "images", count))
    arguments = ("s", "--task", "receipt_header_v1", "--backend", "vllm", "--concurrency", concurrency)
    with openai_server(latency_ms=200) as server:
        variables = {"VLLM_BASE_URL": server.base_url, "VLLM_MODEL": "test-model"}
        command = workplace.start("run", *arguments, **variables)
        wait_until(lambda: server.calls().calls >= 3 * concurrency)
        only_worker(workplace.environment["DATABASE_URL"]).kill()
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 1
        assert "was killed by SIGKILL" in errors
        before = {path: path.read_bytes() for path in workplace.artifacts("extracts")}
        assert len(before) >= concurrency

        run = workplace.run_json(*arguments, **variables)

        calls = server.calls()
    assert run["ok_count"] == count
    assert run["reused_count"] == len(before)
    assert {path: path.read_bytes() for path in before} == before
    assert len(workplace.artifacts("extracts")) == count
    assert len(workplace.artifacts("batches")) == 1
    assert len(calls.images) == count
    # Calls that were in flight when the process died are the only ones made again.
    assert calls.calls - count <= concurrency
    assert max(calls.images.values()) <= 2


def test_a_cancelled_run_keeps_what_is_done_says_so_and_is_continued(workplace):
    count = 40
    workplace.imported(tiny_images(workplace.data / "images", count))
    arguments = ("s", "--task", "receipt_header_v1", "--backend", "vllm", "--concurrency", 4)
    with openai_server(latency_ms=200) as server:
        variables = {"VLLM_BASE_URL": server.base_url, "VLLM_MODEL": "test-model"}
        command = workplace.start("run", *arguments, **variables)
        wait_until(lambda: server.calls().calls >= 8)
        command.send_signal(2)
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 1
        assert "Cancelled; what was done is kept" in errors
        (artifact,) = workplace.artifacts("batches")
        canceled = orjson.loads(artifact.read_bytes())
        assert canceled["status"] == "canceled"
        assert 0 < canceled["ok_count"] < count
        assert canceled["ok_count"] + canceled["pending_count"] == count

        run = workplace.run_json(*arguments, **variables)

        assert run["ok_count"] == count
        assert run["resumed_from"] == canceled["run_id"]
        assert set(server.calls().images.values()) == {1}


def test_a_run_whose_model_is_down_fails_in_words_and_succeeds_once_it_is_up(workplace):
    workplace.imported(tiny_images(workplace.data / "images", 3))
    arguments = ("s", "--task", "receipt_header_v1", "--backend", "vllm")
    patience = {"VLLM_RETRY_BASE_S": "0.01", "VLLM_RETRY_MAX_ATTEMPTS": "2", "VLLM_MODEL": "test-model"}
    message = workplace.refused("run", *arguments, **patience, VLLM_BASE_URL="http://127.0.0.1:9/v1")
    assert "VLLM_BASE_URL" in message
    assert "http://127.0.0.1:9" in message
    with openai_server() as server:
        run = workplace.run_json(*arguments, **patience, VLLM_BASE_URL=server.base_url)
    assert run["ok_count"] == 3


def test_a_base_url_without_v1_stops_the_batch_at_once_and_says_what_is_missing(workplace):
    workplace.imported(tiny_images(workplace.data / "images", 50))
    with openai_server() as server:
        base_url = server.base_url.removesuffix("/v1")
        message = workplace.refused(
            "run", "s", "--task", "receipt_header_v1", "--backend", "vllm", "--concurrency", 2, VLLM_BASE_URL=base_url
        )
        assert "/v1" in message
    assert len(workplace.artifacts("extracts")) < 10


def test_a_named_run_asked_for_again_is_the_same_run(workplace):
    workplace.imported(tiny_images(workplace.data / "images", 2))
    first = workplace.run_json("s", "--task", "receipt_fields_v1", "--run-id", "mine")
    again = workplace.run_json("s", "--task", "receipt_fields_v1", "--run-id", "mine")
    assert again == first
    message = workplace.refused("run", "s", "--task", "receipt_fields_v1", "--run-id", "mine", "--limit", 1)
    assert "'mine' is in use" in message


def test_the_index_is_rebuilt_from_the_artifacts(workplace, empty_database_url):
    workplace.imported(tiny_images(workplace.data / "images", 2))
    run = workplace.run_json("s", "--task", "receipt_fields_v1", "--run-id", "mine")
    done = workplace.here("reindex", DATABASE_URL=empty_database_url)
    assert (done.returncode, "3 index rows added" in done.stderr) == (0, True)
    assert run["item_count"] == 2
    broken = workplace.artifacts("extracts")[0]
    broken.write_text("{")
    done = workplace.here("reindex")
    assert done.returncode == 1
    assert f"unreadable: {broken} is not JSON" in done.stderr


def test_a_task_is_added_by_a_folder(workplace):
    folder = workplace.data / "tasks" / "invoice_v1"
    folder.mkdir(parents=True)
    (folder / "prompt.txt").write_text("Read the invoice.")
    (folder / "task.toml").write_text('description = "Invoices"')
    (folder / "schema.json").write_text(
        '{"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}'
    )
    workplace.imported(tiny_images(workplace.data / "images", 1))
    run = workplace.run_json("s", "--task", "invoice_v1", OCRLTY_TASKS_DIR=str(folder.parent))
    assert run["items"][0]["schema_valid"] is True
    (folder / "schema.json").write_text('{"type": "object", "properties": ')
    assert str(folder / "schema.json") in workplace.refused(
        "run", "s", "--task", "invoice_v1", OCRLTY_TASKS_DIR=str(folder.parent)
    )


def test_without_a_database_the_embedded_one_is_started_and_stopped_again(workplace):
    del workplace.environment["DATABASE_URL"]
    tiny_images(workplace.data / "images", 1)
    workplace.succeed("import", workplace.data / "images", "--name", "s")
    told = workplace.succeed("run", "s", "--task", "receipt_fields_v1", "--json")
    assert orjson.loads(told.stdout)["ok_count"] == 1
    assert not (workplace.home / "postgres" / "postmaster.pid").exists()
