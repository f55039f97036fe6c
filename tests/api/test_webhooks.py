"""Webhooks over HTTP: from a job that is submitted, through the whole service, to a client's server that is called."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocrlty_api.errors import ForbiddenError
from ocrlty_api.webhook_urls import signer_of
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from tests.support.requests import error_of, extract_body, new_image, succeeded, upload
from tests.support.waiting import wait_until

REFERENCE = Path(__file__).parents[2] / "docs" / "api.md"
EVENTS = ["job.succeeded", "job.failed", "job.canceled"]


@pytest.fixture(scope="module")
def is_genuine():
    """The function that the reference gives to those who are called."""
    section = REFERENCE.read_text().partition("\n## Webhooks\n")[2]
    names = {}
    exec(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1], names)  # noqa: S102 -- it is ours
    return names["is_genuine"]


@pytest.fixture
def made(alice):
    """Makes webhooks of alice's, which end with the test."""
    ids = []

    def made(url, **fields):
        answer = succeeded(alice.post("/v1/webhooks", json={"url": url, **fields}), 201)
        ids.append(answer["webhook_id"])
        return answer

    yield made
    for webhook_id in ids:
        alice.delete(f"/v1/webhooks/{webhook_id}")


def test_ends_of_jobs_are_told_to_the_keys_webhook_and_to_the_jobs_own_address(
    alice, bob, model, made, webhook_server, is_genuine, new_id
):
    webhook = made(webhook_server.at("/alice"))
    own_secret = succeeded(alice.get("/v1/webhooks/secret"))["secret"]
    single = {"request_id": new_id(), "webhook_url": webhook_server.at("/single")}
    extract = succeeded(alice.post("/v1/extract_async", json=extract_body(**single)), 202)["job_id"]
    form = upload(run_id=new_id(), webhook_url=webhook_server.at("/batch"))
    batch = succeeded(alice.post("/v1/batch_extract_upload_async", **form), 202)["job_id"]
    succeeded(bob.post("/v1/extract_async", json=extract_body()), 202)
    paths = ("/alice", "/single", "/batch")
    wait_until(lambda: [len(webhook_server.calls_of(path)) for path in paths] == [2, 1, 1], 120)
    of_key, [of_single], [of_batch] = map(webhook_server.calls_of, paths)
    assert {call.json["data"]["job_id"] for call in of_key} == {extract, batch}
    assert all(is_genuine(call.headers, call.body, webhook["secret"]) for call in of_key)
    assert all(is_genuine(call.headers, call.body, own_secret) for call in (of_single, of_batch))
    assert not is_genuine(of_single.headers, of_single.body, webhook["secret"])
    assert not is_genuine(of_single.headers, of_batch.body, own_secret)
    told = of_batch.json
    assert (told["type"], told["data"]["status"], told["data"]["run_id"]) == (
        "job.succeeded",
        "succeeded",
        form["data"]["run_id"],
    )
    assert told["data"]["counts"] == {"items": 2, "ok": 2, "errors": 0}
    assert succeeded(alice.get(told["data"]["result_url"]))["run_id"] == form["data"]["run_id"]
    assert of_single.json["data"]["request_id"] == single["request_id"]
    url = f"/v1/webhooks/{webhook['webhook_id']}"
    wait_until(lambda: all(one["delivered_at"] for one in succeeded(alice.get(url))["deliveries"]), 60)
    deliveries = succeeded(alice.get(url))["deliveries"]
    assert {one["delivery_id"] for one in deliveries} == {call.id for call in of_key}
    assert {(one["event"], one["attempts"], one["last_status"]) for one in deliveries} == {("job.succeeded", 1, 200)}


def test_webhooks_are_their_owners_and_every_admins(alice, bob, root, made, webhook_server):
    webhook = made(webhook_server.at("/mine"))
    assert (webhook["key_id"], webhook["events"], webhook["active"]) == ("alice", EVENTS, True)
    assert webhook["secret"].startswith("whsec_")
    newer = made(webhook_server.at("/newer"), events=["job.failed", "job.failed"])
    assert newer["events"] == ["job.failed"]
    page = succeeded(alice.get("/v1/webhooks?limit=1"))
    assert [one["webhook_id"] for one in page["items"]] == [newer["webhook_id"]]
    rest = succeeded(alice.get("/v1/webhooks", params={"cursor": page["next_cursor"]}))
    assert [one["webhook_id"] for one in rest["items"]] == [webhook["webhook_id"]]
    assert rest["next_cursor"] is None
    url = f"/v1/webhooks/{webhook['webhook_id']}"
    seen = succeeded(root.get(url))
    assert seen == {name: value for name, value in webhook.items() if name != "secret"} | {"deliveries": []}
    assert webhook["webhook_id"] in root.get("/v1/webhooks?limit=200").text
    assert succeeded(bob.get("/v1/webhooks"))["items"] == []
    for method, path in (("get", url), ("delete", url), ("post", f"{url}/test")):
        error_of(bob.request(method, path), 404, "not_found")
    assert alice.delete(url).status_code == 204
    error_of(alice.get(url), 404, "not_found")
    secrets = {succeeded(client.get("/v1/webhooks/secret"))["secret"] for client in (alice, bob, root)}
    assert len(secrets) == 3


def test_a_ping_is_signed_and_its_answer_told(alice, made, webhook_server, is_genuine):
    webhook, private = made(webhook_server.at("/ping")), made("http://127.0.0.1/hook")
    webhook_server.answers["/ping"] = [200, 404]
    url = f"/v1/webhooks/{webhook['webhook_id']}/test"
    assert succeeded(alice.post(url)) == {"delivered": True, "status": 200, "error": None}
    assert succeeded(alice.post(url)) == {"delivered": False, "status": 404, "error": "The receiver answered 404."}
    call, other = webhook_server.calls_of("/ping")
    assert (call.json["type"], call.json["data"]) == ("ping", {"webhook_id": webhook["webhook_id"]})
    assert call.id != other.id
    assert is_genuine(call.headers, call.body, webhook["secret"])
    refused = succeeded(alice.post(f"/v1/webhooks/{private['webhook_id']}/test"))
    assert (refused["delivered"], refused["status"]) == (False, None)
    assert "private or reserved network" in refused["error"]


@pytest.mark.parametrize("url", ["ftp://a.example/", "https://a.example:22/", "https://me:pw@a.example/", "nowhere"])
def test_an_address_that_is_none_to_call_is_refused_with_the_field(alice, url):
    for path, field, body in (
        ("/v1/webhooks", "url", {"url": url}),
        ("/v1/extract_async", "webhook_url", extract_body(webhook_url=url)),
    ):
        error = error_of(alice.post(path, json=body), 422, "validation_error")
        assert error["details"]["errors"][0]["loc"] == ["body", field]
    error_of(alice.post("/v1/batch_extract_upload_async", **upload(webhook_url=url)), 422, "validation_error")


def test_an_unknown_event_or_an_address_twice_is_refused(alice, made, webhook_server):
    webhook = made(webhook_server.at("/twice"))
    assert webhook["webhook_id"] in error_of(alice.post("/v1/webhooks", json={"url": webhook["url"]}), 400)["message"]
    body = {"url": webhook_server.at("/x"), "events": ["job.begun"]}
    error_of(alice.post("/v1/webhooks", json=body), 422, "validation_error")


def test_only_jobs_take_an_address(alice, webhook_server):
    url = webhook_server.at("/never")
    error_of(alice.post("/v1/extract", json=extract_body(webhook_url=url)), 422, "validation_error")
    error = error_of(alice.post("/v1/batch_extract_upload", **upload(webhook_url=url)), 422, "validation_error")
    assert "batch_extract_upload_async" in error["message"]


def test_the_same_request_with_another_address_is_the_same_job(alice, model, webhook_server, new_id):
    image, run_id = new_image(), new_id()
    body = extract_body(image, request_id=new_id())
    forms = [upload({"a.png": image}, run_id=run_id, webhook_url=webhook_server.at(f"/{n}")) for n in "ab"]
    for path, requests in (
        ("/v1/extract_async", [{"json": body | {"webhook_url": webhook_server.at("/a")}}, {"json": body}]),
        ("/v1/batch_extract_upload_async", forms),
    ):
        assert len({succeeded(alice.post(path, **request), 202)["job_id"] for request in requests}) == 1


def test_a_service_without_a_pepper_calls_nobody():
    state = SimpleNamespace(services=Services(Settings(_env_file=None, api_key_pepper=None, auth_enabled=False)))
    with pytest.raises(ForbiddenError, match="no API_KEY_PEPPER"):
        signer_of(state)
