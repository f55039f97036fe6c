"""POST /v1/extract: one image, one record, one answer."""

import base64
import hashlib
import socket
import threading

import orjson

from tests.support.metrics import extracts_under_way
from tests.support.openai_answers import Answer, completed, server_error
from tests.support.receipts import tiny_image
from tests.support.requests import error_of, extract_body, new_image, succeeded
from tests.support.waiting import wait_until

PATH = "/v1/extract"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def extract(client, status=200, **changes):
    response = client.post(PATH, json=extract_body(**changes))
    return succeeded(response) if status == 200 else error_of(response, status)


def test_an_image_becomes_json_and_a_record_without_any_of_its_bytes(alice, model, service, new_id):
    image, request_id = new_image(), new_id()
    answer = extract(alice, image=image, request_id=request_id)
    assert (answer["request_id"], answer["task_id"], answer["raw"]) == (request_id, "receipt_fields_v1", None)
    assert (answer["error"], answer["schema_valid"], answer["schema_errors"]) == (None, True, None)
    assert model.calls().images == {hashlib.sha256(image).hexdigest(): 1}
    stored = service.artifact(answer["artifact_rel"]).read_bytes()
    assert base64.b64encode(image)[:64] not in stored
    record = orjson.loads(stored)
    assert record["auth"] == {"key_id": "alice", "role": "client", "scopes": ["extract:run"]}
    assert record["input"]["image_base64_len"] == len(base64.b64encode(image))
    assert record["input"]["image_sha256"] == hashlib.sha256(image).hexdigest()
    assert record["dagster_run_id"]


def test_without_a_request_id_one_is_made(alice, model):
    assert extract(alice)["request_id"] != extract(alice)["request_id"]


def test_the_same_request_again_gives_what_is_there_and_asks_no_model(alice, model, new_id):
    body = extract_body(request_id=new_id())
    first = succeeded(alice.post(PATH, json=body))
    assert succeeded(alice.post(PATH, json=body)) == first
    assert model.calls().calls == 1


def test_an_idempotency_key_names_a_request_of_its_own_key_only(alice, bob, model, new_id):
    body, header = extract_body(), {"Idempotency-Key": new_id()}
    first = succeeded(alice.post(PATH, json=body, headers=header))
    assert succeeded(alice.post(PATH, json=body, headers=header)) == first
    assert succeeded(bob.post(PATH, json=body, headers=header))["request_id"] != first["request_id"]
    error_of(alice.post(PATH, json=extract_body(), headers=header), 409)


def test_an_id_in_use_with_other_content_is_a_conflict_that_shows_nothing(alice, bob, dora, model, service, new_id):
    body = extract_body(request_id=new_id())
    first = succeeded(alice.post(PATH, json=body))
    before = service.artifact(first["artifact_rel"]).read_bytes()
    others = [
        (alice, extract_body(request_id=first["request_id"])),
        (alice, body | {"task_id": "items_light_v1"}),
        (bob, body),
        (dora, body | {"debug": {"temperature": 0.5}}),
    ]
    for client, other in others:
        error = error_of(client.post(PATH, json=other), 409, "conflict")
        assert first["artifact_rel"] not in str(error)
    assert service.artifact(first["artifact_rel"]).read_bytes() == before
    assert model.calls().calls <= 1 + len(others)


def test_overrides_are_content_too(dora, model, new_id):
    body = extract_body(request_id=new_id(), debug={"temperature": 0.5})
    succeeded(dora.post(PATH, json=body))
    succeeded(dora.post(PATH, json=body))
    error_of(dora.post(PATH, json=body | {"debug": {"temperature": 0.6}}), 409)
    error_of(dora.post(PATH, json=body | {"debug": None}), 409)


def test_a_bad_request_id_is_refused_with_400_and_writes_nothing(alice, model, service):
    for bad in ("", "../x", "a/b", "a\n", "a" * 129, ".a", "ä", "a b", "-a"):
        error_of(alice.post(PATH, json=extract_body(request_id=bad)), 400, "input_error")
    assert model.calls().calls == 0
    assert not list(service.home.parent.glob("x*"))


def test_every_field_at_fault_is_named(alice, model):
    error = extract(alice, 422, task_id=None, mime_type=5, unknown=1)
    assert error["code"] == "validation_error"
    named = {(entry["type"], *entry["loc"]) for entry in error["details"]["errors"]}
    assert named == {
        ("missing", "body", "task_id"),
        ("string_type", "body", "mime_type"),
        ("extra_forbidden", "body", "unknown"),
    }
    error = extract(alice, 422, task_id="no_such_task")
    assert error["details"]["errors"][0]["loc"] == ["body", "task_id"]
    assert "receipt_fields_v1" in error["message"]


def test_exactly_one_image_must_be_given(alice, model):
    assert "none is given" in extract(alice, 422, image_base64=None)["message"]
    error = extract(alice, 422, image_ref="inputs/alice/aa/bb/x.png")
    assert "image_base64 and image_ref" in error["message"]
    assert len(orjson.dumps(error)) < 2000


def test_what_is_not_base64_of_an_image_is_refused_before_anything_runs(alice, model):
    encoded = base64.b64encode(new_image()).decode()
    text = base64.b64encode(b"TOTAL 9.00, thank you").decode()
    for bad in (
        "",
        "x",
        encoded[:-2],
        f"data:image/png;base64,{encoded}",
        f" {encoded}",
        f"{encoded[:60]}\n{encoded[60:]}",
        text,
    ):
        error = extract(alice, 422, image_base64=bad)
        assert error["details"]["errors"][0]["loc"] == ["body", "image_base64"]
    assert model.calls().calls == 0


def test_a_broken_image_of_a_known_type_is_a_record_with_its_error(alice, model, service, new_id):
    body = extract_body(image=new_image()[:60], request_id=new_id())
    answer = succeeded(alice.post(PATH, json=body))
    assert answer["error"]["code"] == "image_error"
    assert answer["parsed"] is None
    assert service.artifact(answer["artifact_rel"]).exists()
    assert succeeded(alice.post(PATH, json=body)) == answer
    assert model.calls().calls == 0


def test_an_image_of_too_many_pixels_is_a_record_with_its_error(alice, model):
    # A bomb: a header that announces 100,000 x 100,000 pixels.
    image = bytearray(new_image())
    image[16:24] = (100_000).to_bytes(4) * 2
    assert extract(alice, image=bytes(image))["error"]["code"] == "image_error"
    assert model.calls().calls == 0


def test_the_models_image_has_the_type_of_its_content_whatever_the_client_says(alice, model, service):
    answer = extract(alice, mime_type='image/jpeg;base64,x" onload="')
    assert model.calls().last["image"][0] == "image/png"
    record = orjson.loads(service.artifact(answer["artifact_rel"]).read_bytes())
    assert record["input"]["mime_type"] == "image/png"


def test_a_failed_inference_is_200_with_the_error_and_an_artifact(alice, model, service):
    model.script(*[server_error()] * 4)
    answer = extract(alice)
    assert (answer["error"]["code"], answer["parsed"]) == ("backend_unavailable", None)
    assert len(answer["error_history"]) == 3
    assert service.artifact(answer["artifact_rel"]).exists()


def test_an_answer_that_departs_from_the_schema_is_told_field_by_field(alice, model):
    model.script(completed('{"total": 5}'))
    answer = extract(alice)
    assert answer["schema_valid"] is False
    assert {error["path"] for error in answer["schema_errors"]} >= {"$.total"}


def test_raw_is_for_who_may_read_it(alice, dora, root, model):
    for client in (alice, dora, root):
        model.script(completed('{"a": "word for word"}'))
        raw = extract(client)["raw"]
        assert raw == ('{"a": "word for word"}' if client is root else None)


# --- image_ref


def test_a_ref_to_ones_own_input_is_extracted(alice, root, service, model):
    image = new_image()
    ref = keep_input(service, "alice", image)
    for client in (alice, root):
        answer = extract(client, image_base64=None, image_ref=ref)
        record = orjson.loads(service.artifact(answer["artifact_rel"]).read_bytes())
        assert record["input"]["image_ref"] == ref
    assert model.calls().images == {hashlib.sha256(image).hexdigest(): 2}


def test_another_keys_input_is_not_found_exactly_like_one_that_is_not_there(bob, service, model):
    there = keep_input(service, "alice", new_image())
    nowhere = f"inputs/alice/{'0' * 2}/{'0' * 2}/{'0' * 64}.png"
    messages = {
        extract(bob, 404, image_base64=None, image_ref=ref)["message"].replace(ref, "") for ref in (there, nowhere)
    }
    assert len(messages) == 1
    own = nowhere.replace("alice", "bob")
    assert extract(bob, 404, image_base64=None, image_ref=own)["code"] == "not_found"
    assert model.calls().calls == 0


def test_a_ref_reads_nothing_but_inputs(alice, root, service, model):
    made = extract(alice)["artifact_rel"]
    ref = keep_input(service, "alice", new_image())
    (service.home / "secret.png").write_bytes(new_image())
    outside = [
        "../secret.png",
        "inputs/alice/../../../secret.png",
        "inputs/../../secret.png",
        str(service.home / "secret.png"),
        "/etc/passwd",
        "file:///etc/passwd",
        "inputs",
        "inputs/alice",
        "inputs/alice/",
        f"/{ref}",
        f"{ref}/",
        f"{ref}\n",
        ref.replace("/", "\\"),
        ref.replace("/", "//"),
        made,
        "..%2fsecret.png",
        "",
    ]
    for client in (alice, root):
        for bad in outside:
            assert extract(client, 422, image_base64=None, image_ref=bad)["code"] == "validation_error"
    assert model.calls().calls == 1


def keep_input(service, owner, image):
    digest = hashlib.sha256(image).hexdigest()
    ref = f"inputs/{owner}/{digest[:2]}/{digest[2:4]}/{digest}.png"
    path = service.artifact(ref)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image)
    return ref


# --- debug


def test_a_debugger_changes_prompt_schema_and_parameters_for_one_request(dora, model, service):
    debug = {"prompt_override": "Read it.", "schema_override": SCHEMA, "temperature": 0.5, "max_tokens": 77}
    answer = extract(dora, debug=debug)
    call = model.calls().last["body"]
    assert call["messages"][0]["content"][0]["text"] == "Read it."
    assert (call["temperature"], call["max_tokens"]) == (0.5, 77)
    assert set(answer["parsed"]) == {"a"}
    assert answer["meta"]["max_tokens_effective"] == 77
    plain = extract(dora)
    for digest in ("prompt_sha256", "schema_sha256"):
        assert answer[digest] != plain[digest]
    record = orjson.loads(service.artifact(answer["artifact_rel"]).read_bytes())
    assert (record["temperature"], record["max_tokens"]) == (0.5, 77)
    assert record["input"]["overrides"]["prompt"] == "Read it."


def test_debug_options_need_the_scope(alice, model):
    assert extract(alice, 403, debug={"temperature": 0.5})["details"] == {"missing_scope": "debug:run"}
    assert extract(alice, 403, image_base64=None, image_url="http://example.org/a.png")["code"] == "forbidden"
    assert model.calls().calls == 0


def test_debug_options_that_cannot_work_are_refused(dora, model):
    bad = [
        {"temperature": 3},
        {"temperature": "warm"},
        {"max_tokens": 0},
        {"prompt_override": ""},
        {"schema_override": []},
        {"schema_override": {"type": "array"}},
        {"schema_override": {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}},
        {"schema_override": {"type": "object", "properties": {"a": {"pattern": "("}}}},
        {"promt_override": "x"},
    ]
    for debug in bad:
        error = extract(dora, 422, debug=debug)
        assert error["details"]["errors"][0]["loc"][:2] == ["body", "debug"]
    assert model.calls().calls == 0


def test_a_schema_that_refers_to_itself_without_end_costs_one_record_and_no_server(dora, alice, model):
    response = dora.post(PATH, json=extract_body(debug={"schema_override": {"type": "object", "$ref": "#"}}))
    assert response.status_code in {200, 422}
    assert response.status_code == 422 or response.json()["error"]
    assert extract(alice)["error"] is None


def test_an_image_url_reaches_no_private_address(dora, model):
    for url in (model.root_url + "/health", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "x"):
        error = extract(dora, 422, image_base64=None, image_url=url)
        assert error["details"]["errors"][0]["loc"] == ["body", "image_url"]


def test_a_debugger_may_have_an_image_fetched(dora, model, service, image_server):
    answer = extract(dora, image_base64=None, image_url=f"{image_server}/image?signature=of-mine")
    assert answer["error"] is None
    assert model.calls().images == {hashlib.sha256(tiny_image(1)).hexdigest(): 1}
    stored = service.artifact(answer["artifact_rel"]).read_text()
    assert f'"image_url":"{image_server}/image"' in stored
    assert "of-mine" not in stored + service.api_log()
    for path in ("/page", "/away"):
        extract(dora, 422, image_base64=None, image_url=f"{image_server}{path}")


# --- clients that go away, and many at once


def test_a_client_that_goes_away_leaves_the_service_as_it_was(alice, service, model):
    # Longer than the test waits: the place is not freed by an answer.
    model.script(Answer(delay_ms=120_000))
    before = model.calls().calls
    body = orjson.dumps(extract_body())
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.keys['alice']}\r\n"
        connection.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        wait_until(lambda: model.calls().calls > before)
    wait_until(lambda: extracts_under_way(alice.get("/metrics").text) == 0)
    assert '"status":499' in service.api_log()


def test_many_at_once_each_get_their_own_answer(service, model):
    answers = {}

    def ask(number):
        answers[number] = extract(
            service.client("alice"), image=tiny_image(7_000_000 + number), request_id=f"many-{number}"
        )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert {number: answer["request_id"] for number, answer in answers.items()} == {n: f"many-{n}" for n in range(16)}
    assert model.calls().calls == 16
