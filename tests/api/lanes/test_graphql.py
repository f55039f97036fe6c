"""Dagster's webserver as it may answer: each answer is a run, words for the client, or a fault of ours in the log."""

import asyncio
import logging
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import orjson
import pytest

from ocrlty_api.errors import DagsterUnavailableError
from ocrlty_api.lanes.graphql import LaunchRefusedError, Webserver
from tests.support.http_server import serving


@contextmanager
def answering(body, status=200):
    """The address of a webserver that answers everything so, and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as url:
        yield url.removeprefix("http://"), asked


def launched(answer):
    return orjson.dumps({"data": {"launchRun": answer}})


def launch(address):
    async def launch():
        async with Webserver(f"http://operator:secret@{address}") as webserver:
            return await webserver.launch("extract", {"ops": {}}, {"ocrlty/job": "extract"})

    return asyncio.run(launch())


def test_a_run_is_launched_with_its_config_and_tags():
    with answering(launched({"__typename": "LaunchRunSuccess", "run": {"runId": "r1"}})) as (address, asked):
        assert launch(address) == "r1"
    params = asked[0]["variables"]["params"]
    assert params["selector"]["jobName"] == "extract"
    assert params["executionMetadata"]["tags"] == [{"key": "ocrlty/job", "value": "extract"}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>Bad gateway</html>", 200),
        (b"{}", 502),
        (b"[]", 200),
        (b'{"data": null}', 200),
        (launched({"__typename": "PythonError", "message": "no module"}), 200),
    ],
)
def test_what_is_no_working_webserver_makes_jobs_unavailable(body, status):
    with answering(body, status) as (address, _), pytest.raises(DagsterUnavailableError):
        launch(address)


def test_where_it_should_be_stands_in_the_log_without_its_password(caplog):
    with answering(b"", 401) as (address, _), pytest.raises(DagsterUnavailableError) as refused:
        launch(address)
    with pytest.raises(DagsterUnavailableError):
        launch(address)  # nothing listens there any more
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 2
    assert all(f"http://{address}" in line and "DAGSTER_WEBSERVER_URL" in line for line in told)
    assert "secret" not in caplog.text
    assert address not in refused.value.message
    assert "without _async" in refused.value.message


@pytest.mark.parametrize(
    "body",
    [
        launched({"__typename": "RunConfigValidationInvalid", "errors": [{"message": "bad config"}]}),
        launched({"__typename": "UnauthorizedError", "message": "bad config"}),
        b'{"errors": [{"message": "bad config"}]}',
    ],
)
def test_what_dagster_refuses_is_a_fault_of_ours(body):
    with answering(body) as (address, _), pytest.raises(LaunchRefusedError, match="bad config"):
        launch(address)
