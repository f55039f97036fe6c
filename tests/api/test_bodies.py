"""Bodies of every kind: what cannot be read is refused in the envelope, shortly, and never with a 5xx."""

import http.client

import orjson
import pytest

from tests.support.memory import MIB, bounded
from tests.support.requests import error_of, extract_body, new_image, succeeded

PATH = "/v1/extract"
JSON = {"Content-Type": "application/json"}


def post(client, content, content_type="application/json"):
    headers = {} if content_type is None else {"Content-Type": content_type}
    return client.post(PATH, content=content, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        b'{"task_id": NaN}',
        b'{"task_id": "x", "debug": {"temperature": Infinity}}',
        b'{"task_id": -Infinity}',
        b'{"task_id": "\xff\xfe"}',
        b'{"task_id": "\\ud800"}',
        b"\x00",
        b"{",
        b'{"task_id": "x"} y',
        b"'x'",
        b"\xef\xbb\xbf{}",
        b'{"task_id": "a\x01b"}',
        b'{"task_id": "a\\u0000b", "image_base64": "x"}',
        b'{"a\\u0000b": 1}',
        b'{"debug": {"schema_override": {"x": ["a\\u0000b"]}}}',
        b"[" * 100_000,
        b'{"debug":' * 65 + b"1" + b"}" * 65,
        b'{"debug": ' + b"[" * 65 + b"]" * 65 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_plain_json_is_a_bad_request(alice, body):
    error_of(post(alice, body), 400, "bad_request")


@pytest.mark.parametrize("body", [b"null", b"[]", b"5", b'"text"', b"[[1]]", b"true", b"{}", b"", b"1e400"])
def test_json_of_another_shape_lists_what_is_wrong(alice, body):
    error = error_of(post(alice, body), 400 if body == b"1e400" else 422)
    assert body == b"1e400" or error["details"]["errors"]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/octet-stream",
        "application",
        "json",
        "application/xml",
        None,
    ],
)
def test_another_content_type_is_refused_by_name(alice, content_type):
    error = error_of(post(alice, orjson.dumps(extract_body()), content_type), 415, "unsupported_media_type")
    assert "application/json" in error["message"]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"]
)
def test_json_may_be_declared_in_any_usual_way(alice, model, content_type):
    succeeded(post(alice, orjson.dumps(extract_body()), content_type))


def test_a_refusal_never_sends_a_large_body_back(alice):
    large = "x" * 4_000_000
    bodies = [
        {"task_id": large, "image_base64": "x"},
        {"task_id": 5, "image_base64": large},
        {large: 1},
        {"task_id": [large] * 3},
        {"task_id": {"a": {"b": large}}},
        {"image_base64": large},
        {"task_id": "receipt_fields_v1", "image_base64": large, "image_ref": large},
        {"task_id": "receipt_fields_v1", "image_base64": large + "="},
        {"task_id": "receipt_fields_v1", "image_base64": "x", "request_id": large},
        {"task_id": "receipt_fields_v1", "image_ref": large},
        {f"field {number}": number for number in range(5000)},
    ]
    for body in bodies:
        response = alice.post(PATH, json=body)
        assert 400 <= response.status_code < 500, response.text[:500]
        assert len(response.content) < 32_000, response.text[:2000]
        assert large[:1000] not in response.text


@pytest.mark.parametrize(("task_id", "status"), [("receipt_fields_v1", 200), (5, 422)])
def test_a_large_body_takes_a_few_times_its_size(service, alice, model, task_id, status):
    """PITFALLS "bodies": a body took seven times its size in memory."""
    body = extract_body(new_image().ljust(19 * MIB, b"\0"), task_id=task_id)
    succeeded(alice.post(PATH, json=extract_body()))
    with bounded(service, 5 * len(body["image_base64"]) / MIB):
        assert alice.post(PATH, json=body).status_code == status


def test_the_input_of_a_field_at_fault_is_shown_as_far_as_it_is_short(alice):
    error = error_of(alice.post(PATH, json={"task_id": 5, "image_base64": "x"}), 422, "validation_error")
    assert error["details"]["errors"] == [
        {"type": "string_type", "loc": ["body", "task_id"], "msg": "Input should be a valid string", "input": 5}
    ]
    error = error_of(alice.post(PATH, json={"image_base64": "x"}), 422)
    assert error["details"]["errors"][0] == {
        "type": "missing",
        "loc": ["body", "task_id"],
        "msg": "Field required",
        "input": {"image_base64": "x"},
    }


def test_numbers_that_no_float_holds_are_refused_in_words(alice):
    for number in (b"1" * 400, b"-1e400", b"1e999", b"123456789012345678901234567890"):
        response = post(alice, b'{"task_id": %b, "image_base64": "x", "debug": {"max_tokens": %b}}' % (number, number))
        assert response.status_code in {400, 422}
        error_of(response, response.status_code)


def test_an_empty_body_and_none_at_all_are_missing(alice):
    assert error_of(alice.post(PATH), 422)["details"]["errors"][0]["type"] == "missing"


def test_a_body_beyond_the_bound_is_refused_before_it_is_read(service, alice):
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=60)
    headers = {"Authorization": f"Bearer {service.keys['alice']}", "Content-Length": str(10**12), **JSON}
    connection.request("POST", PATH, headers=headers)
    response = connection.getresponse()
    assert response.status == 413
    assert response.getheader("X-Request-ID")
    assert orjson.loads(response.read())["error"]["code"] == "payload_too_large"
    connection.close()


def test_the_key_is_checked_before_the_body(nobody):
    error_of(post(nobody, b"{"), 401, "unauthorized")


def test_nul_in_an_address_is_a_bad_request(alice):
    for path in ("/v1/%00", "/v1/tasks%00", "/v1/tasks?x=%00", "/v1/runs/a%00b"):
        error_of(alice.get(path), 400, "bad_request")
