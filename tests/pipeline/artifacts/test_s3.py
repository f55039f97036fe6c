"""What only a bucket does: what truly goes over HTTP, and what is said when the service refuses."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
import pytest

from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.errors import ArtifactConflictError, ConfigError, StorageUnavailableError
from tests.support.storage import s3_settings

REL = "extracts/2026-11-24/r1.json"


@pytest.fixture
def open_store(s3_server, s3_bucket):
    return lambda **changes: ArtifactStore.from_settings(s3_settings(s3_server, s3_bucket, **changes))


@pytest.fixture
def refusing_service():
    """An S3-shaped service that answers everything with one status and error code."""

    class Refusal(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(f"<Error><Code>{server.code}</Code><Message>no</Message></Error>".encode())

        do_GET = do_PUT = answer  # noqa: N815  # the names http.server looks for

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        server.status, server.code = 403, "AccessDenied"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_artifact_lies_below_the_prefix_of_the_bucket(open_store, s3_server, s3_bucket):
    store = open_store()
    asyncio.run(store.put(REL, b"{}"))
    assert store.kind == "s3"
    assert store.location == f"s3://{s3_bucket}/receipts/eu"
    assert store.full_ref(REL) == f"s3://{s3_bucket}/receipts/eu/{REL}"
    assert s3_server.call("GET", f"/{s3_bucket}/receipts/eu/{REL}") == b"{}"


def test_a_browser_is_told_what_each_artifact_is(open_store):
    store = open_store()
    types = {"reports/2026-11-24/e1.html": "text/html; charset=utf-8", REL: "application/json"}
    for rel, content_type in types.items():
        asyncio.run(store.put(rel, b"{}"))
        assert obstore.get(store._objects, rel).attributes["Content-Type"] == content_type


def test_without_a_prefix_keys_begin_at_the_bucket(open_store, s3_server, s3_bucket):
    store = open_store(s3_prefix="")
    asyncio.run(store.put(REL, b"{}"))
    assert store.location == f"s3://{s3_bucket}"
    assert s3_server.call("GET", f"/{s3_bucket}/{REL}") == b"{}"


def test_write_once_is_the_service_s_doing_not_a_look_before(open_store, s3_server, s3_bucket):
    async def scenario():
        await open_store().put(REL, b"one")
        with pytest.raises(ArtifactConflictError):
            await open_store().put(REL, b"two")

    asyncio.run(scenario())
    path = f"/{s3_bucket}/receipts/eu/{REL}"
    mine = [entry for entry in s3_server.requests() if entry[1] == path]
    assert mine == [("PUT", path, "*", 200), ("PUT", path, "*", 412), ("GET", path, None, 200)]


def test_an_input_that_is_there_is_not_sent_again(open_store, s3_server, s3_bucket):
    async def scenario():
        await open_store().put_input("local", b"image", ".png", "0" * 64)
        return await open_store().put_input("local", b"image", ".png", "0" * 64)

    ref = asyncio.run(scenario())
    sent = [entry for entry in s3_server.requests() if entry[:2] == ("PUT", f"/{s3_bucket}/receipts/eu/{ref}")]
    assert len(sent) == 1


def test_a_missing_bucket_is_named(open_store):
    store = open_store(s3_bucket="no-such-bucket")
    sentence = r"s3://no-such-bucket/receipts/eu at http://.* the bucket does not exist; create it or correct S3_BUCKET"
    for attempt in (store.check, lambda: store.put(REL, b"{}"), lambda: store.get(REL)):
        with pytest.raises(StorageUnavailableError, match=sentence):
            asyncio.run(attempt())


def test_an_endpoint_where_nobody_listens_is_named_and_given_up(open_store):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(StorageUnavailableError, match=f"{endpoint}.*refuses connections; check S3_ENDPOINT_URL"):
            asyncio.run(open_store(s3_endpoint_url=endpoint).put(REL, b"{}"))


def test_an_unknown_endpoint_is_named(open_store):
    store = open_store(s3_endpoint_url="http://storage.invalid")
    with pytest.raises(StorageUnavailableError, match="name is unknown; check S3_ENDPOINT_URL"):
        asyncio.run(store.check())


def test_a_silent_endpoint_fails_the_check_in_bounded_time(open_store, monkeypatch):
    monkeypatch.setattr("ocrlty_pipeline.artifacts.store.CHECK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(s3_endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StorageUnavailableError, match=r"no answer within 0\.2 s"):
            asyncio.run(store.check())


@pytest.mark.parametrize(
    ("status", "code", "setting"),
    [
        (403, "AccessDenied", "permission to list, read and write S3_BUCKET"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (404, "NoSuchThing", "S3_ENDPOINT_URL and S3_BUCKET"),
        (418, "Teapot", "check S3_BUCKET, S3_ENDPOINT_URL and the AWS_"),
    ],
)
def test_a_refusal_names_the_setting_to_look_at(open_store, refusing_service, status, code, setting):
    refusing_service.status, refusing_service.code = status, code
    store = open_store(s3_endpoint_url=f"http://127.0.0.1:{refusing_service.server_port}")
    for attempt in (store.check, lambda: store.put(REL, b"{}")):
        with pytest.raises(StorageUnavailableError, match=setting) as refusal:
            asyncio.run(attempt())
        assert "<" not in refusal.value.message


def test_keys_that_cannot_be_found_anywhere_are_asked_for(open_store, refusing_service, monkeypatch):
    # The instance metadata service, which knows a cloud machine's keys, is asked last: here, one that knows none.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{refusing_service.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    store = open_store(aws_access_key_id=None, aws_secret_access_key=None)
    with pytest.raises(StorageUnavailableError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        asyncio.run(store.check())


def test_half_a_key_pair_is_refused_at_once(open_store):
    with pytest.raises(ConfigError, match="go together"):
        open_store(aws_secret_access_key=None)


def test_an_endpoint_without_a_host_is_refused_at_once(open_store):
    with pytest.raises(ConfigError, match="S3_ENDPOINT_URL=http: names no host"):
        open_store(s3_endpoint_url="http://")
